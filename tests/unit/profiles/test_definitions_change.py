"""Definitions change while events go on: whatever happens meanwhile, everybody ends up where a clean replay puts them.

Two functions process events and learn of a change at different times; the archive is behind; versions are staged,
replaced and abandoned; events come late and twice, browsers turn out to be somebody's. Each flip that is published
turns a membership, so none is lost and none doubled.
"""

from __future__ import annotations

import copy
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mailtailor.aws.archive_people import People
from mailtailor.aws.definition_versions import DefinitionVersions
from mailtailor.aws.recompute_bucket import BucketRecomputer
from mailtailor.aws.recompute_engine import RunEngines
from mailtailor.aws.recompute_runs import RecomputeRuns, Run
from mailtailor.aws.rest_people import RestPeople
from mailtailor.aws.rollout_driver import RolloutDriver
from mailtailor.events.archive import BUCKETS, bucket, once_each
from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR, MINUTE, SECOND, Instant
from mailtailor.profiles.processing import Processor, WakeUpProcessor
from mailtailor.profiles.rebuild import Rebuilder
from mailtailor.profiles.recompute import Person, Recomputer
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import Engine
from mailtailor.segments.live import DefinitionsUnknown, LiveEngines, Sources
from mailtailor.segments.rollout import Phase, Rollout
from mailtailor.segments.versions import Version, checked
from mailtailor.tracking.bursts import BurstSettings
from tests.unit.profiles.memory_store import MemoryStore
from tests.unit.profiles.test_rebuild import click, opened
from tests.unit.profiles.world import ANNA, BROWSER, NOW, OTHER, World, consented, event, segment
from tests.unit.segments.whole_history import Happened, History, holds

SETTLE = 40 * SECOND
BEHIND = 2 * MINUTE
"""How long an event takes to be seen in the archive."""

OLD = [
    segment("viewers", {"event": "product_viewed", "within": "30d"}),
    segment("buyers", {"event": "order_completed", "within": "30d", "at_least": 2}),
    segment("lately", {"event": "order_completed", "within": "10m"}),
]
NEW = [
    segment("clickers", {"event": "email_link_clicked", "within": "20d", "at_least": 2}),
    segment("buyers", {"event": "order_completed", "within": "30d", "at_least": 3}),
    segment("customers", {"event": "order_completed", "first": True, "older_than": "3d"}),
    segment("abandoners", {"event": "product_added", "within": "9d", "not_followed_by": {"event": "order_completed"}}),
    segment("openers", {"opened_share": 0.5, "within": "30d"}),
    segment("lately", {"event": "order_completed", "within": "20m"}),
]
OTHERS = [
    segment("viewers", {"event": "product_viewed", "within": "10d", "at_least": 2}),
    segment("buyers", {"event": "order_completed", "within": "60d"}),
    segment("carts", {"event": "product_added", "within": "40d", "at_most": 1}),
]


class Table:
    """A table of DynamoDB with the conditions that are asked of it here."""

    def __init__(self) -> None:
        self.exceptions = SimpleNamespace(ConditionalCheckFailedException=ClientError)
        self.items: dict[str, dict[str, Any]] = {}

    def get_item(self, *, Key: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        found = self.items.get(Key["id"]["S"])
        return {"Item": copy.deepcopy(found)} if found else {}

    def put_item(self, *, Item: Any, ConditionExpression: str = "", **given: Any) -> None:  # noqa: N803
        known = self.items.get(Item["id"]["S"])
        name, _, value = ConditionExpression.partition(" = ")
        fits = not ConditionExpression
        if ConditionExpression == "attribute_not_exists(id)":
            fits = known is None
        elif value == ":known":
            fits = known is not None and known[name] == given["ExpressionAttributeValues"][":known"]
        if not fits:
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "PutItem")
        self.items[Item["id"]["S"]] = copy.deepcopy(Item)


