"""Which engine a function evaluates by, and when it asks again what rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mailtailor.consent.policy import Consent, Purpose
from mailtailor.instant import DAY, HOUR, SECOND
from mailtailor.profiles.profile import Profile
from mailtailor.segments.definition import InSegment
from mailtailor.segments.engine import BadReference, Engine
from mailtailor.segments.live import LEASE, REFRESH, DefinitionsUnknown, LiveEngines, Sources
from mailtailor.segments.rollout import Rollout
from mailtailor.segments.streams import Streams
from mailtailor.segments.versions import Version
from tests.unit.profiles.world import NOW, segment

DEPLOYED = (segment("viewers", {"event": "product_viewed", "within": "7d"}),)
FIRST = Version(1, (segment("buyers", {"event": "order_completed", "within": "7d"}),), mark="1")
SECOND_ONE = Version(2, (segment("carts", {"event": "product_added", "within": "7d"}),), mark="2")


class Table:
    """What is stored, and what was asked of it."""

    def __init__(self) -> None:
        self.now = NOW
        self.rollout: Rollout | None = None
        self.asked = 0
        self.loaded: list[int] = []
        self.broken = False
        self.failures: list[Exception] = []
        self.waiting: list[Callable[[], None]] = []

    def read(self) -> Rollout | None:
        self.asked += 1
        if self.broken:
            raise OSError
        return self.rollout

    def version(self, number: int) -> Version:
        self.loaded.append(number)
        return {1: FIRST, 2: SECOND_ONE}[number]

    def engines(self, *, lease: int | None = LEASE, beside: bool = False) -> LiveEngines:
        sources = Sources(self.read, self.version, lambda: DEPLOYED)
        run = self.waiting.append if beside else (lambda ask: ask())
        return LiveEngines(sources, clock=lambda: self.now, lease=lease, failed=self.failures.append, run=run)


@pytest.fixture
def table() -> Table:
    return Table()


def test_until_anything_was_applied_what_is_deployed_rules(table: Table) -> None:
    engines = table.engines()
    assert engines.of("").segments == ("viewers",)
    assert engines.of("").fingerprint == Engine(DEPLOYED).fingerprint
    assert table.loaded == []


def test_it_asks_again_after_a_while_and_reads_a_version_only_if_it_is_another(table: Table) -> None:
    # given
    engines = table.engines()
    engines.of("")
    table.rollout = Rollout(active=1, revision=1)
    # when, then
    table.now += REFRESH - 1
    assert engines.of("").segments == ("viewers",)
    table.now += 1
    assert engines.of("").segments == ("buyers",)
    first = engines.of("")
    table.now += REFRESH
    table.rollout = replace(table.rollout, revision=2)
    assert engines.of("") is first
    assert (table.asked, table.loaded) == (3, [1])


def test_a_profile_is_evaluated_by_what_evaluated_it_and_both_are_remembered_for(table: Table) -> None:
    # given
    table.rollout = Rollout(active=1).stage(2, at=NOW)
    engines = table.engines()
    # when
    active, staged = engines.of(FIRST.fingerprint), engines.of(SECOND_ONE.fingerprint)
    # then
    assert (active.fingerprint, staged.fingerprint) == (FIRST.fingerprint, SECOND_ONE.fingerprint)
    assert (active.segments, staged.segments) == (("buyers",), ("carts",))
    for event_type in ("order_completed", "product_added"):
        by_active: Streams = {}
        by_staged: Streams = {}
        active.memory.record(by_active, event_id="e", event_type=event_type, at=NOW, properties={})
        staged.memory.record(by_staged, event_id="e", event_type=event_type, at=NOW, properties={})
        active.memory.prune(by_active, NOW)
        assert by_active.keys() == by_staged.keys() != set()


@pytest.mark.parametrize(
    ("evaluated_by", "segments"),
    [
        ([""], "buyers"),
        (["unknown"], "buyers"),
        ([SECOND_ONE.fingerprint, ""], "carts"),
        ([SECOND_ONE.fingerprint, SECOND_ONE.fingerprint], "carts"),
        ([SECOND_ONE.fingerprint, FIRST.fingerprint], "buyers"),
        (["", FIRST.fingerprint], "buyers"),
    ],
)
def test_who_becomes_one_is_evaluated_by_what_is_staged_only_if_both_were(
    table: Table, evaluated_by: list[str], segments: str
) -> None:
    table.rollout = Rollout(active=1).stage(2, at=NOW)
    assert table.engines().of(*evaluated_by).segments == (segments,)


def test_who_is_united_with_the_archive_is_switched_only_when_the_archive_has_all(table: Table) -> None:
    # given
    engines = table.engines()
    table.rollout = waiting = Rollout(active=1).stage(2, at=NOW)
    assert engines.of_whole().segments == ("buyers",)
    for following, segments in (
        (waiting.backfill(at=NOW), "carts"),
        (waiting.backfill(at=NOW).activate(at=NOW), "carts"),
        (waiting.abandon(at=NOW), "buyers"),
    ):
        # when
        table.rollout = following
        table.now += REFRESH
        # then
        assert engines.of_whole().segments == (segments,)


def test_who_writes_stops_when_nobody_knows_what_rules(table: Table) -> None:
    # given
    engines = table.engines()
    engines.of("")
    table.broken = True
    # when: it goes on for the lease, and tells each failure
    table.now += LEASE - 1
    assert engines.of("").segments == ("viewers",)
    assert [type(one) for one in table.failures] == [OSError]
    table.now += 1
    # then
    with pytest.raises(DefinitionsUnknown):
        engines.of("")
    # and goes on when it can ask again
    table.broken = False
    table.now += SECOND
    assert engines.of("").segments == ("viewers",)


def test_who_reads_goes_on_with_what_ruled_last(table: Table) -> None:
    engines = table.engines(lease=None)
    engines.of("")
    table.broken = True
    table.now += HOUR
    assert engines.of("").segments == ("viewers",)


def test_a_failure_is_not_asked_for_again_at_once(table: Table) -> None:
    engines = table.engines()
    engines.of("")
    table.broken = True
    table.now += REFRESH
    for _ in range(5):
        engines.of("")
    assert table.asked == 2


@pytest.mark.parametrize("lease", [LEASE, None])
def test_without_ever_having_known_nobody_is_evaluated(table: Table, lease: int | None) -> None:
    table.broken = True
    with pytest.raises(DefinitionsUnknown):
        table.engines(lease=lease).of("")


def test_nobody_who_waits_for_an_answer_waits_for_the_asking_too(table: Table) -> None:
    # given
    engines = table.engines(lease=None, beside=True)
    engines.of("")
    table.rollout = Rollout(active=1, revision=1)
    # when
    table.now += REFRESH
    # then: once only, and the answer is of before
    assert [engines.of("").segments for _ in range(3)] == [("viewers",)] * 3
    assert len(table.waiting) == 1
    # when it is done
    table.waiting.pop()()
    # then
    assert engines.of("").segments == ("buyers",)


def test_who_slept_for_long_waits(table: Table) -> None:
    engines = table.engines(lease=None, beside=True)
    engines.of("")
    table.rollout = Rollout(active=1, revision=1)
    table.now += HOUR
    assert engines.of("").segments == ("buyers",)


def test_a_clock_that_is_set_back_keeps_nothing_for_longer(table: Table) -> None:
    engines = table.engines()
    engines.of("")
    table.rollout = Rollout(active=1, revision=1)
    table.now -= HOUR
    assert engines.of("").segments == ("buyers",)


def test_an_audience_is_looked_at_by_what_evaluates_the_person(table: Table) -> None:
    # given: it is compiled before its segment is there
    engines = table.engines()
    rule = engines.audience(InSegment(segment="buyers"))
    profile = Profile("A" * 22, consent={Purpose.PERSONALIZATION: Consent(granted=True, at=0)})
    with pytest.raises(BadReference):
        rule(engines.of("").person(profile), NOW)
    # when
    table.rollout = Rollout(active=1, revision=1)
    table.now += REFRESH
    engine = engines.of("")
    engine.memory.record(profile.streams, event_id="o", event_type="order_completed", at=NOW, properties={})
    # then
    assert rule(engine.person(profile), NOW)[0]
    assert not rule(engine.person(profile), NOW + 8 * DAY)[0]
