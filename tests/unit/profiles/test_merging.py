"""Identities that turn out to be one person, and those that stay apart."""

from __future__ import annotations

import pytest

from mailtailor.consent.policy import Purpose
from mailtailor.instant import DAY, HOUR
from tests.unit.profiles.world import ANNA, BROWSER, MAIL, NOW, OTHER, World, consented, event, identities


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
