"""Estimating as Lambda calls it, out of an archive that the archiver wrote, beside what recomputing says of it."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from functions.segment_estimate import handler as segment_estimate
from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.estimate_message import Asked, pack
from mailtailor.events.archive import BUCKETS, bucket
from mailtailor.instant import DAY, HOUR, MINUTE
from mailtailor.profiles.estimates import Estimate, Estimates
from tests.integration.functions.test_profile_rebuilder import click
from tests.integration.functions.test_segment_functions import ANNA, CONTEXT, event, now
from tests.integration.functions.test_segment_recompute import (
    ALLOWED,
    BOB,
    BROWSER,
    CARL,
    DORA,
    NEW,
    OLD,
    Recomputed,
    consent,
    deployed,
    lives,
    order,
)
from tests.unit.profiles.world import segment


class Estimated(Recomputed):
    """A cloud that is asked for estimates."""

    def deploy(self, *segments: Any) -> None:
        super().deploy(*segments)
        self._monkeypatch.setattr(segment_estimate, "dependencies", cache(segment_estimate.connect))

    def ask(self, number: int, *sets: Any, skip_unreadable: bool = False, at: int = 0) -> dict[str, Any]:
        asked = Asked(number, at or now(), sets or (NEW,), skip_unreadable)
        answer: dict[str, Any] = segment_estimate.handler(pack(asked), CONTEXT)
        return answer

    def estimates(self, *sets: Any, at: int = 0) -> list[Estimates]:
        """Return what all buckets say together, of each set of definitions."""
        totals = [Estimates() for _ in sets or (NEW,)]
        for number in range(BUCKETS):
            answer = self.ask(number, *sets, at=at)
            assert answer["unreadable"] == ()
            for total, one in zip(totals, answer["estimates"], strict=True):
                total.add(Estimates.of_payload(one))
        return totals


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Estimated]:
    with deployed(Estimated, monkeypatch, tmp_path) as made:
        made.deploy(*OLD)
        yield made


def members(estimates: Estimates) -> dict[str, int]:
    return {name: one.members for name, one in estimates.segments.items() if one.members}


def unmerged_lives(cloud: Estimated) -> None:
    """Let four people live of whom none was somebody else before; one of them says no at last."""
    cloud.come(consent(ANNA), consent(BOB), consent(CARL), consent(DORA))
    cloud.come(order(1, ANNA, ago=40 * DAY), order(2, BOB, ago=2 * DAY), order(3, BOB, ago=HOUR))
    cloud.come(order(5, CARL, ago=3 * DAY), order(6, CARL, ago=12 * HOUR))
    cloud.come(click(1, ago=3 * DAY), click(2, ago=5 * DAY, profile_id=BOB), click(4, ago=4 * DAY))
    cloud.come(*[click(n, ago=6 * DAY, position=n, profile_id=DORA) for n in (11, 12, 13)])
    cloud.come(event("product_viewed", id="v-1", at=now() - 2 * DAY, profile_id=DORA))
    cloud.come(order(3, BOB, ago=3 * HOUR))
    cloud.come(event("consent_changed", id="no", profile_id=CARL, consent={**ALLOWED, "personalization": False}))


def test_members_are_those_that_a_dry_run_of_recomputing_counts(cloud: Estimated) -> None:
    # given
    unmerged_lives(cloud)
    cloud.deploy(*NEW)
    by_engine = Counter[str]()
    for one in cloud.work(cloud.start(dry_run=True), range(BUCKETS)):
        by_engine.update(one.tally.members)
    # when
    [found] = cloud.estimates()
    # then
    assert members(found) == by_engine == {"viewers": 1, "buyers": 1, "clickers": 1, "customers": 2, "never_bought": 1}
    assert found.people == 3


def test_who_comes_and_goes_by_time_alone_is_told_by_day(cloud: Estimated) -> None:
    # given: one who bought once forty days ago, and one who did two days and three hours ago
    unmerged_lives(cloud)
    rules = (
        segment("lately", {"event": "order_completed", "within": "3d"}),
        segment("not_lately", {"not": {"event": "order_completed", "within": "42d"}}),
    )
    # when
    [found] = cloud.estimates(rules)
    # then
    assert found.segments == {
        "lately": Estimate(1, entering=[0] * 7, leaving=[0, 0, 1, 0, 0, 0, 0]),
        "not_lately": Estimate(1, entering=[0, 1, 0, 0, 0, 0, 0], leaving=[0] * 7),
    }


def test_everybody_is_evaluated_at_the_instant_that_is_asked_for(cloud: Estimated) -> None:
    unmerged_lives(cloud)
    [found] = cloud.estimates((segment("lately", {"event": "order_completed", "within": "3d"}),), at=now() + 4 * DAY)
    assert members(found) == {}


def test_two_sets_of_definitions_are_told_of_at_once(cloud: Estimated) -> None:
    unmerged_lives(cloud)
    new, old = cloud.estimates(NEW, OLD)
    assert members(old) == {"viewers": 1}
    assert members(new).keys() > members(old).keys()


def test_who_was_merged_counts_once_for_each_of_their_ids(cloud: Estimated) -> None:
    # given: Anna and her browser bought once each
    lives(cloud)
    # when
    [found] = cloud.estimates((segment("customers", {"event": "order_completed"}),))
    # then
    assert members(found) == {"customers": 3}
    assert bucket(BROWSER) != bucket(ANNA)


def test_bursts_are_those_of_the_system(cloud: Estimated, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: two links of a mail clicked within a minute, which is a person's by the system's own setting
    cloud.come(
        consent(ANNA),
        click(1, ago=3 * DAY),
        {**click(2, ago=3 * DAY, position=2), "occurred_at": now() - 3 * DAY + MINUTE},
    )
    clickers = (segment("clickers", {"event": "email_link_clicked", "at_least": 2}),)
    assert members(cloud.estimates(clickers)[0]) == {"clickers": 1}
    # when
    monkeypatch.setenv("BURSTS", "2/120000")
    cloud.deploy(*OLD)
    # then
    assert members(cloud.estimates(clickers)[0]) == {}


def test_it_reads_the_archive_and_asks_for_nothing_else(cloud: Estimated) -> None:
    # given
    unmerged_lives(cloud)
    cloud.edge.clear()
    # when
    cloud.estimates()
    # then
    assert set(cloud.edge.calls) == {"ListObjectsV2", "GetObject"}
    assert not list(Path(tempfile.gettempdir()).rglob("*.parquet"))


def test_doubles_of_files_count_once(cloud: Estimated) -> None:
    # given
    unmerged_lives(cloud)
    [before] = cloud.estimates()
    # when: what came is archived again, in other company
    cloud.archive(*cloud.archived[::2])
    cloud.archive(*cloud.archived[1::2])
    # then
    assert members(cloud.estimates()[0]) == members(before)


@pytest.mark.parametrize("joined", [False, True])
def test_rows_of_who_was_erased_are_left_out(cloud: Estimated, joined: bool) -> None:
    # given: Bob, whose rows are in files of Anna's too, had his history erased, and said yes again
    unmerged_lives(cloud)
    if joined:
        for folder in {key.rpartition("/")[0] + "/" for key in cloud.files()}:
            cloud.joiner().join(folder, ArchiveBucket(client=cloud.s3, bucket="archive").files([folder]))
    ErasedProfiles(client=cloud.s3, bucket="archive").add([BOB], now())
    again = event("consent_changed", id="again", profile_id=BOB, consent=ALLOWED, received_at=now() + HOUR)
    cloud.archive(again)
    # when
    [found] = cloud.estimates()
    # then
    assert members(found) == {"viewers": 1, "clickers": 1, "customers": 1, "never_bought": 2}
    assert found.people == 3


def test_nobody_is_in_a_bucket_without_files(cloud: Estimated) -> None:
    assert Estimates.of_payload(cloud.ask(3)["estimates"][0]) == Estimates({one.name: Estimate() for one in NEW})


@pytest.mark.parametrize("fault", ["corrupt", "withheld"])
def test_a_file_that_cannot_be_read_is_named_and_left_out_on_request(
    cloud: Estimated, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    # given
    unmerged_lives(cloud)
    bad = cloud.files()[0]
    if fault == "corrupt":
        cloud.s3.put_object(Bucket="archive", Key=bad, Body=b"PAR1 no more")
    else:
        cloud.s3.put_object(Bucket="archive", Key=bad, Body=b"", StorageClass="GLACIER")
    # when
    with caplog.at_level(logging.ERROR):
        refused = cloud.ask(bucket(ANNA))
    skipped = cloud.ask(bucket(ANNA), skip_unreadable=True)
    # then
    assert refused == {"unreadable": [bad]}
    assert bad in [getattr(record, "file", "") for record in caplog.records]
    assert skipped["unreadable"] == (bad,)
    assert skipped["estimates"]
    assert not list(Path(tempfile.gettempdir()).rglob("*.parquet"))


GOOD = pack(Asked(1, 0, (NEW,), False))


@pytest.mark.parametrize(
    "message",
    [
        {},
        {**GOOD, "bucket": BUCKETS},
        {**GOOD, "bucket": "1"},
        {**GOOD, "at": -1},
        {**GOOD, "at": 1 << 60},
        {**GOOD, "definitions": []},
        {**GOOD, "definitions": GOOD["definitions"] * 3},
        {**GOOD, "definitions": ["bm90aGluZw=="]},
        {**GOOD, "definitions": ["no base 64"]},
        {**GOOD, "more": 1},
    ],
    ids=str,
)
def test_what_is_no_message_of_ours_is_refused_with_a_sentence(cloud: Estimated, message: dict[str, Any]) -> None:
    cloud.edge.clear()
    assert "deploy again" in segment_estimate.handler(message, CONTEXT)["error"]
    assert cloud.edge.calls == []


def test_segments_that_refer_to_none_are_refused_with_a_sentence(cloud: Estimated) -> None:
    unmerged_lives(cloud)
    answer = cloud.ask(bucket(ANNA), (segment("one", {"segment": "other"}),))
    assert answer == {"error": "The definitions cannot be used: the segment one refers to other, which does not exist."}
