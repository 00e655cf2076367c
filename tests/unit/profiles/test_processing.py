"""Batches of events: what they make of a person, once in effect, whatever is repeated, refused or cut short."""

from __future__ import annotations

from typing import Any

from mailtailor.aws.profile_item import size
from mailtailor.instant import DAY, HOUR, MINUTE
from mailtailor.profiles.projection import MAX_IDENTITIES
from tests.unit.profiles.world import ANNA, NOW, OTHER, World, consented, event, identities, segment


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