class Shop:
    """A world whose definitions change, and one beside it that has had the last ones from the beginning."""

    def __init__(self, seed: int, last: list[SegmentDefinition]) -> None:
        self.chance = random.Random(seed)
        self.now = NOW
        self.store = MemoryStore()
        self.replay = World(segments=checked(last))
        self.archived: list[tuple[Instant, Event]] = []
        self.messages: list[tuple[Run, int]] = []
        self.woken: list[tuple[Instant, str]] = []
        self.rebuilds: list[tuple[Instant, str]] = []
        client: Any = Table()
        self.versions = DefinitionVersions(client=client, table="definitions")
        self.runs = RecomputeRuns(client=client, table="clock")
        self.functions = [self.function() for _ in range(2)]
        self.rebuilder = self._rebuilder()
        self.bucket = self._bucket()
        watermark: Any = self
        ids = iter(range(10**6))
        self.driver = RolloutDriver(
            versions=self.versions,
            runs=self.runs,
            watermark=watermark,
            send=lambda run, buckets: self.messages.extend((run, one) for one in buckets),
            clock=lambda: self.now,
            new_id=lambda: f"run-{next(ids)}",
            settle=SETTLE,
        )

    def read(self) -> Instant:
        """Return the archive's watermark."""
        return self.now - BEHIND

    def engines(self, *, failing: float = 0) -> LiveEngines:
        """Return engines that ask anew after a while, which fails at times."""

        def rollout() -> Rollout | None:
            if self.chance.random() < failing:
                raise OSError
            return self.versions.rollout()

        sources = Sources(rollout, self.versions.version, lambda: checked(OLD))
        return LiveEngines(sources, clock=lambda: self.now, refresh=10 * SECOND, lease=30 * SECOND)

    def function(self) -> tuple[Processor, WakeUpProcessor]:
        """Return a warm function."""
        engines = self.engines(failing=0.4)
        shared: Any = {"store": self.store, "engine": engines, "wake": self.wake, "clock": lambda: self.now}
        shared["rebuild"] = self.rebuild
        return Processor(**shared, archive=self.archive), WakeUpProcessor(**shared)

    def _rebuilder(self) -> Rebuilder:
        return Rebuilder(
            store=self.store,
            engine=self.engines(),
            history=self.history,
            archive=self.archive,
            wake=self.wake,
            clock=lambda: self.now,
            pause=lambda _attempt: None,
        )

    def _bucket(self) -> BucketRecomputer:
        engines, table, watermark = self.engines(), self, self
        rest: Any = table
        stored: Any = watermark
        return BucketRecomputer(
            people=self,
            rest=RestPeople(profiles=rest, fingerprint=lambda: engines.fresh().active.fingerprint),
            recomputer=Recomputer(
                store=self.store,
                engine=engines,
                archive=self.archive,
                wake=self.wake,
                rebuild=self.rebuild,
                clock=lambda: self.now,
                pause=lambda _attempt: None,
                failed=lambda _profile_id, error: pytest.fail(repr(error)),
            ),
            engine=RunEngines(engines, self.versions, bursts=BurstSettings()),
            runs=self.runs,
            watermark=stored,
            again=lambda run, number: self.messages.append((run, number)),
            clock=lambda: self.now,
        )

    # What is around the functions.

    def archive(self, events: Iterable[Event]) -> None:
        self.archived += [(self.now, one) for one in events]

    def wake(self, by_delay: Any) -> None:
        self.woken += [(self.now + delay * SECOND, one) for delay, ids in by_delay.items() for one in ids]

    def rebuild(self, profile_id: str) -> None:
        self.rebuilds.append((self.now + 5 * MINUTE, profile_id))

    def history(self, ids: Collection[str], since: Instant) -> list[Event]:
        seen = [one for at, one in self.archived if at + BEHIND <= self.now and one.received_at >= since]
        return once_each(one for one in seen if one.profile_id in ids)

    @contextmanager
    def of(self, number: int, *, after: str, skip_unreadable: bool) -> Iterator[People]:  # noqa: ARG002
        """Open a bucket of the archive."""
        seen = [one for at, one in self.archived if at + BEHIND <= self.now]
        found = sorted({one.profile_id or "" for one in seen if bucket(one.profile_id or "") == number})
        yield People(True, [], ((one, [self._person(one)]) for one in found if one > after))

    def _person(self, found: str) -> Person:
        profile = self.store.profile(found)
        while profile.merged_into:
            profile = self.store.profile(profile.merged_into)
        ids = profile.identities | {profile.id, found}
        return Person(profile.id, ids, self.history(ids, 0))

    def not_evaluated_by(self, fingerprint: str, *, part: int, parts: int, after: str) -> Iterator[Any]:  # noqa: ARG002
        profiles = [self.store.profile(one) for one in sorted(self.store.items) if bucket(one) == part]
        rest = [one for one in profiles if not one.merged_into and one.definitions != fingerprint and one.id > after]
        yield "", [(one.id, one.identities) for one in rest]

    # What happens.

    def rollout(self) -> Rollout:
        return self.versions.rollout() or Rollout()

    def apply(self, segments: list[SegmentDefinition], *, note: str = "") -> None:
        rollout = self.rollout()
        if not rollout.revision:
            self.versions.note_deployed(Version(0, checked(OLD)))
        number = rollout.latest + 1
        assert self.versions.add(Version(number, checked(segments), mark=str(number), note=note))
        assert self.versions.save(rollout.stage(number, at=self.now))

    def abandon(self) -> None:
        rollout = self.rollout()
        if rollout.staged is not None:
            assert self.versions.save(rollout.abandon(at=self.now))

    def come(self, *events: Event) -> None:
        """Let one of the functions process events."""
        batch = {f"m{n}": [one] for n, one in enumerate(events)}
        while batch:
            # What failed, because it is not known what rules, comes again.
            processor, _ = self.chance.choice(self.functions)
            failed = processor.events(batch).failed
            assert {type(error) for error in failed.values()} <= {DefinitionsUnknown}
            batch = {message: batch[message] for message in failed}
            self.now += SECOND if batch else 0
        self.replay.now = self.now
        assert self.replay.process(*events) == {}

    def pass_time(self, milliseconds: int) -> None:
        self.now += milliseconds
        due = {one for at, one in self.woken if at <= self.now}
        self.woken = [(at, one) for at, one in self.woken if at > self.now]
        for one in self.store.items:
            profile = self.store.profile(one)
            if profile.due_at is not None and profile.due_at <= self.now:
                due.add(one)
        while due:
            due = {one for one in due if self.chance.choice(self.functions)[1].wake_ups([one]).failed}
            self.now += SECOND if due else 0
        asked = [one for at, one in self.rebuilds if at <= self.now]
        self.rebuilds = [(at, one) for at, one in self.rebuilds if at > self.now]
        for one in asked:
            self.rebuilder.rebuild(one)

    def look(self) -> None:
        self.driver.drive()

    def message(self) -> None:
        """Deliver a message of recomputing, now and then twice."""
        if self.messages:
            run, number = self.messages.pop(self.chance.randrange(len(self.messages)))
            for _ in range(self.chance.choice([1, 1, 2])):
                self.bucket.work(run.id, number, out_of_time=lambda: self.chance.random() < 0.3)

    def finish(self) -> None:
        """Let time pass until nothing is under way any more."""
        for _ in range(200):
            self.pass_time(20 * SECOND)
            self.look()
            while self.messages:
                self.message()
            if not self.rollout().under_way and not self.rebuilds:
                break
        else:
            pytest.fail(f"it does not end: {self.rollout()}")
        self.pass_time(HOUR)
        self.replay.now = self.now
        for profile_id in set(self.replay.rebuilds):
            Rebuilder(
                store=self.replay.store,
                engine=self.replay.engine,
                history=lambda ids, _since: once_each(one for one in self.replay.archived if one.profile_id in ids),
                archive=self.replay.archive,
                wake=self.replay.wake,
                clock=lambda: self.now,
                pause=lambda _attempt: None,
            ).rebuild(profile_id)

    # What has come of it.

    def people(self) -> list[str]:
        return [one for one in self.store.items if not self.store.profile(one).merged_into]

    def check(self) -> None:
        """Compare everybody with the replay, now and later, and what was published with what is stored."""
        engine = self.replay.engine
        for one in self.people():
            profile = self.store.profile(one)
            expected = self.replay.store.profile(one)
            assert profile.definitions == self.engines().fresh().active.fingerprint
            stored = {name for name, known in profile.memberships.items() if known.member}
            assert stored == set(engine.memberships(expected, self.now)), one
            for later in (0, MINUTE, HOUR, DAY, 3 * DAY, 9 * DAY, 25 * DAY):
                at = self.now + later
                verdicts = engine.evaluate(profile, at)
                assert {name for name, (truth, _) in verdicts.items() if truth} == self.replay.members(one, at), later
            assert self.published(one) == stored

    def published(self, profile_id: str) -> set[str]:
        """Return what somebody who follows the flips takes for the memberships; each must turn one."""
        members: set[str] = set()
        flips = sorted((v, f.segment, f.entered) for one, v, f in self.store.published if one == profile_id)
        for version, name, entered in flips:
            assert (name in members) is not entered, (version, name, entered)
            members.symmetric_difference_update({name})
        return members


