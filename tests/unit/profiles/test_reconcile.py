"""Reconciling in memory: good health is silent, whatever comes late, twice or wrong, and each damage is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mailtailor.events.archive import once_each
from mailtailor.instant import DAY, FOREVER, HOUR, MINUTE
from mailtailor.profiles import reconcile
from mailtailor.profiles.profile import Profile
from mailtailor.profiles.recompute import Person
from mailtailor.profiles.reconcile import Findings, Reconciler
from mailtailor.segments.engine import Membership
from mailtailor.segments.streams import Occurrences
from tests.unit.profiles.test_recompute import NEW, Changed, random_life
from tests.unit.profiles.world import ANNA, BROWSER, NOW, World, consented, event, segment

BUYERS = [segment("buyers", {"event": "order_completed", "within": "30d", "at_least": 2})]


def person(world: World, profile_id: str = ANNA) -> Person:
    ids = world.store.profile(profile_id).identities | {profile_id}
    return Person(profile_id, ids, once_each(one for one in world.archived if one.profile_id in ids))


def compared(world: World, *people: Person, until: int = FOREVER) -> Findings:
    reconciler = Reconciler(store=world.store, clock=lambda: world.now)
    return reconciler.compare(people or [person(world)], engine=world.engine, until=until)


def silent(findings: Findings) -> bool:
    return not findings.mismatches and not findings.overdue and not findings.examples


def lived(seed: int) -> Changed:
    """Let somebody live to today, with late, repeated and machine's events, and rebuilds as they are asked for."""
    world = Changed(NEW, NEW)
    for when, one in random_life(seed):
        world.now = when
        world.come(one)
        world.rebuild_all()
        woken(world)
    return world


def woken(world: Changed) -> None:
    """Let the wake-ups come that are due."""
    while (due := world.store.profile(ANNA).due_at) is not None and due <= world.now:
        world.waker.wake_ups([ANNA])


@pytest.mark.parametrize("seed", range(40))
def test_good_health_is_silent_after_every_event_of_a_life(seed: int) -> None:
    # given
    world = Changed(NEW, NEW)
    alone = 0
    for when, one in random_life(seed):
        world.now = when
        world.come(one)
        world.rebuild_all()
        woken(world)
        # when
        findings = compared(world)
        alone += findings.alone
        # then
        assert silent(findings), (findings, one)
    assert alone > 10


def damaged(world: World, damage: Callable[[Profile], Any]) -> None:
    """Damage what is stored, as no function would."""
    loaded = world.store.load([ANNA])[ANNA]
    damage(loaded.profile)
    world.store.save(loaded, ())


def buyer(segments: Any = BUYERS) -> World:
    """Return a world in which somebody bought thrice, a wake-up waits, and nothing is on its way."""
    world = World(segments=segments)
    orders = [event("order_completed", id=f"o{n}", at=NOW - n * DAY, received_at=NOW - n * DAY) for n in (1, 2, 3)]
    assert world.process(consented(at=NOW - 9 * DAY), *orders) == {}
    world.now = NOW + HOUR
    return world


def streams(profile: Profile) -> Occurrences:
    [found] = [one for one in profile.streams.values() if isinstance(one, Occurrences)]
    return found


def test_who_is_well_is_compared_with_the_archive_alone_too() -> None:
    findings = compared(buyer())
    assert (findings.profiles, findings.compared, findings.alone, findings.skipped) == (1, 1, 1, {})
    assert silent(findings)


def test_a_lost_entry_is_found_even_before_it_makes_a_difference() -> None:
    # given: of two orders that are remembered, the newer one is gone; she is a member all the same, but not for as long
    world = buyer([segment("buyers", {"event": "order_completed", "within": "30d"})])
    world.process(event("order_completed", id="o4", at=NOW, received_at=NOW))
    damaged(world, lambda profile: streams(profile).entries.__setitem__(0, (NOW - 9 * DAY, 1)))
    # then
    findings = compared(world)
    assert findings.mismatches == {"buyers": 1}


def test_a_lost_entry_is_an_incident() -> None:
    # given
    world = buyer()
    damaged(world, lambda profile: streams(profile).entries.clear())
    # when
    findings = compared(world)
    # then: neither the stored membership nor the archive fits what is remembered
    assert findings.mismatches == {"buyers": 1}
    assert findings.wrong == 1
    assert findings.examples == [(ANNA, "buyers", reconcile.LOST)]


def test_a_wrong_membership_is_an_incident_whatever_the_archive_says() -> None:
    # given
    world = buyer()
    damaged(world, lambda profile: profile.memberships.clear())
    # when: she was written after the archive was complete
    findings = compared(world, until=0)
    # then
    assert findings.skipped == {reconcile.RECENT: 1}
    assert findings.examples == [(ANNA, "buyers", reconcile.STORED)]


def test_an_entry_that_was_made_up_is_an_incident() -> None:
    # given: one order too few to be a member, and one that never was
    world = World(segments=BUYERS)
    world.process(consented(at=NOW - 9 * DAY), event("order_completed", id="o1", at=NOW - 5 * DAY))

    def forge(profile: Profile) -> None:
        streams(profile).entries.append((NOW - DAY, 77))
        profile.memberships["buyers"] = Membership(member=True, valid_until=NOW + 25 * DAY, since=NOW - DAY)
        profile.due_at = NOW + 25 * DAY

    damaged(world, forge)
    # then
    assert compared(world).examples == [(ANNA, "buyers", reconcile.EXTRA)]


