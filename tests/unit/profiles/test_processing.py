"""Batches of events and wake-ups: once in effect, whatever is repeated, reordered, refused or cut short."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtailor.aws.profile_item import encode, size
from mailtailor.consent.policy import Purpose
from mailtailor.instant import DAY, HOUR, MINUTE, SECOND
from mailtailor.profiles.processing import OutOfTime, TooManyConflicts
from mailtailor.profiles.projection import MAX_IDENTITIES
from mailtailor.profiles.store import Conflict
from mailtailor.segments.engine import Engine
from tests.unit.profiles.memory_store import MemoryStore
from tests.unit.profiles.world import (
    ANNA,
    BROWSER,
    MAIL,
    NOW,
    OTHER,
    World,
    consented,
    event,
    segment,
)


def test_a_view_makes_a_browse_abandoner_and_an_added_product_ends_it() -> None:
    # given
    world = World()
    world.process(consented())
    # when
    world.process(event("product_viewed"))
    # then
    assert world.members() == {"browse_abandoners"}
    # when
    world.now += MINUTE
    world.process(event("product_added", at=world.now))
    # then
    assert world.members() == set()
    assert [(flip.segment, flip.entered, flip.reason) for _, _, flip in world.store.published] == [
        ("browse_abandoners", True, "event:product_viewed-1790000000000"),
        ("browse_abandoners", False, "event:product_added-1790000060000"),
    ]


def test_behaviour_without_consent_leaves_no_trace() -> None:
    # given
    world = World()
    # when
    world.process(event("product_viewed"), event("email_opened", properties={"campaign": "m"}))
    # then
    assert world.store.items == {}
    assert world.archived == []


def test_consent_counts_for_what_happens_at_its_very_instant() -> None:
    # given two messages that arrive together, of which the behaviour's id comes first
    world = World()
    # when
    world.process(event("product_viewed", id="a"), consented(id="z", at=NOW))
    # then
    assert world.members() == {"browse_abandoners"}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("browsed_before", [True, False])
def test_what_names_a_browser_alone_counts_as_its_person_s_though_they_were_linked_in_the_same_batch(
    together: bool, browsed_before: bool
) -> None:
    # given a person who allows tracking, and a browser of which that is not known, seen before or not
    world = World()
    world.process(consented())
    if browsed_before:
        world.process(event("identified", id="b", identities=identities(("anonymous_id", BROWSER))))
    linking = event("identified", id="l", identities=identities(("user_id", ANNA), ("anonymous_id", BROWSER)))
    viewed = event("product_viewed", id="v", identities=identities(("anonymous_id", BROWSER)))
    # when
    for batch in ([linking, viewed],) if together else ([linking], [viewed]):
        world.process(*batch)
    # then
    assert world.members() == {"browse_abandoners"}


def test_what_consent_admits_only_at_the_second_attempt_reaches_the_archive_too() -> None:
    # given consent that is given between read and write
    world = World()
    world.process(event("identified", attributes={"n": 1}))

    def rival(operation: str) -> None:
        if operation == "save":
            world.store.before = lambda _operation: None
            world.fresh().events({"r": [consented()]})

    world.store.before = rival
    # when
    world.process(event("product_viewed", id="v"), event("order_completed", id="o"))
    # then
    assert world.members() == {"browse_abandoners", "recent_purchasers"}
    assert [one.id for one in world.archived if one.type != "consent_changed"][1:] == ["o", "v"]


def test_the_later_statement_of_an_attribute_counts_in_whatever_order_they_arrive() -> None:
    # given
    stated = [event("identified", id=f"i{n}", at=NOW - n, attributes={"city": f"city {n}"}) for n in range(3)]
    for arriving in (stated, stated[::-1]):
        # when
        world = World()
        for one in arriving:
            world.process(one)
        # then
        assert world.store.profile(ANNA).attribute("city") == "city 0"


def test_without_consent_for_personalization_nobody_is_in_a_segment() -> None:
    # given
    world = World()
    # when
    world.process(event("consent_changed", at=NOW - 1, consent={"tracking": True}), event("order_completed"))
    # then what is known is kept, and not used
    assert world.members() == set()
    assert world.store.published == []
    # when consent comes
    world.process(event("consent_changed", id="later", consent={"personalization": True}))
    # then
    assert world.members() == {"recent_purchasers"}
    # when it is withdrawn
    world.now += 1
    world.process(event("consent_changed", id="withdrawn", at=world.now, consent={"personalization": False}))
    # then every membership ends with that write
    assert world.members() == set()
    assert [(flip.entered, flip.reason) for _, _, flip in world.store.published] == [
        (True, "consent"),
        (False, "consent"),
    ]


def test_the_exit_by_time_is_pushed_at_its_instant_and_names_it() -> None:
    # given
    world = World()
    world.process(consented(), event("order_completed"))
    # when a wake-up comes a little early, as clocks differ
    world.now = NOW + 7 * DAY - 20
    world.waker.wake_ups([ANNA])
    # then it is sent again for the right second
    assert world.woken == [(1, ANNA)]
    assert world.members() == {"recent_purchasers"}
    # when it comes, a little late
    world.now = NOW + 7 * DAY + 300
    world.waker.wake_ups([ANNA])
    # then
    flip = world.store.published[-1][2]
    assert (flip.segment, flip.entered, flip.reason, flip.at) == ("recent_purchasers", False, "time", NOW + 7 * DAY)
    assert world.store.profile(ANNA).due_at is None


def test_the_earliest_instant_is_armed_whichever_event_brings_it() -> None:
    # given
    world = World()
    world.process(consented(), event("order_completed"))
    assert world.store.profile(ANNA).due_at == NOW + 7 * DAY
    # when
    world.process(event("product_viewed"))
    # then
    assert world.store.profile(ANNA).due_at == NOW + 2 * DAY


def test_a_machine_whose_clock_is_behind_takes_nothing_back() -> None:
    # given an exit by time
    world = World()
    world.process(consented(), event("order_completed"))
    world.now += 7 * DAY
    world.waker.wake_ups([ANNA])
    # when another machine writes, for which that instant is still to come
    world.now -= 30
    world.process(event("identified", attributes={"n": 1}))
    # then
    assert [flip.entered for _, _, flip in world.store.published] == [True, False]


def test_a_wake_up_that_meets_a_writer_reads_again() -> None:
    # given a purchase between a wake-up's read and its write
    world = World()
    world.process(consented(), event("order_completed"))
    world.now += 7 * DAY

    def rival(operation: str) -> None:
        if operation == "save":
            world.store.before = lambda _operation: None
            world.process(event("order_completed", at=world.now))

    world.store.before = rival
    # when
    outcome = world.waker.wake_ups([ANNA])
    # then
    assert (outcome.failed, outcome.conflicts) == ({}, 1)
    assert world.members() == {"recent_purchasers"}
    assert world.store.profile(ANNA).due_at == world.now + 7 * DAY


def test_a_wake_up_that_finds_something_missing_asks_for_a_rebuild_before_it_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given that a hit which is settled now was in the way of others
    world = World()
    world.process(consented(), event("order_completed"))
    world.now += 7 * DAY
    monkeypatch.setattr(Engine, "prune", lambda *_: True)
    done: list[str] = []
    world.store.before = done.append
    # when
    world.waker.wake_ups([ANNA])
    # then
    assert world.rebuilds == [ANNA]
    assert done.index("rebuild") < done.index("save")
    assert world.store.profile(ANNA).incomplete


def test_reads_are_exact_though_no_wake_up_ever_comes() -> None:
    # given
    world = World()
    world.process(consented(), event("product_viewed"))
    # when, then
    assert world.members(at=NOW + 2 * DAY - 1) == {"browse_abandoners"}
    assert world.members(at=NOW + 2 * DAY) == {"lapsed"}


def test_wake_ups_there_is_no_time_for_fail_and_those_done_do_not() -> None:
    # given three profiles that are due, and time for two
    world = World()
    everybody = [f"{n:022d}" for n in range(3)]
    for one in everybody:
        world.process(consented(profile_id=one), event("order_completed", profile_id=one))
    world.now += 7 * DAY
    asked = iter([False, False, False, True])
    # when
    outcome = world.waker.wake_ups(everybody, out_of_time=lambda: next(asked))
    # then
    assert [type(error) for error in outcome.failed.values()] == [OutOfTime]
    assert (set(outcome.failed), outcome.flips) == ({everybody[2]}, 2)
    # when there is none at all
    world.store.before = lambda _operation: pytest.fail("the table was asked")
    # then nothing is begun
    assert set(world.waker.wake_ups(everybody, out_of_time=lambda: True).failed) == set(everybody)


def test_it_is_told_how_late_the_latest_was_and_nothing_of_who_was_not_due() -> None:
    # given Anna, who was due 700 ms ago, and somebody who is not
    world = World()
    world.process(consented(), event("order_completed"))
    world.now += SECOND
    world.process(consented(profile_id=OTHER), event("order_completed", at=world.now, profile_id=OTHER))
    world.now = NOW + 7 * DAY + 700
    # when, then
    assert world.waker.wake_ups([OTHER]).lateness is None
    assert world.waker.wake_ups([OTHER, ANNA]).lateness == 700
    assert world.waker.wake_ups([OTHER, ANNA]).lateness is None


def test_a_wake_up_due_within_minutes_is_sent_by_the_writer() -> None:
    # given
    world = World()
    # when the view is nearly two days old
    world.process(consented(at=NOW - 3 * DAY), event("product_viewed", at=NOW - 2 * DAY + 90 * SECOND))
    # then
    assert world.woken == [(90, ANNA)]


def test_repeated_wake_ups_die_out_however_soon_the_next_instant_is() -> None:
    # given a segment that ends in a minute and another that ends in two
    world = World(segments=[segment(f"m{n}", {"event": "product_viewed", "within": f"{n}m"}) for n in (1, 2)])
    world.process(consented(), event("product_viewed"))
    assert world.woken == [(60, ANNA)]
    # when the wake-up of the first comes five times
    world.now += MINUTE
    for _ in range(5):
        world.waker.wake_ups([ANNA])
    # then the second is armed once
    assert world.woken[1:] == [(60, ANNA)]


@pytest.mark.parametrize("how", [Conflict(ANNA), ConnectionError()])
def test_a_wake_up_is_sent_whatever_follows_the_write(how: Exception) -> None:
    # given a function that ends with its write, or a client that repeats it and meets its own condition
    world = World(segments=[segment(f"m{n}", {"event": "product_viewed", "within": f"{n}m"}) for n in (1, 2)])
    world.process(consented())
    follows = iter([how, how])

    def follow(operation: str) -> None:
        if operation == "saved" and (error := next(follows, None)):
            raise error

    world.store.before = follow
    # when
    while world.process(event("product_viewed")):
        pass
    # then
    assert world.woken == [(60, ANNA)]
    # when that wake-up comes, and the next is near too
    world.now += MINUTE
    while world.waker.wake_ups([ANNA]).failed:
        pass
    # then
    assert world.woken[1:] == [(60, ANNA)]
    assert next(follows, None) is None


def test_a_repeated_event_is_archived_again_but_written_once() -> None:
    # given
    world = World()
    world.process(consented(), event("product_viewed"))
    writes = world.store.writes
    # when
    world.now += DAY
    world.process(event("product_viewed"))
    # then
    assert world.store.writes == writes
    assert [one.id for one in world.archived].count("product_viewed-1790000000000") == 2


def test_all_events_of_one_profile_in_a_batch_are_one_write() -> None:
    # given
    world = World()
    world.process(consented())
    writes = world.store.writes
    # when
    world.process(*[event("product_viewed", id=f"v{n}", at=NOW - n) for n in range(500)])
    # then
    assert world.store.writes == writes + 1


def test_changed_definitions_count_at_once_for_readers_and_flip_with_the_next_write() -> None:
    # given a member of two segments
    view = {"event": "product_viewed", "within": "2d"}
    before = World(segments=[segment("changed", view), segment("dropped", view)])
    before.process(consented(at=NOW - 2 * DAY), event("product_viewed", at=NOW - DAY))
    assert before.members() == {"changed", "dropped"}
    # when one is changed, one dropped, and one is new
    rules: dict[str, dict[str, Any]] = {
        "changed": {**view, "within": "1h"},
        "added": {"not": {"event": "order_completed", "within": "7d"}},
    }
    after = World(before.store, [segment(name, rule) for name, rule in rules.items()])
    # then
    assert after.members() == {"added"}
    assert len(after.store.published) == 2
    # when anything is written
    after.process(event("page_viewed"))
    # then
    assert {(flip.segment, flip.entered, flip.reason) for _, _, flip in after.store.published[2:]} == {
        ("changed", False, "definition"),
        ("dropped", False, "definition"),
        ("added", True, "definition"),
    }


def test_changed_definitions_show_nobody_who_does_not_allow_it() -> None:
    # given
    world = World()
    world.process(event("order_completed"), event("consent_changed", consent={"tracking": True}))
    # when, then
    assert World(world.store, [segment("new", {"event": "order_completed", "within": "1d"})]).members() == set()


def identities(*known: tuple[str, str]) -> list[dict[str, str]]:
    return [{"kind": kind, "id": one} for kind, one in known]


def test_a_browser_seen_before_the_person_is_known_becomes_part_of_the_person() -> None:
    # given an anonymous visitor who looked at a product
    world = World()
    anonymous = identities(("anonymous_id", BROWSER))
    world.process(consented(identities=anonymous), event("product_viewed", id="v", identities=anonymous))
    assert world.members(BROWSER) == {"browse_abandoners"}
    # when the visitor signs in
    known = identities(("user_id", ANNA), ("email", MAIL), ("anonymous_id", BROWSER))
    world.process(event("identified", identities=known, attributes={"first_name": "Anna"}))
    # then the person has the visitor's history, and every identity leads there
    assert world.members(ANNA) == {"browse_abandoners"}
    assert world.store.profile(BROWSER).merged_into == ANNA
    assert world.store.profile(MAIL).merged_into == ANNA
    assert ("browse_abandoners", False, "merge") in [
        (flip.segment, flip.entered, flip.reason) for one, _, flip in world.store.published if one == BROWSER
    ]
    # when the browser or an old token speaks
    world.process(event("order_completed", identities=anonymous))
    world.process(event("product_added", profile_id=MAIL))
    # then it is the person
    assert world.members(ANNA) == {"recent_purchasers"}


def test_a_person_lists_every_identity_of_a_profile_that_became_part_of_it() -> None:
    # given a browser that became part of an address
    world = World()
    for one in (BROWSER, MAIL):
        world.process(consented(id=f"c-{one}", profile_id=one))
    world.process(event("identified", identities=identities(("email", MAIL), ("anonymous_id", BROWSER))))
    # when the address becomes part of a person
    world.process(event("identified", id="i", identities=identities(("user_id", ANNA), ("email", MAIL))))
    # then
    assert world.store.profile(ANNA).identities == {MAIL, BROWSER}


def test_an_address_that_belongs_to_another_person_stays_there() -> None:
    # given
    world = World()
    world.process(event("identified", identities=identities(("user_id", ANNA), ("email", MAIL))))
    # when another person states the same address
    outcome = world.processor.events(
        {"m": [event("identified", id="o", identities=identities(("user_id", OTHER), ("email", MAIL)))]}
    )
    # then
    assert outcome.identity_conflicts == 1
    assert world.store.profile(MAIL).merged_into == ANNA
    assert world.store.profile(OTHER).identities == frozenset()


def test_a_refusal_that_a_merge_made_stay_is_not_undone_by_a_repeated_grant() -> None:
    # given a browser that refused, and later a person who granted
    world = World()
    anonymous = identities(("anonymous_id", BROWSER))
    world.process(event("consent_changed", id="no", at=NOW - HOUR, consent={"tracking": False}, identities=anonymous))
    grant = event("consent_changed", id="yes", consent={"tracking": True}, identities=identities(("user_id", ANNA)))
    world.process(grant)
    # when they turn out to be one, and the grant's message comes again
    world.process(event("identified", identities=identities(("user_id", ANNA), ("anonymous_id", BROWSER))))
    world.process(grant)
    # then
    assert not world.store.profile(ANNA).consent[Purpose.TRACKING].granted
    # when the person grants anew
    world.process(event("consent_changed", id="new", at=NOW + 1, consent={"tracking": True}))
    # then
    assert world.store.profile(ANNA).consent[Purpose.TRACKING].granted


def test_pointers_in_a_circle_fail_alone() -> None:
    # given
    world = World()
    world.store.point(BROWSER, to=MAIL)
    world.store.point(MAIL, to=BROWSER)
    # when
    outcome = world.processor.events(
        {"bad": [event("product_viewed", profile_id=BROWSER)], "good": [consented(), event("product_viewed")]}
    )
    # then
    assert set(outcome.failed) == {"bad"}
    assert world.members() == {"browse_abandoners"}


def test_a_weaker_profile_that_cannot_be_read_is_not_merged_as_if_it_were_empty() -> None:
    # given
    world = World()
    world.process(consented(profile_id=BROWSER))
    world.store.items[BROWSER]["streams"] = {"B": b"\x63broken"}
    # when
    known = identities(("user_id", ANNA), ("anonymous_id", BROWSER))
    failed = world.process(event("identified", identities=known))
    # then
    assert isinstance(failed["message-0"], ValueError)
    assert "merged_into" not in world.store.items[BROWSER]


def test_more_browsers_than_one_transaction_takes_become_part_of_a_person() -> None:
    # given
    world = World()
    browsers = [f"{n:022d}" for n in range(130)]
    alone = [
        consented(id=f"c{n}", identities=identities(("anonymous_id", one)), at=NOW - DAY)
        for n, one in enumerate(browsers)
    ]
    assert world.process(*alone, *[one.model_copy(update={"id": f"again-{one.id}"}) for one in alone]) == {}
    # when all of them sign in within one batch
    joined = [
        event("product_viewed", id=f"v{n}", identities=identities(("user_id", ANNA), ("anonymous_id", one)))
        for n, one in enumerate(browsers)
    ]
    writes = world.store.writes
    failed = world.process(*joined)
    # then
    assert failed == {}
    assert {world.store.profile(one).merged_into for one in browsers} == {ANNA}
    assert world.members() == {"browse_abandoners"}
    assert world.store.writes == writes + 130 + 3


def test_no_sender_can_fill_a_profile_until_it_cannot_be_written() -> None:
    # given a sender of ever new attributes, browsers and messages
    world = World(segments=[segment("engaged", {"opened_share": 0.7, "within": "30d"})])
    world.process(consented())
    # when
    outcome = world.processor.events(
        {
            f"m{n}": [
                event(
                    "identified",
                    id=f"i{n}",
                    at=NOW - 1_200 + n,
                    identities=identities(("user_id", ANNA), ("anonymous_id", f"{n:022d}")),
                    attributes={f"a{n}": "x" * 200},
                ),
                event("email_opened", id=f"o{n}", properties={"campaign": "c", "instance": str(n)}),
            ]
            for n in range(1_200)
        }
    )
    # then what was stated last is kept
    profile = world.store.profile(ANNA)
    assert outcome.failed == {}
    assert profile.attribute("a1199") == "x" * 200
    assert outcome.dropped == 1_200 - len(profile.attributes)
    # and every browser leads here, also those that the profile does not list
    assert len(profile.identities) == MAX_IDENTITIES
    assert world.store.profile(f"{1_199:022d}").merged_into == ANNA
    assert size(world.store.items[ANNA]) < 30_000


def test_the_order_of_statements_does_not_decide_which_attributes_are_kept() -> None:
    # given more attributes than there is room for
    stated = [event("identified", id=f"i{n}", at=NOW - n, attributes={f"a{n}": n}) for n in range(150)]
    kept = []
    for arriving in (stated, stated[::-1]):
        # when
        world = World()
        for one in arriving:
            world.process(one)
        kept.append(world.store.profile(ANNA).attributes)
    # then
    assert kept[0] == kept[1]
    assert set(kept[0]) == {f"a{n}" for n in range(100)}


def test_what_pages_say_of_a_person_never_crowds_out_what_servers_said() -> None:
    # given
    world = World()
    world.process(event("identified", at=NOW - HOUR, attributes={"city": "Bonn"}))
    # when: whoever reads a page's key states as much as fits, and more
    for n in range(4):
        world.process(event("identified", id=f"w{n}", attributes={f"web_{n}_{m}": m for m in range(50)}))
    # then
    kept = world.store.profile(ANNA).attributes
    assert (kept["city"].value, len(kept)) == ("Bonn", 100)


def test_what_there_is_no_time_for_fails_and_what_is_done_does_not() -> None:
    # given more profiles than are processed at once, and time for the first of them
    world = World()
    batch = {f"m{n}": [consented(profile_id=f"{n:022d}")] for n in range(150)}
    asked = iter([False, True])
    # when
    outcome = world.processor.events(batch, out_of_time=lambda: next(asked))
    # then
    assert set(outcome.failed) == {f"m{n}" for n in range(100, 150)}
    assert len(world.store.items) == 100


class Crash(Exception):
    """The function was killed."""


JOURNEY = [
    consented(identities=identities(("anonymous_id", BROWSER))),
    event("product_viewed", id="v1", at=NOW - 30 * MINUTE, identities=identities(("anonymous_id", BROWSER))),
    event("identified", identities=identities(("user_id", ANNA), ("anonymous_id", BROWSER)), attributes={"n": 1}),
    event("order_completed", identities=identities(("user_id", ANNA), ("email", MAIL))),
    event("product_viewed", id="v2", at=NOW - 2 * DAY + MINUTE),
]


def state(world: World) -> dict[str, Any]:
    """Return all items without what counts writes or evaluations."""
    kept = {}
    for profile_id, item in world.store.items.items():
        kept[profile_id] = {
            name: value
            for name, value in item.items()
            if name not in {"version", "as_of", "flips", "flipped", "memberships"}
        }
    return kept


@pytest.mark.parametrize("point", range(1, 40))
def test_killed_between_any_two_calls_and_repeated_the_state_is_that_of_an_undisturbed_run(point: int) -> None:
    # given an undisturbed run
    calm = World()
    for one in JOURNEY:
        calm.process(one)
    # and one that is killed at its n-th call
    calls = 0

    def crash(_operation: str) -> None:
        nonlocal calls
        calls += 1
        if calls == point:
            raise Crash

    world = World(MemoryStore(crash))
    # when every message is delivered until it is acknowledged
    for one in JOURNEY:
        for _ in range(5):
            if not world.process(one):
                break
            world.processor = world.fresh()
    # then
    assert state(world) == state(calm)
    assert world.members() == calm.members()
    assert {one.id for one in world.archived} == {one.id for one in calm.archived}
    flips = {(one, flip.segment, flip.entered) for one, _, flip in world.store.published}
    assert flips == {(one, flip.segment, flip.entered) for one, _, flip in calm.store.published}


def test_two_writers_of_one_profile_both_count() -> None:
    # given a writer that gets in between another's read and write, time and again
    world = World()
    world.process(consented())
    rivals = iter(range(5))

    def rival(operation: str) -> None:
        number = next(rivals, None) if operation == "save" else None
        if number is not None:
            world.store.before = lambda _operation: None
            world.fresh().events({"r": [event("order_completed", id=f"rival-{number}", at=NOW - 10 + number)]})
            world.store.before = rival

    world.store.before = rival
    # when
    outcome = world.processor.events({"m": [event("product_viewed")]})
    # then
    assert outcome.failed == {}
    assert outcome.conflicts == 5
    assert world.members() == {"browse_abandoners", "recent_purchasers"}


def test_writers_in_contention_get_out_of_step_and_give_up_late() -> None:
    # given more rivals than attempts
    world = World()
    world.process(consented())
    paused: list[int] = []
    world.processor._pause = paused.append
    rivals = iter(range(12, 24))

    def rival(operation: str) -> None:
        number = next(rivals, None) if operation == "save" else None
        if number is not None:
            world.store.before = lambda _operation: None
            world.fresh().events({"r": [event("order_completed", id=f"r{number}", at=NOW - 50 + number)]})
            world.store.before = rival

    world.store.before = rival
    # when, then
    assert world.process(event("product_viewed")) == {}
    assert paused == list(range(12))
    # when there is one more
    rivals = iter(range(24, 37))
    failed = world.process(event("product_viewed", id="v", at=NOW + 1))
    # then
    assert isinstance(failed["message-0"], TooManyConflicts)


def test_one_profile_in_trouble_does_not_fail_the_others() -> None:
    # given a profile that cannot be read
    world = World()
    world.process(consented(profile_id=OTHER), consented(id="c2"))
    world.store.items[OTHER]["streams"] = {"B": b"\x63broken"}
    # when
    outcome = world.processor.events(
        {"bad": [event("product_viewed", profile_id=OTHER)], "good": [event("product_viewed", id="g")]}
    )
    # then
    assert set(outcome.failed) == {"bad"}
    assert world.members() == {"browse_abandoners"}
    # when both are due
    world.now += 3 * DAY
    # then
    assert set(world.waker.wake_ups([OTHER, ANNA]).failed) == {OTHER}
    assert world.store.published[-1][2].reason == "time"


kinds = st.sampled_from(["product_viewed", "product_added", "order_completed"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(kinds, st.integers(0, 6 * DAY)), max_size=12),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_any_order_repetition_and_batching_of_events_gives_the_same_profile(
    happened: list[tuple[str, int]], batches: int, shuffler: random.Random
) -> None:
    # given the events in order, one by one
    events = [event(kind, id=f"e{n}", at=NOW - age) for n, (kind, age) in enumerate(happened)]
    calm = World()
    calm.process(consented(at=NOW - 10 * DAY))
    for one in events:
        calm.process(one)
    # when they come shuffled, partly twice, in batches
    world = World()
    world.process(consented(at=NOW - 10 * DAY))
    arriving = [*events, *events[::2]]
    shuffler.shuffle(arriving)
    for start in range(batches):
        world.process(*arriving[start::batches])
    # then
    assert world.members() == calm.members()
    profile, other = world.store.profile(ANNA), calm.store.profile(ANNA)
    assert profile.streams == other.streams
    assert {name: (m.member, m.valid_until) for name, m in profile.memberships.items()} == {
        name: (m.member, m.valid_until) for name, m in other.memberships.items()
    }


def test_an_item_gives_back_the_profile_it_was_made_of() -> None:
    # given
    world = World()
    for one in JOURNEY:
        world.process(one)
    # when
    for item in world.store.items.values():
        profile = world.store.profile(item["id"]["S"])
        again = encode(profile, ())
        # then
        item.pop("flips", None)
        item.pop("flipped", None)
        again["version"] = item["version"]
        assert again == item