def happening(chance: random.Random, number: int, now: Instant) -> list[Event]:  # noqa: PLR0911 - a choice of things
    """Return something that happens: now or long ago, to a person or a browser, alone or as a scanner's burst."""
    at = now - chance.choice([0, 0, SECOND, HOUR, chance.randrange(50 * DAY)])
    who: dict[str, Any] = {"profile_id": chance.choice([ANNA, ANNA, OTHER])}
    name = f"event-{number}"
    if chance.random() < 0.1:
        who["profile_id"] = f"{number:022d}"
        yes = consented(at=at, id=f"yes-{number}", received_at=now, **who)
        return [yes, event("product_viewed", id=name, at=at, received_at=now, **who)]
    match chance.randrange(8):
        case 0:
            mail = {"campaign": "spring", "instance": str(number % 5)}
            return [event("email_delivered", id=name, at=at, properties=mail, received_at=now, **who)]
        case 1:
            return [opened(name, at, str(number % 5)).model_copy(update={"received_at": now, **who})]
        case 2:
            hit = click(name, at, chance.randrange(9), instance=str(number % 5))
            return [hit.model_copy(update={"received_at": now, **who})]
        case 3:
            hits = [click(f"{name}-{n}", at + n, n, instance=str(number)) for n in (1, 2, 3)]
            return [one.model_copy(update={"received_at": now, **who}) for one in hits]
        case 4 if chance.random() < 0.4:
            said = [{"kind": "user_id", "id": ANNA}, {"kind": "anonymous_id", "id": BROWSER}]
            return [event("identified", id=name, at=now, identities=said, received_at=now)]
        case kind:
            event_type = ("product_viewed", "product_added", "order_completed")[kind % 3]
            if chance.random() < 0.2:
                who = {"identities": [{"kind": "anonymous_id", "id": BROWSER}]}
            return [event(event_type, id=name, at=at, received_at=now, **who)]


