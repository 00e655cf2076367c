"""HubSpot: which address was signed, and what changes of a contact become."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mailtailor.errors import Unauthorized
from mailtailor.events.event import Event
from mailtailor.events.sources.hubspot import WEBHOOK
from mailtailor.events.sources.webhook import Delivery, Received
from mailtailor.instant import MINUTE
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, Servers, take, taken
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
        ("zip", "LS1 1AA", {"postal_code": "LS1 1AA"}),
        ("city", "", {"city": ""}),
        ("lastname", "Meadows", {}),
        ("phone", "+441632960123", {}),
        ("address", "1 Invented Lane", {}),
        ("work_email", "flora@example.com", {}),
        ("passport_number", "REDACTED", {}),
        ("shoe_size", "REDACTED", {}),
        ("favourite_color", None, {}),
    ],
)
def test_a_changed_property_becomes_an_attribute_unless_it_reaches_the_person(
    name: str, value: str | None, attributes: dict[str, str]
) -> None:
    assert changed(name, value)[0].attributes == attributes


def test_the_same_change_told_by_two_subscriptions_is_one() -> None:
    # given: once more, and by a subscription of the newer form
    again = {**CHANGE, "eventId": 999, "subscriptionId": 12, "attemptNumber": 3}
    newer = {**again, "subscriptionType": "object.propertyChange", "objectTypeId": "0-1"}
    # when
    events = taken(sign(json.dumps([CHANGE, again, newer]).encode(), {}, {}, NOW), "hubspot").events
    # then
    assert len(events) == 3
    assert len({event.id for event in events}) == 1


def test_two_changes_of_a_contact_are_two_though_hubspot_gives_them_one_id() -> None:
    # given
    other = {**CHANGE, "propertyName": "city", "propertyValue": "Leeds"}
    # when
    events = taken(sign(json.dumps([CHANGE, other]).encode(), {}, {}, NOW), "hubspot").events
    # then
    assert len({event.id for event in events}) == 2


@pytest.mark.parametrize("kind", ["object.creation", "object.propertyChange"])
def test_only_contacts_are_taken_of_subscriptions_to_any_object(kind: str) -> None:
    # given
    told = [{**CHANGE, "subscriptionType": kind, "objectTypeId": one} for one in ("0-1", "0-2", None)]
    # when
    received = taken(sign(json.dumps(told).encode(), {}, {}, NOW), "hubspot")
    # then
    assert (len(received.events), received.rejected) == (1, [])


@pytest.mark.parametrize(
    "kind", ["contact.deletion", "contact.privacyDeletion", "contact.merge", "contact.restore", "deal.propertyChange"]
)
def test_what_is_not_covered_is_taken_and_counts_for_nothing(kind: str) -> None:
    body = json.dumps([{**CHANGE, "subscriptionType": kind}]).encode()
    assert taken(sign(body, {}, {}, NOW), "hubspot") == Received([], [])


def test_a_contact_that_wants_no_mail_at_all_has_unsubscribed() -> None:
    # when
    [event] = changed("hs_email_optout", "true")
    # then
    assert (event.type, event.attributes, event.consent) == ("unsubscribed", {}, {})
    assert changed("hs_email_optout", "false") == []


def test_a_sensitive_property_is_not_kept() -> None:
    # when
    body = json.dumps([{**CHANGE, "isSensitive": True}]).encode()
    # then
    assert taken(sign(body, {}, {}, NOW), "hubspot").events[0].attributes == {}


def test_the_signature_that_hubspots_own_library_publishes_is_believed_and_nothing_near_it() -> None:
    # given: hubspot-api-python, tests/spec/utils/test_signature.py, third version
    vector = Delivery(
        {
            "x-hubspot-signature-v3": "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=",
            "x-hubspot-request-timestamp": "1693657560000",
        },
        b"{'example_field':'example_value'}",
        1_693_657_560_000,
        urls=("https://www.example.com/webhook_uri",),
    )
    secret = ("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy",)
    # then
    WEBHOOK.verify(vector, secret, Servers())
    for other in (
        replace(vector, body=vector.body + b" "),
        replace(vector, urls=("http://www.example.com/webhook_uri",)),
        replace(vector, received_at=vector.received_at + 5 * MINUTE + 1),
        replace(vector, received_at=vector.received_at - 5 * MINUTE - 1),
    ):
        with pytest.raises(Unauthorized):
            WEBHOOK.verify(other, secret, Servers())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objectId": None}, "objectId is missing."),
        ({"occurredAt": "x"}, "occurredAt must be a number."),
        ({"occurredAt": -1}, "occurredAt is no time since 1970."),
        ({"propertyValue": {}}, "propertyValue must be text."),
        ({"propertyName": None}, "propertyName is missing."),
        ({"propertyName": "1st"}, "propertyName must begin with a Latin letter."),
    ],
)
def test_what_cannot_be_used_is_named(change: dict[str, Any], message: str) -> None:
    received = taken(sign(json.dumps([{**CHANGE, **change}, CHANGE]).encode(), {}, {}, NOW), "hubspot")
    assert [rejection.error.message for rejection in received.rejected] == [message]
    assert len(received.events) == 1
