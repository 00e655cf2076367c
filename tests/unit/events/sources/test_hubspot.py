"""HubSpot: which address was signed, and what changes of a contact become."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mailtailor.errors import Unauthorized
from mailtailor.events.event import Event
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, take, taken
from tests.senders.hubspot import EVENTS, SENDER, URL, sign

CHANGE = json.loads(EVENTS.body)[2]


def changed(name: str, value: Any) -> list[Event]:
    body = json.dumps([{**CHANGE, "propertyName": name, "propertyValue": value}]).encode()
    return taken(sign(body, {}, {}, NOW), "hubspot").events


def test_the_address_that_hubspot_called_is_found_among_ours() -> None:
    # given
    delivery = SENDER.delivery(EVENTS)
    # then
    assert taken(replace(delivery, urls=("https://a.example/", URL)), "hubspot").events
    with pytest.raises(Unauthorized):
        take(replace(delivery, urls=("https://a.example/webhooks/hubspot",)), "hubspot")
    with pytest.raises(Unauthorized):
        take(replace(delivery, method="GET"), "hubspot")


def test_an_address_is_signed_with_some_characters_decoded() -> None:
    # given: HubSpot signs what it decoded
    called, signed = f"{URL}?a=%2Fb%3a%40&c=%20", f"{URL}?a=/b:@&c=%20"
    # when
    delivery = replace(sign(EVENTS.body, {}, {}, NOW, url=signed), urls=(called,))
    # then
    assert taken(delivery, "hubspot").events


def test_a_new_address_names_the_contact_and_is_not_kept() -> None:
    # when
    [event] = changed("email", "flora@example.com")
    # then
    assert event.attributes == {}
    assert [one.kind for one in event.identities] == [IdentityKind.USER_ID, IdentityKind.EMAIL]


@pytest.mark.parametrize(
    ("name", "value", "attributes"),
    [
        ("lifecyclestage", "customer", {"lifecyclestage": "customer"}),
        ("firstname", "Flora", {"first_name": "Flora"}),
        ("state", "NW", {"region": "NW"}),
        ("lastname", "Meadows", {}),
        ("phone", "+441632960123", {}),
        ("address", "1 Invented Lane", {}),
        ("favourite_color", None, {}),
    ],
)
def test_a_changed_property_becomes_an_attribute_unless_it_reaches_the_person(
    name: str, value: str | None, attributes: dict[str, str]
) -> None:
    assert changed(name, value)[0].attributes == attributes


def test_the_same_change_told_by_two_subscriptions_is_one() -> None:
    # given
    again = {**CHANGE, "eventId": 999, "subscriptionId": 12, "attemptNumber": 3}
    # when
    events = taken(sign(json.dumps([CHANGE, again]).encode(), {}, {}, NOW), "hubspot").events
    # then
    assert len({event.id for event in events}) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objectId": None}, "objectId is missing."),
        ({"occurredAt": "x"}, "occurredAt must be a number."),
        ({"occurredAt": -1}, "occurredAt is no time since 1970."),
        ({"propertyValue": {}}, "propertyValue must be text."),
        ({"propertyName": "1st"}, "propertyName must begin with a Latin letter."),
    ],
)
def test_what_cannot_be_used_is_named(change: dict[str, Any], message: str) -> None:
    received = taken(sign(json.dumps([{**CHANGE, **change}, CHANGE]).encode(), {}, {}, NOW), "hubspot")
    assert [rejection.error.message for rejection in received.rejected] == [message]
    assert len(received.events) == 1
