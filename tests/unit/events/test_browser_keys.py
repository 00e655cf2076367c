"""What a key that everybody can read in a page may say, and what is left of the rest."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from mailtailor.consent.policy import Purpose
from mailtailor.events.browser_keys import FOR_SERVERS, NotAllowed, limited
from mailtailor.events.event import Event, Identity
from mailtailor.profiles.identity import IdentityKind

NOW = 1_790_000_000_000
USER = Identity(kind=IdentityKind.USER_ID, id="U" * 22)
EMAIL = Identity(kind=IdentityKind.EMAIL, id="E" * 22)
BROWSER = Identity(kind=IdentityKind.ANONYMOUS_ID, id="B" * 22)


def event(kind: str = "identified", **said: Any) -> Event:
    defaults = {"id": "i", "source": "segment", "identities": (BROWSER,), "occurred_at": NOW, "received_at": NOW}
    return Event.model_validate({"type": kind, **defaults, **said})


def left(stated: Event) -> tuple[Event | None, dict[str, int]]:
    counted: Counter[str] = Counter()
    return limited(stated, counted), dict(+counted)


@pytest.mark.parametrize(
    ("named", "kept", "counted"),
    [
        ((USER, EMAIL, BROWSER), (USER, BROWSER), {"identity": 1}),
        ((USER, EMAIL), (USER,), {"identity": 1}),
        ((EMAIL, BROWSER), (EMAIL, BROWSER), {}),
        ((USER, BROWSER), (USER, BROWSER), {}),
        ((BROWSER,), (BROWSER,), {}),
    ],
)
def test_of_a_known_person_one_identity_is_kept_so_that_no_two_are_joined(
    named: tuple[Identity, ...], kept: tuple[Identity, ...], counted: dict[str, int]
) -> None:
    # when
    rest, left_out = left(event(identities=named))
    # then
    assert rest is not None
    assert (rest.identities, left_out) == (kept, counted)


def test_what_a_page_says_of_a_person_stays_apart_from_what_servers_say() -> None:
    # when
    rest, counted = left(event(attributes={"first_name": "Ann", "web_plan": "gold"}))
    # then
    assert rest is not None
    assert (rest.attributes, counted) == ({"web_first_name": "Ann", "web_plan": "gold"}, {"trait": 2})


def test_consent_is_not_stated_and_the_event_is_taken() -> None:
    # when
    rest, counted = left(event("page_viewed", consent={Purpose.TRACKING: True}))
    # then
    assert rest is not None
    assert (rest.type, rest.consent, counted) == ("page_viewed", {}, {"consent": 1})


def test_who_refuses_to_be_watched_is_not_watched_on_that_call() -> None:
    # given
    refusal = {Purpose.TRACKING: False}
    # then
    assert left(event("page_viewed", consent=refusal)) == (None, {"consent": 1, "refusal": 1})
    # but what needs no such consent is taken
    assert left(event("order_completed", consent=refusal))[0] is not None
    assert left(event("page_viewed", consent={Purpose.PERSONALIZATION: False}))[0] is not None


def test_of_an_event_that_only_changes_consent_nothing_is_left() -> None:
    assert left(event("consent_changed", consent={Purpose.TRACKING: True})) == (None, {"consent": 1})


@pytest.mark.parametrize("kind", sorted(FOR_SERVERS))
def test_what_no_page_knows_is_for_servers(kind: str) -> None:
    with pytest.raises(NotAllowed, match="server's write key"):
        left(event(kind))