def begun(seed: int, last: list[SegmentDefinition]) -> tuple[Shop, Iterator[list[Event]]]:
    """Return a shop in which much has happened, and what happens on."""
    shop = Shop(seed, last)

    def events() -> Iterator[list[Event]]:
        for number in range(10**6):
            yield happening(shop.chance, number, shop.now)

    coming = events()
    browser = [{"kind": "anonymous_id", "id": BROWSER}]
    shop.come(consented(at=NOW - 60 * DAY), consented(at=NOW - 60 * DAY, profile_id=OTHER, id="other"))
    shop.come(consented(at=NOW - 60 * DAY, identities=browser, id="browser"))
    for _ in range(25):
        shop.pass_time(shop.chance.choice([SECOND, MINUTE, HOUR]))
        shop.come(*next(coming))
    shop.pass_time(HOUR)
    return shop, coming


def live(shop: Shop, coming: Iterator[list[Event]], steps: int) -> None:
    """Let events, messages and looks of the driver happen in any order."""
    again: list[list[Event]] = []
    for _ in range(steps):
        match shop.chance.randrange(6):
            case 0 | 1:
                some = next(coming)
                shop.come(*some)
                again.append(some)
            case 2 if again:
                shop.come(*shop.chance.choice(again))
            case 3:
                shop.look()
            case 4:
                shop.message()
            case _:
                shop.pass_time(shop.chance.choice([SECOND, 5 * SECOND, 15 * SECOND, MINUTE]))


