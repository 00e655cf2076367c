from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtailor.consent.policy import Consent, Purpose
from mailtailor.events.archive import once_each
from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR, MINUTE, Instant
from mailtailor.profiles import corrections
from mailtailor.profiles.processing import EndlessPointers, TooManyConflicts
from mailtailor.profiles.profile import Profile
from mailtailor.profiles.rebuild import Rebuilder, Rebuilt
from mailtailor.profiles.store import Conflict
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.memory import PROVISIONAL
from mailtailor.segments.streams import Provisional
from tests.unit.profiles.memory_store import MemoryStore
from tests.unit.profiles.world import ANNA, BROWSER, MAIL, NOW, World, consented, event, segment

CLICKERS = [
    segment("clickers", {"event": "email_link_clicked", "within": "30d", "at_least": 3}),
    segment("lately", {"event": "email_link_clicked", "within": "150s"}),
    segment("openers", {"opened_share": 0.7, "within": "30d"}),
]


class Archive:
    """What the archive would answer, and how often it was asked."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.asked: list[set[str]] = []

    def __call__(self, profile_ids: Collection[str], since: Instant) -> list[Event]:
        self.asked.append(set(profile_ids))
        return once_each(one for one in self.events if one.profile_id in profile_ids and one.received_at >= since)


class Repair(World):
    """A processor and a rebuilder around one store."""

    def __init__(
        self, store: MemoryStore | None = None, segments: Iterable[SegmentDefinition] = tuple(CLICKERS)
    ) -> None:
        super().__init__(store, segments)
        self.history = Archive()
        self.rebuilder = Rebuilder(
            store=self.store,
            engine=self.engine,
            history=self.history,
            archive=self.archive,
            wake=self.wake,
            clock=lambda: self.now,
            pause=lambda _attempt: None,
        )

    def come(self, *events: Event) -> None:
        """Process events, and let the archive know what was accepted of them."""
        before = len(self.archived)
        assert self.process(*events) == {}
        self.history.events += self.archived[before:]

    def later(self, by: int) -> None:
        self.now += by

    def damage(self, profile_id: str = ANNA, **streams: Any) -> None:
        """Store the profile as incomplete, with the streams given instead of its own."""
        loaded = self.store.load([profile_id])[profile_id]
        loaded.profile.incomplete = True
        if streams:
            loaded.profile.streams = streams["streams"]
        self.store.save(loaded, ())


def click(name: str, at: Instant, position: int = 1, *, instance: str = "", received: Instant = 0) -> Event:
    properties = {"campaign": "spring", "position": position, "instance": instance, "url": "https://shop.example/"}
    return event("email_link_clicked", id=name, at=at, properties=properties, received_at=max(received, at))


def opened(name: str, at: Instant, instance: str = "", **more: Any) -> Event:
    properties = {"campaign": "spring", "instance": instance, **more}
    return event("email_opened", id=name, at=at, properties=properties, received_at=at)


def correction(of: Event, now: Instant) -> Event:
    made = corrections.correction(ANNA, of.id, at=of.occurred_at, reason="esp", now=now)
    return made.model_copy(update={"properties": {**made.properties, "campaign": "spring"}})


@pytest.fixture
def world() -> Repair:
    made = Repair()
    made.come(consented(at=NOW - DAY))
    made.now = NOW + 10 * DAY
    return made


def three_people_then_three_scanners(world: Repair) -> list[Event]:
    """Let three clicks of a person be pushed out by three that are corrected when they have long been settled."""
    human = [click(f"human-{n}", NOW + n * DAY, instance=f"h{n}") for n in range(3)]
    scanner = [click(f"scanner-{n}", NOW + 5 * DAY + n * HOUR, instance=f"s{n}") for n in range(3)]
    for one in [*human, *scanner]:
        world.now = one.occurred_at
        world.come(one)
        world.later(2 * HOUR)
        world.waker.wake_ups([ANNA])
    world.now = NOW + 10 * DAY
    world.come(consented(at=NOW + 9 * DAY))  # any write settles what is no longer provisional
    return scanner


def test_what_machines_pushed_out_of_memory_comes_back_from_the_archive(world: Repair) -> None:
    # given
    scanner = three_people_then_three_scanners(world)
    world.come(*(correction(one, world.now) for one in scanner))
    assert world.rebuilds
    assert "clickers" not in world.members()

    # when
    done = world.rebuilder.rebuild(ANNA)

    # then
    assert "clickers" in world.members()
    assert done.flips == 1
    assert [flip.reason for _, _, flip in world.store.published][-1] == "rebuild"
    assert not world.store.profile(ANNA).incomplete


def test_corrections_that_have_not_reached_the_archive_hold_all_the_same(world: Repair) -> None:
    # given
    scanner = three_people_then_three_scanners(world)
    world.process(*(correction(one, world.now) for one in scanner[:2]))

    # when
    world.rebuilder.rebuild(ANNA)

    # then: they hold in the next rebuild too, which learns of the third
    world.history.events.append(correction(scanner[2], world.now))
    assert "clickers" in world.members()
    world.damage()
    world.rebuilder.rebuild(ANNA)
    assert "clickers" in world.members()
    world.history.events += [correction(click(f"human-{n}", NOW + n * DAY), world.now) for n in range(3)]
    world.damage()
    world.rebuilder.rebuild(ANNA)
    assert "clickers" not in world.members()


def test_a_burst_whose_last_click_came_too_late_to_be_judged_is_found_and_archived(world: Repair) -> None:
    # given: two clicks of a burst, settled since, and a third that waited in a dead-letter queue
    at = NOW + 9 * DAY
    world.now = at
    world.come(click("one", at, 1), click("two", at + 100, 2))
    world.later(2 * HOUR)
    world.come(consented(at=world.now))
    world.process(click("three", at + 200, 3, received=at + 200))
    assert world.rebuilds == [ANNA]
    assert "clickers" in world.members()

    # when: the archive does not know the third yet
    done = world.rebuilder.rebuild(ANNA)

    # then
    assert "clickers" not in world.members()
    assert done.corrected == 3
    assert {one.properties["corrects"] for one in world.archived if one.type == corrections.TYPE} == {
        "one",
        "two",
        "three",
    }


def test_a_late_click_is_known_by_siblings_that_were_corrected_long_ago(world: Repair) -> None:
    # given
    at = NOW + 9 * DAY
    world.now = at
    world.come(*(click(f"burst-{n}", at + n, n) for n in (1, 2, 3)))
    world.later(2 * HOUR)
    world.come(consented(at=world.now))
    late = click("late", at + 2, 4, received=at + 2)
    world.come(late)

    # when
    done = world.rebuilder.rebuild(ANNA)

    # then: they are not corrected again
    assert done.corrected == 1
    assert world.archived[-1].properties["corrects"] == "late"
    assert "lately" not in world.members(at=at + MINUTE)


def test_a_repeated_request_does_nothing_and_does_not_ask_the_archive(world: Repair) -> None:
    # given
    world.come(click("one", NOW + DAY))
    world.damage()
    world.rebuilder.rebuild(ANNA)
    writes = world.store.writes
    # when
    again = world.rebuilder.rebuild(ANNA)
    # then
    assert again == Rebuilt()
    assert (world.store.writes, len(world.history.asked)) == (writes, 1)


def test_an_unknown_profile_is_nobodys(world: Repair) -> None:
    assert world.rebuilder.rebuild("Z" * 22) == Rebuilt()
    assert "Z" * 22 not in world.store.items


def test_the_history_of_those_who_became_part_of_a_profile_is_its_own(world: Repair) -> None:
    # given: clicks of a profile that was merged, which the winner has lost
    loser = [click(f"old-{n}", NOW + n * DAY).model_copy(update={"profile_id": MAIL}) for n in range(3)]
    world.history.events += loser
    loaded = world.store.load([ANNA])[ANNA]
    loaded.profile.identities = frozenset({MAIL})
    world.store.save(loaded, ())
    world.store.point(MAIL, to=ANNA)
    world.damage()

    # when: the request names the profile by its old id
    world.rebuilder.rebuild(MAIL)

    # then
    assert world.history.asked == [{ANNA, MAIL}]
    assert "clickers" in world.members()


def test_pointers_in_a_circle_are_an_error(world: Repair) -> None:
    world.store.point(BROWSER, to=MAIL)
    world.store.point(MAIL, to=BROWSER)
    with pytest.raises(EndlessPointers):
        world.rebuilder.rebuild(MAIL)


def test_a_conflict_unites_again_without_reading_the_archive_again(world: Repair) -> None:
    # given
    for n in range(2):
        world.come(click(f"archived-{n}", NOW + n * DAY, instance=f"a{n}"))
    world.damage(streams={})
    newer = click("newer", NOW + 9 * DAY, instance="n")

    def meanwhile(operation: str) -> None:
        if operation == "save":
            world.store.before = lambda _operation: None
            world.process(newer)

    world.store.before = meanwhile
    # when
    done = world.rebuilder.rebuild(ANNA)
    # then
    assert done.conflicts == 1
    assert len(world.history.asked) == 1
    assert "clickers" in world.members()


def test_a_profile_that_is_written_without_end_is_for_a_later_try(world: Repair) -> None:
    # given
    world.damage()

    def conflict(operation: str) -> None:
        if operation == "save":
            raise Conflict(ANNA)

    world.store.before = conflict
    # then
    with pytest.raises(TooManyConflicts):
        world.rebuilder.rebuild(ANNA)


@pytest.mark.parametrize("at", ["archive", "wake", "save", "saved"])
def test_a_rebuild_that_dies_anywhere_is_made_good_by_the_next(world: Repair, at: str) -> None:
    # given: a burst found only now, and a membership that ends within a minute
    moment = world.now - 2 * MINUTE
    world.history.events += [click(f"burst-{n}", NOW + n, n) for n in (1, 2, 3)]
    world.history.events += [click(f"human-{n}", NOW + n * DAY, instance=f"h{n}") for n in range(2)]
    world.history.events.append(click("last", moment, instance="l"))
    world.damage()

    def die(operation: str) -> None:
        if operation == at:
            world.store.before = lambda _operation: None
            raise SystemExit

    world.store.before = die
    with pytest.raises(SystemExit):
        world.rebuilder.rebuild(ANNA)

    # when
    world.rebuilder.rebuild(ANNA)

    # then
    assert world.members() >= {"clickers", "lately"}
    assert {one.id for one in world.archived if one.type == corrections.TYPE} == {
        f"correction:burst-{n}" for n in (1, 2, 3)
    }
    assert (30, ANNA) in world.woken
    assert not world.store.profile(ANNA).incomplete


def test_without_consent_to_tracking_archived_behaviour_stays_unused(world: Repair) -> None:
    # given
    world.history.events += [click(f"human-{n}", NOW + n * DAY, instance=f"h{n}") for n in range(3)]
    loaded = world.store.load([ANNA])[ANNA]
    loaded.profile.consent = {**loaded.profile.consent, Purpose.TRACKING: Consent(granted=False, at=world.now)}
    world.store.save(loaded, ())
    world.damage()
    # when
    world.rebuilder.rebuild(ANNA)
    # then
    profile = world.store.profile(ANNA)
    assert (profile.incomplete, "clickers" in world.members()) == (False, False)


def test_a_machines_last_open_does_not_hide_the_persons_own(world: Repair) -> None:
    # given: the machine's, corrected when settled, came last
    delivered = event("email_delivered", at=NOW, properties={"campaign": "spring"})
    human, machine = opened("human", NOW + HOUR), opened("machine", NOW + DAY)
    for one in (delivered, human, machine):
        world.now = one.occurred_at
        world.come(one)
        world.later(2 * HOUR)
    world.come(consented(at=world.now))
    world.come(correction(machine, world.now))
    assert "openers" not in world.members()
    # when
    world.rebuilder.rebuild(ANNA)
    # then
    assert "openers" in world.members()


KINDS = st.sampled_from(["human", "human", "labelled", "corrected"])


@settings(max_examples=150, deadline=None)
@given(
    history=st.lists(st.tuples(st.integers(0, 9 * 24), KINDS, st.booleans()), max_size=14),
    newest_archived=st.integers(0, 10 * 24),
    repeated=st.integers(1, 2),
)
def test_a_rebuilt_profile_is_what_one_without_machines_would_be(
    history: list[tuple[int, str, bool]], newest_archived: int, repeated: int
) -> None:
    # given: hits hours apart; the state lost some, and of the last ones the archive does not know yet
    world, pure = Repair(), Repair()
    world.come(consented(at=NOW - DAY))
    pure.come(consented(at=NOW - DAY))
    people: list[Event] = []
    for number, (hour, kind, in_state) in enumerate(sorted(history)):
        archived = hour <= newest_archived
        one = opened if number % 2 else click
        hit = one(f"hit-{number}", NOW + hour * HOUR + number * 20 * 1000, instance=str(number))
        if kind == "labelled":
            hit = hit.model_copy(update={"properties": {**hit.properties, "machine": "crawler"}})
        world.now = hit.occurred_at
        if in_state or not archived:
            world.process(hit)
        if archived:
            world.history.events.append(hit)
        if kind == "corrected" and archived:
            world.history.events.append(correction(hit, NOW + 15 * DAY))
        elif kind != "labelled":
            people.append(hit)
    world.now = NOW + 20 * DAY
    for hit in people:
        pure.now = hit.occurred_at
        pure.process(hit)
    pure.now = NOW + 20 * DAY
    for _ in range(repeated):
        world.damage()
        world.rebuilder.rebuild(ANNA)
    pure.damage()
    pure.rebuilder.rebuild(ANNA)

    # then
    assert world.members() == pure.members()
    assert settled(world.store.profile(ANNA)) == settled(pure.store.profile(ANNA))


def settled(profile: Profile) -> dict[int, Iterable[Any]]:
    """Return what is remembered for good."""
    return {
        feature: stream.entries
        for feature, stream in profile.streams.items()
        if feature != PROVISIONAL and not isinstance(stream, Provisional)
    }


BUYERS = [
    segment("spenders", {"sum": "total", "event": "order_completed", "within": "30d", "at_least": 100}),
    segment("twice", {"event": "order_completed", "within": "30d", "at_least": 2}),
    segment("new", {"event": "order_completed", "first": True, "within": "60h"}),
]


def test_a_deleted_order_stops_counting_and_what_it_hid_counts_again() -> None:
    # given three orders, of which two are kept by a count of two, and the first is known as the first
    world = Repair(segments=BUYERS)
    orders = [
        event("order_completed", id=f"o{n}", at=NOW - (3 - n) * DAY, properties={"total": 50.0}) for n in range(3)
    ]
    world.come(consented(), *orders)
    assert world.members() == {"spenders", "twice"}
    # when the first and the last turn out to be tests
    gone = [
        event("event_corrected", id=f"gone-{one.id}", properties={"corrects": one.id, "deleted": True})
        for one in (orders[0], orders[2])
    ]
    world.come(*gone)
    world.rebuilder.rebuild(ANNA)
    # then one order is left, two days old, which makes it the first
    assert world.members() == {"new"}


def test_an_order_that_comes_after_its_deletion_does_not_count() -> None:
    # given
    world = Repair(segments=BUYERS)
    world.come(consented(), event("event_corrected", id="gone", properties={"corrects": "o", "deleted": True}))
    # when
    world.come(event("order_completed", id="o", properties={"total": 500.0}))
    # then
    assert world.members() == set()
