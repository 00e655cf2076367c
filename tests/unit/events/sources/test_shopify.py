"""Shopify's webhooks: what each topic becomes, and what of it is left behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.errors import Unauthorized
from mailtailor.events.event import Event
from mailtailor.events.sources.webhook import Delivery, Received
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, taken
from tests.senders.shopify import ORDER as SAMPLE
from tests.senders.shopify import SECRET, SENDER, sign, signature

ORDER: dict[str, Any] = json.loads(SAMPLE.body)


def delivered(payload: object, *, topic: str = "orders/create", secrets: tuple[str, ...] = (SECRET,)) -> Received:
    delivery = sign(json.dumps(payload).encode(), {"x-shopify-topic": topic}, {}, NOW)
    return taken(delivery, "shopify", secrets=secrets)


def received(payload: object, *, topic: str = "orders/create", secrets: tuple[str, ...] = (SECRET,)) -> list[Event]:
    return delivered(payload, topic=topic, secrets=secrets).events


def test_a_placed_order_is_an_order_completed() -> None:
    # when
    [event] = received(ORDER)

    # then
    assert (event.id, event.type, event.source) == ("shopify:order:5678901234567", "order_completed", "shopify")
    assert event.occurred_at == 1_795_179_931_000
    assert [(identity.kind, identity.id) for identity in event.identities] == [
        (IdentityKind.USER_ID, PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, "shopify:7123456789012")),
        (IdentityKind.EMAIL, PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, "flora.meadows@example.com")),
    ]
    assert event.properties == {
        "order_id": "5678901234567",
        "total": 36.8,
        "currency": "GBP",
        "products": [
            {"product_id": "22191R", "name": "Round Storage Tin", "quantity": 3, "price": 4.95},
            {"product_id": "9123456789555", "name": "Enamel Jug", "quantity": 1, "price": 17.0},
        ],
    }


def test_marketing_permission_is_not_consent_to_personalization() -> None:
    assert received(ORDER)[0].consent == {}


@pytest.mark.parametrize("topic", ["orders/paid", "orders/updated", "products/update", ""])
def test_other_topics_are_taken_and_count_for_nothing(topic: str) -> None:
    assert received(ORDER, topic=topic) == []


def test_an_order_of_nobody_counts_for_nobody() -> None:
    assert received({**ORDER, "customer": None, "email": ""}) == []


def test_a_guest_is_known_by_address_alone() -> None:
    assert [identity.kind for identity in received({**ORDER, "customer": None})[0].identities] == [IdentityKind.EMAIL]


def test_an_address_that_is_none_does_not_lose_the_order() -> None:
    # when
    [event] = received({**ORDER, "email": "none given"})

    # then
    assert [identity.kind for identity in event.identities] == [IdentityKind.USER_ID, IdentityKind.EMAIL]


@pytest.mark.parametrize("given", [None, "", "\u20ac", "AAAA", signature(b"{}", "another secret"), signature(b"{} ")])
def test_a_wrong_or_missing_signature_is_refused_before_anything_is_read(given: str | None) -> None:
    # given
    headers = {"x-shopify-topic": "orders/create"} | ({} if given is None else {"x-shopify-hmac-sha256": given})

    # then
    with pytest.raises(Unauthorized):
        taken(Delivery(headers, b"{}", NOW), "shopify")


def test_during_a_rotation_the_old_and_the_new_secret_are_good() -> None:
    assert received(ORDER, secrets=("the new one", SECRET))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "id is missing."),
        ({"id": {}}, "id must be text."),
        ({"created_at": None}, "created_at is missing."),
        ({"created_at": "soon"}, "created_at must be a time in ISO 8601, as 2026-01-31T12:00:00Z."),
        ({"customer": "Flora"}, "customer must be an object."),
        ({"line_items": None}, "line_items must be a list."),
        ({"line_items": [7]}, "line_items[0] must be an object."),
        ({"line_items": [{"price": "dear"}]}, "line_items[0].price must be a number."),
        ({"line_items": [{}] * 501}, "line_items has more than 500 entries."),
        ({"total_price": []}, "total_price must be a number."),
    ],
)
def test_a_signed_order_of_the_wrong_shape_is_refused_naming_field_and_reason(
    change: dict[str, Any], message: str
) -> None:
    assert [rejection.error.message for rejection in delivered({**ORDER, **change}).rejected] == [message]


def test_what_a_customer_is_becomes_attributes_without_what_reaches_them() -> None:
    # when
    [event] = taken(SENDER.delivery(SENDER.samples[3]), "shopify").events

    # then
    assert event.attributes == {
        "first_name": "Flora",
        "city": "Leeds",
        "region": "ENG",
        "country": "GB",
        "postal_code": "LS1 1AA",
    }


def test_a_cancelled_order_is_another_event_than_the_order() -> None:
    # when
    [event] = taken(SENDER.delivery(SENDER.samples[1]), "shopify").events

    # then
    assert (event.id, event.properties["order_id"]) == ("shopify:order:5678901234567:cancelled", "5678901234567")