@pytest.mark.parametrize("seed", range(30))
def test_members_equal_a_replay_if_definitions_change_while_events_go_on(seed: int) -> None:
    # given
    shop, coming = begun(seed, NEW)
    # when
    shop.apply(NEW)
    live(shop, coming, 120)
    shop.finish()
    # then
    shop.check()
    because = Counter((one, flip.segment) for one, _, flip in shop.store.published if flip.reason == "definition")
    assert set(because.values()) <= {1}


@pytest.mark.parametrize("seed", range(15))
def test_a_version_that_is_abandoned_at_any_time_leaves_everybody_as_they_were(seed: int) -> None:
    # given
    shop, coming = begun(seed, OLD)
    shop.apply(NEW)
    live(shop, coming, shop.chance.randrange(100))
    # when: if it rules by now, the old definitions are applied again
    if shop.rollout().staged is None:
        shop.apply(OLD)
    else:
        shop.abandon()
    live(shop, coming, 40)
    shop.finish()
    # then
    shop.check()


@pytest.mark.parametrize("seed", range(30))
def test_a_version_that_is_replaced_at_any_time_counts_for_nothing(seed: int) -> None:
    # given
    shop, coming = begun(seed, OTHERS)
    shop.apply(NEW)
    live(shop, coming, shop.chance.randrange(120))
    # when
    shop.apply(OTHERS)
    live(shop, coming, 60)
    shop.finish()
    # then
    shop.check()


@pytest.mark.parametrize("seed", range(15))
def test_back_and_forth_in_a_hurry(seed: int) -> None:
    # given
    shop, coming = begun(seed, NEW)
    # when
    for _ in range(5):
        shop.apply(shop.chance.choice([NEW, OTHERS, OLD]))
        live(shop, coming, shop.chance.randrange(50))
        if shop.chance.random() < 0.4:
            shop.abandon()
            live(shop, coming, shop.chance.randrange(20))
    shop.apply(NEW)
    live(shop, coming, 30)
    shop.finish()
    # then
    shop.check()


def test_an_edit_of_a_threshold_flips_exactly_those_who_should_each_once() -> None:
    # given: people with none to five orders each, and what the history says of each
    shop = Shop(7, NEW)
    before, after = (next(one.rule for one in some if one.name == "buyers") for some in (OLD, NEW))
    people = [f"{number:022d}" for number in range(30)]
    histories = {one: History(one) for one in people}
    for number, one in enumerate(people):
        shop.come(consented(at=NOW - 60 * DAY, profile_id=one, id=f"yes-{number}"))
        for order in range(number % 6):
            at = NOW - (order + 1) * DAY
            shop.come(event("order_completed", id=f"{number}-{order}", at=at, profile_id=one, received_at=NOW))
            histories[one].add(Happened(f"{number}-{order}", "order_completed", at, {}))
    shop.pass_time(10 * MINUTE)
    published = len(shop.store.published)
    only = [*(one for one in OLD if one.name != "buyers"), next(one for one in NEW if one.name == "buyers")]
    # when
    shop.apply(only)
    shop.finish()
    # then
    flips = [(one, flip.segment, flip.entered, flip.reason) for one, _, flip in shop.store.published[published:]]
    turned = [
        (one, "buyers", holds(after, person, shop.now, {}), "definition")
        for one, person in histories.items()
        if holds(before, person, shop.now, {}) != holds(after, person, shop.now, {})
    ]
    assert sorted(flips) == sorted(turned)
    assert len(turned) == 5


