"""Recomputing in memory: what comes of changed definitions equals a replay, whatever happens beside or in between."""

from __future__ import annotations

import random
from collections.abc import Collection
from functools import partial

import pytest

from mailtailor.consent.policy import Consent, Purpose
from mailtailor.events.archive import once_each
from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR, MINUTE, Instant
from mailtailor.profiles.rebuild import Rebuilder
from mailtailor.profiles.recompute import Person, Recomputer, Tally
from mailtailor.profiles.store import Conflict
from mailtailor.segments.definition import SegmentDefinition
from tests.unit.profiles.test_rebuild import click, opened
from tests.unit.profiles.world import ANNA, BROWSER, NOW, OTHER, World, consented, event, segment

OLD = [segment("viewers", {"event": "product_viewed", "within": "30d"})]
NEW = [
    segment("clickers", {"event": "email_link_clicked", "within": "20d", "at_least": 2}),
    segment("buyers", {"event": "order_completed", "within": "30d", "at_least": 2}),
    segment("customers", {"event": "order_completed", "first": True, "older_than": "3d"}),
    segment("abandoners", {"event": "product_added", "within": "9d", "not_followed_by": {"event": "order_completed"}}),
    segment("openers", {"opened_share": 0.5, "within": "30d"}),
    segment("viewers", {"event": "product_viewed", "within": "10d", "at_least": 2}),
]


class Changed(World):
    """A world whose definitions change, and one beside it that had the new ones from the beginning."""

    def __init__(self, old: list[SegmentDefinition], new: list[SegmentDefinition]) -> None:
        super().__init__(segments=old)
        self.replay = World(segments=new)
        self.failed: list[str] = []

    def come(self, *events: Event) -> None:
        self.replay.now = self.now
        assert self.process(*events) == self.replay.process(*events) == {}

    def rebuild_all(self) -> None:
        """Do what the rebuilder is asked for, in both worlds."""
        for world in (self, self.replay):
            for profile_id in set(world.rebuilds):
                rebuilder = Rebuilder(
                    store=world.store,
                    engine=world.engine,
                    history=partial(_history, world),
                    archive=world.archive,
                    wake=world.wake,
                    clock=lambda: self.now,
                    pause=lambda _attempt: None,
                )
                rebuilder.rebuild(profile_id)
            world.rebuilds.clear()

    def deploy(self) -> None:
        self.engine = self.replay.engine
        self.processor = self.fresh()

    def recomputer(self) -> Recomputer:
        return Recomputer(
            store=self.store,
            engine=self.engine,
            archive=self.archive,
            wake=self.wake,
            rebuild=self.rebuild,
            clock=lambda: self.now,
            pause=lambda _attempt: None,
            failed=lambda profile_id, _error: self.failed.append(profile_id),
        )

    def person(self, profile_id: str = ANNA) -> Person:
        ids = self.store.profile(profile_id).identities | {profile_id}
        return Person(profile_id, ids, once_each(one for one in self.archived if one.profile_id in ids))

    def recompute(self, profile_id: str = ANNA, *, dry_run: bool = False) -> Tally:
        return self.recomputer().recompute([self.person(profile_id)], dry_run=dry_run)


def _history(world: World, profile_ids: Collection[str], since: Instant) -> list[Event]:
    return once_each(one for one in world.archived if one.profile_id in profile_ids and one.received_at >= since)


