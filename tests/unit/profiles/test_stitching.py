from __future__ import annotations

from typing import Any

import pytest

from mailtailor.consent.policy import Purpose
from mailtailor.events.event import Event
from mailtailor.events.sources import segment
from mailtailor.instant import HOUR, MINUTE
from mailtailor.profiles.identity import Pseudonymizer
from mailtailor.tracking.tokens import Keyring, StitchToken, read_stitch, sign_stitch
from tests.unit.profiles.world import ANNA, BROWSER, NOW, OTHER, World

TABLET = "T" * 22
NONCE = "nonce-of-one-click"


def stitch(browser: str = BROWSER, nonce: str = NONCE, **fields: Any) -> Event:
    """A browser brings the token of Anna's click."""
    event = {
        "id": f"stitch:{nonce}:{browser}",
        "type": "browser_stitched",
        "source": "mailtailor",
        "profile_id": ANNA,
        "identities": [{"kind": "anonymous_id", "id": browser}],
        "occurred_at": NOW,
        "received_at": NOW,
        "properties": {"nonce": nonce, "expires_at": NOW + 10 * MINUTE},
    }
    return Event.model_validate({**event, **fields})


def said(who: str, kind: str = "identified", **fields: Any) -> Event:
    """Somebody does or states something."""
    event = {"id": f"{who}-{kind}", "type": kind, "source": "test", "occurred_at": NOW - 1, "received_at": NOW - 1}
    return Event.model_validate({**event, "profile_id": who, **fields})


def process(world: World, *events: Event) -> None:
    outcome = world.processor.events({f"message-{number}": [event] for number, event in enumerate(events)})
    assert not outcome.failed


@pytest.fixture
def world() -> World:
    """Return a world in which Anna allows tracking."""
    world = World()
    process(world, said(ANNA, "consent_changed", consent={"tracking": True, "personalization": True}))
    return world


def leads_to(world: World, identity: str) -> str | None:
    return world.store.profile(identity).merged_into


def test_the_browser_that_brings_the_token_of_a_click_is_the_recipients(world: World) -> None:
    # when
    process(world, stitch())
    # then what it does from now on is hers
    assert leads_to(world, BROWSER) == ANNA
    process(world, said(BROWSER, "product_viewed", properties={"product_id": "7"}))
    assert world.store.profile(ANNA).streams != {}


def test_what_the_browser_did_before_becomes_the_recipients(world: World) -> None:
    # given
    process(world, said(BROWSER, attributes={"color": "red"}))
    # when
    process(world, stitch())
    # then
    assert world.store.profile(ANNA).attribute("color") == "red"
    assert leads_to(world, BROWSER) == ANNA


def test_the_same_stitch_again_changes_nothing(world: World) -> None:
    # given
    process(world, stitch())
    before = world.store.profile(ANNA)
    # when
    process(world, stitch(), stitch())
    # then
    assert world.store.profile(ANNA) == before


@pytest.mark.parametrize("consent", [{}, {"tracking": False}, {"personalization": True}])
def test_without_consent_nothing_is_stitched_or_kept(consent: dict[str, bool]) -> None:
    # given
    world = World()
    process(world, said(ANNA, "consent_changed", consent=consent))
    kept = len(world.archived)
    # when
    process(world, stitch())
    # then
    assert leads_to(world, BROWSER) is None
    assert BROWSER not in world.store.items
    assert len(world.archived) == kept


def test_a_token_works_for_one_browser(world: World) -> None:
    # when, in one batch and later
    process(world, stitch(), stitch(TABLET))
    process(world, stitch(TABLET))
    # then
    assert leads_to(world, BROWSER) == ANNA
    assert TABLET not in world.store.items


def test_of_two_writers_that_meet_one_token_at_the_same_time_one_is_refused(world: World) -> None:
    # given another writer that stores the token's use between this one's read and its write
    met: list[str] = []

    def before(operation: str) -> None:
        if operation == "save" and not met:
            met.append(operation)
            world.fresh().events({"other": [stitch(TABLET)]})

    world.store.before = before
    # when
    process(world, stitch())
    # then
    assert leads_to(world, TABLET) == ANNA
    assert BROWSER not in world.store.items


def test_each_click_has_a_token_of_its_own(world: World) -> None:
    process(world, stitch(), stitch(TABLET, nonce="nonce-of-another"))
    assert (leads_to(world, BROWSER), leads_to(world, TABLET)) == (ANNA, ANNA)


def test_an_event_received_after_the_token_expired_links_nothing(world: World) -> None:
    world.now += HOUR
    process(world, stitch(received_at=NOW + 10 * MINUTE + 1))
    assert BROWSER not in world.store.items


