"""The rebuilder as Lambda calls it, with an archive that the archiver wrote."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import duckdb
import pytest
from moto import mock_aws

from functions.event_archiver import handler as event_archiver
from functions.event_processor import handler as event_processor
from functions.profile_rebuilder import handler as profile_rebuilder
from mailtailor.aws import archive_history, clients, definitions
from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.aws.archive_joiner import ArchiveJoiner
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.events.archive import bucket
from mailtailor.instant import DAY, HOUR
from mailtailor.profiles.wake_up import pack
from tests.integration.functions.test_segment_functions import ANNA, CONTEXT, Cloud, body, consented, event, now
from tests.unit.profiles.world import segment

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOSER = "L" * 22
CLICKERS = segment("clickers", {"event": "email_link_clicked", "within": "30d", "at_least": 3})


class Archived(Cloud):
    """The cloud with an archive."""

    def __init__(self) -> None:
        super().__init__()
        self.s3: S3Client = boto3.client("s3")
        self.s3.create_bucket(Bucket="archive", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def archive(self, *events: dict[str, Any]) -> None:
        answer = event_archiver.handler(self.deliver(body(*events), queue="archive"), CONTEXT)
        assert answer == {"batchItemFailures": []}

    def process(self, *events: dict[str, Any]) -> None:
        answer = event_processor.handler(self.deliver(body(*events)), CONTEXT)
        assert answer == {"batchItemFailures": []}

    def damage(self, **changes: Any) -> None:
        table = ProfileTable(client=self.dynamodb, table="profiles")
        loaded = table.load([ANNA])[ANNA]
        loaded.profile.incomplete = True
        for name, value in changes.items():
            setattr(loaded.profile, name, value)
        table.save(loaded, ())

    def rebuild(self, *bodies: str) -> dict[str, Any]:
        answer: dict[str, Any] = profile_rebuilder.handler(
            self.deliver(*(bodies or pack([ANNA])), queue="rebuilds"), CONTEXT
        )
        return answer

    def files(self) -> list[str]:
        keys = [one["Key"] for one in self.s3.list_objects_v2(Bucket="archive", Prefix="events/")["Contents"]]
        return [key for key in keys if f"bucket={bucket(ANNA):02}" in key]

    def joiner(self) -> ArchiveJoiner:
        return ArchiveJoiner(
            bucket=ArchiveBucket(client=self.s3, bucket="archive"),
            duckdb=duckdb.connect(),
            erased=ErasedProfiles(client=self.s3, bucket="archive"),
        )

    def clicking(self) -> bool:
        profile = ProfileTable(client=self.dynamodb, table="profiles").read(ANNA)
        assert profile is not None
        return "clickers" in profile.memberships


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Archived]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "PROFILES_TABLE": "profiles",
        "DEFINITIONS_TABLE": "definitions",
        "ARCHIVE_BUCKET": "archive",
        "INTAKE_BUCKET": "intake",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(definitions, "segments", lambda: (CLICKERS,))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clients._session.cache_clear()
    with mock_aws():
        made = Archived()
        monkeypatch.setenv("WAKE_UPS_QUEUE_URL", made.queues["wake"])
        monkeypatch.setenv("ARCHIVE_QUEUE_URL", made.queues["archive"])
        monkeypatch.setenv("REBUILDS_QUEUE_URL", made.queues["rebuilds"])
        for function in (event_processor, event_archiver, profile_rebuilder):
            monkeypatch.setattr(function, "dependencies", cache(function.connect))
        yield made
    clients._session.cache_clear()


def click(number: int, *, ago: int, position: int = 1, **more: Any) -> dict[str, Any]:
    at = now() - ago
    properties = {"campaign": "spring", "instance": str(ago // HOUR), "position": position}
    base = event("email_link_clicked", at=at, id=f"click-{number}", properties=properties)
    return {**base, "received_at": at, **more}


def clicks() -> list[dict[str, Any]]:
    return [click(number, ago=number * DAY) for number in (1, 2, 3)]


def test_a_profile_is_rebuilt_from_files_of_many_days_and_nobody_elses_events(
    cloud: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: others in the same bucket, doubles, and more files than are read at once
    monkeypatch.setattr(archive_history, "FILES_AT_ONCE", 2)
    cloud.process(consented())
    neighbour = next(one for n in range(1_000) if bucket(one := f"{n:022}") == bucket(ANNA))
    cloud.archive(*clicks()[:2])
    cloud.archive(clicks()[0], click(9, ago=DAY, profile_id=neighbour))
    cloud.damage()
    cloud.rebuild()
    assert not cloud.clicking()

    # when
    cloud.archive(clicks()[2])
    cloud.damage()
    answer = cloud.rebuild()

    # then
    assert answer == {"batchItemFailures": []}
    assert cloud.clicking()


def test_a_correction_that_comes_when_all_is_settled_leads_to_a_rebuild(cloud: Archived) -> None:
    # given: three clicks of a scanner that pushed out a person's, as the state has them
    scanner = [click(number, ago=12 * HOUR + number) for number in (11, 12, 13)]
    cloud.archive(*clicks(), *scanner)
    cloud.process(consented())
    cloud.damage()
    cloud.rebuild()
    cloud.messages("archive")

    # when
    corrections = [
        event(
            "event_corrected",
            id=f"correction:{one['id']}",
            at=one["occurred_at"],
            properties={"corrects": one["id"], "machine": "esp", "campaign": "spring"},
        )
        for one in scanner
    ]
    cloud.process(*corrections)
    assert not cloud.clicking()
    (asked,) = cloud.messages("rebuilds")
    answer = cloud.rebuild(json.dumps(asked))

    # then
    assert answer == {"batchItemFailures": []}
    assert cloud.clicking()


def test_a_burst_that_shows_only_in_the_archive_is_sent_there_as_corrections(cloud: Archived) -> None:
    # given
    cloud.process(consented())
    cloud.messages("archive")
    burst = [click(number, ago=DAY, position=number) for number in (1, 2, 3)]
    cloud.archive(*burst)
    cloud.damage()

    # when
    cloud.rebuild()

    # then
    assert not cloud.clicking()
    (sent,) = cloud.messages("archive")
    assert [(one["type"], one["properties"]) for one in sent["events"]] == [
        ("event_corrected", {"corrects": f"click-{number}", "machine": "burst"}) for number in (1, 2, 3)
    ]


def test_the_buckets_of_merged_profiles_are_read_too(cloud: Archived) -> None:
    # given
    assert bucket(LOSER) != bucket(ANNA)
    cloud.process(consented())
    cloud.archive(*({**one, "profile_id": LOSER} for one in clicks()))
    cloud.damage(identities=frozenset({LOSER}))
    # when
    cloud.rebuild()
    # then
    assert cloud.clicking()


@pytest.mark.parametrize("fault", ["corrupt", "withheld"])
def test_a_file_that_cannot_be_read_is_named_and_the_message_comes_again(
    cloud: Archived, caplog: pytest.LogCaptureFixture, tmp_path: Path, fault: str
) -> None:
    # given: one that is no Parquet, or one that S3 lists and does not hand out
    cloud.process(consented())
    cloud.archive(*clicks())
    mine = cloud.files()
    if fault == "corrupt":
        cloud.s3.put_object(Bucket="archive", Key=mine[0], Body=b"PAR1 no more")
    else:
        cloud.s3.put_object(Bucket="archive", Key=mine[0], Body=b"", StorageClass="GLACIER")
    cloud.damage()

    # when
    with caplog.at_level(logging.ERROR):
        answer = cloud.rebuild()

    # then
    assert len(answer["batchItemFailures"]) == 1
    said = [getattr(record, "file", "") for record in caplog.records]
    assert any(mine[0] in one for one in said)
    assert not cloud.clicking()
    assert not list(tmp_path.rglob("*.parquet"))


def test_files_that_are_joined_while_they_are_read_are_read_as_they_are_then(
    cloud: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: what is listed is joined before it can be fetched
    cloud.process(consented())
    for one in clicks():
        cloud.archive({**one, "received_at": now() - DAY})
    listed = ArchiveBucket.files

    def files(self: ArchiveBucket, prefixes: Any) -> Any:
        found = listed(self, prefixes)
        if len(found) > 1:
            cloud.joiner().join(found[0].folder, found)
        return found

    monkeypatch.setattr(ArchiveBucket, "files", files)
    cloud.damage()

    # when
    answer = cloud.rebuild()

    # then
    assert len(cloud.files()) == 1
    assert answer == {"batchItemFailures": []}
    assert cloud.clicking()


def test_what_was_erased_is_not_remembered_again(cloud: Archived) -> None:
    # given: rows that no joining has taken away yet
    cloud.process(consented())
    cloud.archive(*clicks())
    ErasedProfiles(client=cloud.s3, bucket="archive").add([ANNA], now() - 2 * DAY + HOUR)
    cloud.damage()
    # when
    answer = cloud.rebuild()
    # then: one click came after the erasure
    assert answer == {"batchItemFailures": []}
    assert not cloud.clicking()


def test_a_request_that_comes_again_reads_nothing(cloud: Archived) -> None:
    # given
    cloud.process(consented())
    cloud.archive(*clicks())
    cloud.damage()
    cloud.rebuild()
    for stored in cloud.s3.list_objects_v2(Bucket="archive")["Contents"]:
        cloud.s3.delete_object(Bucket="archive", Key=stored["Key"])
    # when
    answer = cloud.rebuild()
    # then
    assert answer == {"batchItemFailures": []}
    assert cloud.clicking()


def test_what_is_no_request_is_poison(cloud: Archived) -> None:
    answer = cloud.rebuild("not json", *pack([ANNA]))
    assert len(answer["batchItemFailures"]) == 1
