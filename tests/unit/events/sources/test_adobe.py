"""Experience Platform's events: three wrappings of XDM, and what it says who and what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.events.sources.webhook import Received
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, taken
from tests.senders.adobe import SENDER, VIEW, sign

EVENT: dict[str, Any] = json.loads(VIEW.body)


def told(body: object) -> Received:
    return taken(sign(json.dumps(body).encode(), {}, {}, NOW), "adobe")


@pytest.mark.parametrize(
    "body",
    [
        EVENT,
        [EVENT],
        {"events": [{"xdm": EVENT}]},
        {"xdm": EVENT},
        {"header": {}, "body": {"xdmEntity": EVENT}},
        {"messages": [{"header": {}, "body": {"xdmEntity": EVENT}}]},
    ],
    ids=range(6),
)
def test_an_event_is_the_same_however_it_is_wrapped(body: object) -> None:
    assert told(body) == taken(SENDER.delivery(VIEW), "adobe")


def test_a_view_of_several_products_is_a_view_of_each() -> None:
    # when
    events = taken(SENDER.delivery(VIEW), "adobe").events
    # then
    assert [(event.id, event.properties) for event in events] == [
        ("adobe:aep-event-1:0", {"product_id": "85123A", "name": "Lamp", "quantity": 2, "price": 12.5}),
        ("adobe:aep-event-1:1", {"product_id": "22191R", "name": "Tin", "quantity": 1, "price": 4.95}),
    ]


def test_a_person_is_named_by_crm_id_address_and_browser_and_never_by_phone() -> None:
    # when
    [event, _] = taken(SENDER.delivery(VIEW), "adobe").events
    # then
    assert [(one.kind, one.id) for one in event.identities] == [
        (kind, PSEUDONYMIZER.pseudonym(kind, key))
        for kind, key in (
            (IdentityKind.USER_ID, "crm-4711"),
            (IdentityKind.EMAIL, "flora@example.com"),
            (IdentityKind.ANONYMOUS_ID, "38400000-8cf0-11bd-b23e-10b96e40000d"),
        )
    ]
    assert told({**EVENT, "identityMap": {"Phone": [{"id": "+441632960123"}]}}) == Received([], [])


def test_of_several_identities_of_a_kind_the_primary_one_counts() -> None:
    # given
    identities = {"CRMID": [{"id": "old"}, {"id": "crm-4711", "primary": True}]}
    # when
    [event, _] = told({**EVENT, "identityMap": identities}).events
    # then
    assert event.identities[0].id == PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, "crm-4711")


def test_an_event_that_has_no_name_of_ours_keeps_its_own() -> None:
    assert [one.type for one in told({**EVENT, "eventType": "decisioning.propositionDisplay"}).events] == [
        "decisioning_proposition_display"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_id": None}, "_id is missing."),
        ({"eventType": None}, "eventType is missing."),
        ({"eventType": "7"}, "eventType must begin with a Latin letter."),
        ({"identityMap": []}, "identityMap must be an object."),
        ({"identityMap": {"Email": ["x"]}}, "identityMap.Email must be an object."),
        ({"productListItems": {}}, "productListItems must be a list."),
        ({"productListItems": [{"quantity": "many"}]}, "productListItems[0].quantity must be a number."),
        ({"productListItems": [{}] * 501}, "productListItems has more than 500 entries."),
    ],
)
def test_what_cannot_be_used_is_named_and_takes_no_other_with_it(change: dict[str, Any], message: str) -> None:
    received = told([{**EVENT, **change}, EVENT])
    assert [rejection.error.message for rejection in received.rejected] == [message]
    assert len(received.events) == 2