def random_life(seed: int) -> list[tuple[int, Event]]:
    """Return events in order of their coming, with the instant of it: some late, some twice, some a machine's."""
    chance = random.Random(seed)
    life = [(NOW - 60 * DAY, consented(at=NOW - 61 * DAY))]
    for number in range(40):
        at = NOW - chance.randrange(60 * DAY)
        name = f"event-{number}"
        match chance.randrange(6):
            case 0:
                mail = {"campaign": "spring", "instance": str(number)}
                one = event("email_delivered", id=name, at=at, properties=mail, received_at=at)
            case 1:
                one = opened(name, at, str(number - 1))
            case 2:
                one = click(name, at, chance.randrange(9), instance=str(number // 4))
            case kind:
                event_type = ("product_viewed", "product_added", "order_completed")[kind - 3]
                one = event(event_type, id=name, at=at, received_at=at)
        life += [(at + late, one) for late in (0, chance.choice([0, MINUTE, 2 * DAY]))[: chance.randrange(1, 3)]]
        if one.type == "email_link_clicked" and chance.random() < 0.4:
            burst = [click(f"{name}-{n}", at + n, n, instance=str(number // 4)) for n in (1, 2, 3)]
            life += [(at + HOUR // 2, other) for other in burst]
    return sorted(life, key=lambda pair: pair[0])


def lived(seed: int) -> Changed:
    world = Changed(OLD, NEW)
    for when, one in random_life(seed):
        world.now = when
        world.come(one)
        world.rebuild_all()
    world.now = world.replay.now = max(world.now, NOW)
    return world


@pytest.mark.parametrize("seed", range(60))
def test_members_equal_a_replay_now_and_at_all_times_to_come(seed: int) -> None:
    # given
    world = lived(seed)
    world.deploy()
    # when
    tally = world.recompute()
    # then
    assert tally.profiles == 1
    for later in range(0, 70 * DAY, 5 * HOUR):
        assert world.members(at=world.now + later) == world.replay.members(at=world.now + later)


@pytest.mark.parametrize("seed", range(20))
def test_doing_it_again_changes_nothing(seed: int) -> None:
    # given
    world = lived(seed)
    world.deploy()
    world.recompute()
    writes, published = world.store.writes, list(world.store.published)
    # when
    tally = world.recompute()
    # then
    assert (tally.changed, tally.flips) == (0, 0)
    assert (world.store.writes, world.store.published) == (writes, published)


def test_hits_that_are_young_when_definitions_change_count_for_the_new_ones() -> None:
    # given: what the stored hits count for was decided by the old ones
    world = Changed(OLD, NEW)
    world.come(consented(), click("one", NOW - 2 * MINUTE), click("two", NOW - MINUTE, 2, instance="x"))
    world.deploy()
    # when
    world.recompute()
    # then
    assert "clickers" in world.members()
    assert "clickers" in world.members(at=NOW + DAY)


@pytest.mark.parametrize("operation", ["load", "archive", "wake", "save", "saved"])
def test_whatever_it_dies_of_once_nothing_is_lost_or_doubled(operation: str) -> None:
    # given: something to archive, a wake-up that is near, and flips
    near = [*NEW, segment("lately", {"event": "order_completed", "within": "150s"})]
    world = Changed(OLD, near)
    burst = [click(f"burst-{n}", NOW - 5 * DAY + n, n) for n in (1, 2, 3)]
    orders = [event("order_completed", id=f"o{n}", at=NOW - n * MINUTE) for n in (1, 2)]
    world.come(consented(), *orders)
    world.archived += burst
    world.deploy()
    dying = [True]

    def die(called: str) -> None:
        if called == operation and dying:
            dying.clear()
            raise RuntimeError

    world.store.before = die
    # when
    with pytest.raises(RuntimeError):
        world.recompute()
    world.recompute()
    # then
    flips = [(flip.segment, flip.entered) for _, _, flip in world.store.published]
    assert sorted(flips) == [("buyers", True), ("lately", True)]
    assert {one.properties["corrects"] for one in world.archived if one.type == "event_corrected"} == {
        one.id for one in burst
    }
    assert (90, ANNA) in world.woken


def test_a_live_event_between_read_and_write_counts_once() -> None:
    # given
    world = Changed(OLD, NEW)
    world.come(consented(), event("order_completed", id="before", at=NOW - DAY))
    world.deploy()
    person = world.person()
    live = event("order_completed", id="live", at=NOW)

    def come(operation: str) -> None:
        if operation == "save":
            world.store.before = lambda _operation: None
            world.come(live)

    world.store.before = come
    # when
    tally = world.recomputer().recompute([person])
    # then
    assert tally.conflicts == 1
    assert "buyers" in world.members()
    assert [flip.segment for _, _, flip in world.store.published] == ["buyers"]


def test_who_is_written_by_others_all_the_time_is_left_out_and_told() -> None:
    # given
    world = Changed(OLD, NEW)
    world.come(consented(), consented(profile_id=OTHER, id="o"), event("order_completed", profile_id=OTHER, id="o-1"))
    world.deploy()

    def contend(operation: str) -> None:
        if operation == "save":
            raise Conflict(ANNA)

    world.store.before = contend
    # when
    tally = world.recomputer().recompute([world.person()])
    # then
    assert (tally.failed, tally.profiles) == (1, 0)
    assert world.failed == [ANNA]


def test_an_item_that_cannot_be_read_does_not_stop_the_others() -> None:
    # given
    world = Changed(OLD, NEW)
    world.come(consented(), consented(profile_id=OTHER, id="o"), event("product_viewed", profile_id=OTHER, id="v"))
    world.deploy()
    people = [world.person(), world.person(OTHER)]
    world.store.items[ANNA]["streams"] = {"B": b"\xff"}
    # when
    tally = world.recomputer().recompute(people)
    # then
    assert world.failed == [ANNA]
    assert (tally.failed, tally.profiles) == (1, 1)


@pytest.mark.parametrize("because", ["incomplete", "merged", "knows more ids"])
def test_who_is_not_to_be_trusted_is_left_to_the_rebuilder(because: str) -> None:
    # given
    world = Changed(OLD, NEW)
    world.come(consented(), consented(profile_id=BROWSER, id="b"))
    world.deploy()
    person = world.person(BROWSER if because == "merged" else ANNA)
    if because == "incomplete":
        loaded = world.store.load([ANNA])[ANNA]
        loaded.profile.incomplete = True
        world.store.save(loaded, ())
    else:
        known = [{"kind": "user_id", "id": ANNA}, {"kind": "anonymous_id", "id": BROWSER}]
        world.come(event("identified", identities=known))
    # when
    tally = world.recomputer().recompute([person])
    # then
    assert tally == Tally(left=1)
    assert world.rebuilds == [ANNA]
    assert world.store.profile(ANNA).incomplete


def test_nobody_is_made_anew_of_what_the_archive_knows() -> None:
    # given
    world = Changed(OLD, NEW)
    # when
    tally = world.recomputer().recompute([Person(ANNA, frozenset({ANNA}), [event("order_completed")])])
    # then
    assert tally == Tally(unknown=1)
    assert not world.store.items


def test_a_dry_run_counts_and_writes_nothing() -> None:
    # given
    world = lived(3)
    world.deploy()
    before, writes = dict(world.store.items), world.store.writes
    # when
    would = world.recompute(dry_run=True)
    # then
    assert (world.store.items, world.store.writes) == (before, writes)
    # when
    did = world.recompute()
    # then
    assert (would.entered, would.exited, would.members) == (did.entered, did.exited, did.members)


def test_a_person_met_again_is_counted_once() -> None:
    # given
    world = lived(3)
    world.deploy()
    met = world.person()
    again = Person(met.id, met.ids, met.events, counted=False)
    # when
    dry = world.recomputer().recompute([again], dry_run=True)
    first = world.recomputer().recompute([met])
    second = world.recomputer().recompute([again])
    # then
    assert first.profiles == 1
    assert dry == second == Tally()


def test_withdrawn_consent_is_obeyed() -> None:
    # given
    world = Changed(OLD, NEW)
    world.come(consented(), *(event("product_viewed", id=f"v{n}", at=NOW - n) for n in range(2)))
    loaded = world.store.load([ANNA])[ANNA]
    loaded.profile.consent[Purpose.PERSONALIZATION] = Consent(granted=False, at=NOW)
    world.store.save(loaded, ())
    world.deploy()
    # when
    world.recompute()
    # then
    assert world.members() == set()


def test_tallies_add_up() -> None:
    total = Tally(profiles=1, entered={"a": 1})
    total.add(Tally(profiles=2, changed=1, entered={"a": 2, "b": 1}, exited={"c": 4}))
    assert total == Tally(profiles=3, changed=1, entered={"a": 3, "b": 1}, exited={"c": 4})
    assert total.flips == 8