def test_an_event_that_waited_in_a_queue_links_while_the_tokens_use_is_remembered(world: World) -> None:
    # when
    world.now = NOW + 10 * MINUTE + HOUR
    process(world, stitch())
    world.now += 1
    process(world, stitch(TABLET, nonce="another"))
    # then
    assert leads_to(world, BROWSER) == ANNA
    assert TABLET not in world.store.items


def test_used_tokens_are_forgotten_and_of_many_at_once_the_last_are_refused(world: World) -> None:
    # given
    process(world, *(stitch(nonce=f"nonce-{number:02}") for number in range(25)))
    assert len(world.store.profile(ANNA).stitches) == 20
    # when
    world.now += 2 * HOUR
    process(world, stitch(TABLET, "late", received_at=world.now, properties={"nonce": "l", "expires_at": world.now}))
    # then
    assert world.store.profile(ANNA).stitches.keys() == {"l"}
    assert leads_to(world, TABLET) == ANNA


def test_a_browser_that_is_somebody_elses_stays_theirs(world: World) -> None:
    # given
    identities = [{"kind": "user_id", "id": OTHER}, {"kind": "anonymous_id", "id": BROWSER}]
    process(world, said(OTHER, profile_id=None, identities=identities))
    # when
    process(world, stitch())
    # then
    assert leads_to(world, BROWSER) == OTHER
    assert world.store.profile(OTHER).merged_into is None


def test_a_browser_to_which_other_identities_lead_is_not_merged(world: World) -> None:
    # given
    identities = [{"kind": "anonymous_id", "id": BROWSER}, {"kind": "user_id", "id": OTHER}]
    process(world, said(BROWSER, profile_id=None, identities=identities))
    assert world.store.profile(BROWSER).identities == {OTHER}
    # when
    process(world, stitch())
    # then
    assert leads_to(world, BROWSER) is None


def test_a_browser_that_refused_is_not_merged(world: World) -> None:
    # given
    process(world, said(BROWSER, "consent_changed", consent={"tracking": False}))
    # when
    process(world, stitch())
    # then she still allows what she allowed
    assert leads_to(world, BROWSER) is None
    assert world.store.profile(ANNA).consent[Purpose.TRACKING].granted


def test_only_our_own_event_links_by_these_rules(world: World) -> None:
    # given a sender's event of that name, for a browser of nobody
    process(world, stitch(source="segment", profile_id=None))
    # then
    assert leads_to(world, BROWSER) is None
    assert world.store.profile(ANNA).stitches == {}


def test_a_crash_before_the_link_is_repaired_by_the_repeated_message(world: World) -> None:
    # given
    def before(operation: str) -> None:
        if operation == "point":
            raise OSError

    world.store.before = before
    assert world.processor.events({"message": [stitch()]}).failed
    # when
    world.store.before = lambda _operation: None
    process(world, stitch())
    # then
    assert leads_to(world, BROWSER) == ANNA


def test_used_tokens_survive_a_merge(world: World) -> None:
    # given
    process(world, stitch())
    identities = [{"kind": "user_id", "id": OTHER}, {"kind": "email", "id": ANNA}]
    process(world, said(OTHER, profile_id=None, identities=identities))
    # when
    process(world, stitch(TABLET))
    # then
    assert world.store.profile(OTHER).stitches.keys() == {NONCE}
    assert TABLET not in world.store.items


@pytest.mark.parametrize("consent", [{}, {"tracking": True}])
def test_a_page_that_brings_the_token_makes_its_browser_the_recipients(world: World, consent: dict[str, bool]) -> None:
    # given a call from the page to which a click led, of a browser with consent of its own or without
    keyring = Keyring.from_secret({"active": "k1", "k1": "the secret key of these tests, long"})
    token = sign_stitch(keyring, StitchToken(ANNA, NOW, b"a nonce here"))
    context = {"mailtailor": {"stitch": token}, "consent": {"categoryPreferences": consent}}
    view = {"anonymousId": "browser", "messageId": "v1", "event": "Product Viewed", "context": context}
    reception = segment.Reception(
        received_at=NOW,
        pseudonymizer=Pseudonymizer(b"a pepper"),
        new_id=lambda: "unused",
        redeem=lambda one: read_stitch(keyring, one, now=NOW),
    )
    kept = len(world.archived)
    # when both of its events come in one message
    stitched, viewed = segment.receive("track", view, 400, reception).events
    world.processor.events({"message": [stitched, viewed]})
    # then
    assert leads_to(world, stitched.identities[0].id) == ANNA
    assert [event.type for event in world.archived[kept:]].count("product_viewed") == 1
    assert {event.profile_id for event in world.archived[kept:] if event.type == "browser_stitched"} == {ANNA}
    # and what comes later is hers
    process(world, viewed.model_copy(update={"id": "later"}))
    assert world.archived[-1].profile_id == ANNA