def test_a_lost_wake_up_is_an_incident_only_when_somebody_should_have_come() -> None:
    # given
    world = buyer()
    ends = world.store.profile(ANNA).memberships["buyers"].valid_until
    # then
    world.now = ends + reconcile.OVERDUE - 1
    assert silent(compared(world))
    world.now = ends + reconcile.OVERDUE
    findings = compared(world)
    assert (findings.overdue, findings.mismatches) == (1, {})
    assert findings.examples == [(ANNA, "", "a verdict ran out and nobody came")]
    # when
    world.waker.wake_ups([ANNA])
    # then
    assert silent(compared(world))


@pytest.mark.parametrize("due_at", [None, NOW + 300 * DAY])
def test_a_verdict_that_nobody_will_renew_is_an_incident_at_once(due_at: int | None) -> None:
    # given
    world = buyer()
    damaged(world, lambda profile: setattr(profile, "due_at", due_at))
    # then
    assert compared(world).examples == [(ANNA, "", "a verdict will run out and nobody is to come")]


def test_who_was_written_since_the_archive_was_complete_is_left_out() -> None:
    # given: the archive does not have her last order yet
    world = buyer()
    before = person(world)
    world.process(event("order_completed", id="o4", at=world.now, received_at=world.now))
    # when
    findings = compared(world, before, until=world.now - MINUTE)
    # then
    assert (findings.compared, findings.skipped) == (0, {reconcile.RECENT: 1})
    assert silent(findings)


def test_an_event_that_is_archived_and_not_processed_yet_is_no_incident() -> None:
    # given: it is on its way, for it reaches the archive first
    world = buyer()
    world.archived.append(event("order_completed", id="o4", at=world.now, received_at=world.now))
    # then
    findings = compared(world, until=world.now)
    assert findings.compared == 1
    assert silent(findings)


def test_who_waits_for_a_rebuild_is_left_out() -> None:
    # given
    world = buyer()
    deletion = event("event_corrected", at=NOW - 2 * DAY, properties={"corrects": "o2", "deleted": True})
    world.process(deletion)
    # then
    findings = compared(world)
    assert (findings.compared, findings.skipped) == (0, {reconcile.WAITING: 1})
    assert silent(findings)


def test_who_was_merged_since_the_archive_was_read_is_left_out() -> None:
    # given
    world = buyer()
    before = person(world)
    world.process(
        event("identified", identities=[{"kind": "user_id", "id": ANNA}, {"kind": "anonymous_id", "id": BROWSER}])
    )
    # then
    findings = compared(world, before)
    assert (findings.compared, findings.skipped) == (0, {reconcile.WAITING: 1})
    assert silent(findings)


def test_who_was_merged_is_compared_with_all_that_happened_to_either() -> None:
    # given
    world = buyer()
    browser = [{"kind": "anonymous_id", "id": BROWSER}]
    world.process(consented(at=NOW - 9 * DAY, identities=browser))
    world.process(event("order_completed", id="b1", at=NOW - 4 * DAY, identities=browser))
    world.process(event("identified", identities=[{"kind": "user_id", "id": ANNA}, *browser]))
    # then
    findings = compared(world)
    assert (findings.alone, findings.skipped) == (1, {})
    assert silent(findings)


def test_whose_history_was_erased_is_not_compared_with_the_archive_alone() -> None:
    # given: the profile still remembers what the archive does not
    world = buyer()
    bare = person(world)
    left = replace(bare, events=[one for one in bare.events if one.id == "o1"])
    # then
    for events in (left.events, ()):
        findings = compared(world, replace(bare, events=events))
        assert (findings.compared, findings.alone, findings.skipped) == (1, 0, {reconcile.BEYOND: 1})
        assert silent(findings)


def test_whom_other_definitions_evaluated_is_left_out() -> None:
    # given: definitions that nobody has been evaluated by yet
    world = buyer()
    world.engine = World(segments=NEW).engine
    # then
    findings = compared(world)
    assert (findings.compared, findings.skipped) == (0, {reconcile.OTHER_DEFINITIONS: 1})
    assert silent(findings)


def test_who_took_consent_back_is_no_incident() -> None:
    # given: what was recorded with consent is remembered without it
    world = buyer([segment("viewers", {"event": "product_viewed", "within": "30d"})])
    world.process(event("product_viewed", id="v1", at=NOW - DAY))
    for purpose in ("tracking", "personalization"):
        world.process(event("consent_changed", at=world.now, consent={purpose: False}))
        # then
        assert silent(compared(world))


def test_nobody_is_made_anew_and_nothing_is_written() -> None:
    # given
    world = buyer()
    writes = world.store.writes
    # when
    findings = compared(world, person(world), Person(BROWSER, frozenset({BROWSER}), ()))
    # then
    assert findings.skipped == {reconcile.UNKNOWN: 1}
    assert world.store.writes == writes


def test_who_is_met_several_times_counts_once() -> None:
    world = buyer()
    assert compared(world, person(world), replace(person(world), counted=False)).profiles == 1


def test_findings_add_up_and_examples_have_a_bound() -> None:
    # given
    total = Findings()
    one = Findings(profiles=1, skipped={"a": 1}, mismatches={"s": 2}, examples=[("p", "s", "x")] * 15)
    # when
    for _ in range(3):
        total.add(one)
    # then
    assert (total.profiles, total.skipped, total.mismatches) == (3, {"a": 3}, {"s": 6})
    assert len(total.examples) == reconcile.MAX_EXAMPLES