def test_who_was_switched_and_takes_in_somebody_who_was_not_is_evaluated_by_the_old_ones_until_both_were() -> None:
    # given: Anna is switched; what her browser did before is not united with her yet
    shop = Shop(3, NEW)
    shop.come(consented(at=NOW - 60 * DAY))
    browser = [{"kind": "anonymous_id", "id": BROWSER}]
    shop.come(consented(at=NOW - 60 * DAY, identities=browser, id="browser"))
    shop.come(*(event("order_completed", id=f"o{n}", at=NOW - n * DAY, identities=browser) for n in (1, 2)))
    shop.pass_time(HOUR)
    shop.apply(NEW)
    shop.look()
    shop.pass_time(10 * MINUTE)
    shop.look()
    run = shop.runs.read()
    assert run is not None
    shop.bucket.work(run.id, bucket(ANNA), out_of_time=lambda: False)
    staged = Engine(checked(NEW), mark="1").fingerprint
    assert shop.store.profile(ANNA).definitions == staged
    # when
    said = [{"kind": "user_id", "id": ANNA}, {"kind": "anonymous_id", "id": BROWSER}]
    shop.come(event("identified", id="it is me", at=shop.now, identities=said))
    # then
    assert shop.store.profile(ANNA).definitions == Engine(checked(OLD)).fingerprint
    assert "buyers" in shop.store.profile(ANNA).memberships
    # when
    shop.finish()
    # then
    assert shop.store.profile(ANNA).definitions == staged
    shop.check()


def test_who_is_in_a_segment_that_is_gone_leaves_it_once() -> None:
    # given
    shop = Shop(3, NEW)
    shop.come(consented(at=NOW - 60 * DAY), event("product_viewed", at=NOW - DAY))
    shop.pass_time(10 * MINUTE)
    # when
    shop.apply(NEW)
    shop.finish()
    # then
    flips = [(flip.segment, flip.entered, flip.reason) for _, _, flip in shop.store.published]
    assert [one for one in flips if one[0] == "viewers"] == [
        ("viewers", True, "consent"),
        ("viewers", False, "definition"),
    ]
    assert Engine(checked(NEW), mark="1").fingerprint == shop.store.profile(ANNA).definitions


def test_a_function_that_cannot_ask_what_rules_processes_nothing() -> None:
    # given
    shop = Shop(3, NEW)
    shop.come(consented(at=NOW - 60 * DAY))
    processor = Processor(
        store=shop.store,
        engine=shop.engines(failing=1),
        archive=shop.archive,
        wake=shop.wake,
        rebuild=shop.rebuild,
        clock=lambda: shop.now,
    )
    # when
    failed = processor.events({"m": [event("order_completed", at=NOW)]}).failed
    # then
    assert list(failed) == ["m"]
    assert isinstance(failed["m"], DefinitionsUnknown)
    assert "lately" not in shop.store.profile(ANNA).memberships


def test_it_waits_until_the_archive_has_what_functions_of_before_received() -> None:
    # given
    shop = Shop(3, NEW)
    shop.come(consented(at=NOW - 60 * DAY))
    shop.apply(NEW)
    # when
    shop.look()
    staged_at = shop.now
    phases: dict[Phase, Instant] = defaultdict(int)
    for _ in range(60):
        shop.now += 10 * SECOND
        shop.look()
        while shop.messages:
            shop.message()
        phases[shop.rollout().phase] = phases[shop.rollout().phase] or shop.now - staged_at
    # then
    assert phases[Phase.BACKFILLING] == SETTLE + BEHIND
    assert len(phases) == 4
    assert BUCKETS == 16
