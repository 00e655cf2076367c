from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.errors import BadInput, MailtailorError, Unauthorized
from mailtailor.events.event import Event
from mailtailor.events.sources.shopify import receive
from mailtailor.events.sources.webhook import Delivery
from mailtailor.profiles.identity import IdentityKind, Pseudonymizer

NOW = 1_800_000_000_000
SECRET = "the client secret of the tests"
PSEUDONYMIZER = Pseudonymizer(b"a pepper of the tests")
ORDER: dict[str, Any] = json.loads((Path(__file__).parents[3] / "events" / "shopify_order_create.json").read_text())


def signature(body: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def received(order: object, *, topic: str = "orders/create", secrets: tuple[str, ...] = (SECRET,)) -> list[Event]:
    body = json.dumps(order).encode()
    headers = {"x-shopify-hmac-sha256": signature(body), "x-shopify-topic": topic}
    return receive(Delivery(headers, body, NOW), secrets=secrets, pseudonymizer=PSEUDONYMIZER)


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


def test_nothing_personal_is_kept() -> None:
    # when
    stored = received(ORDER)[0].model_dump_json()

    # then
    for personal in ("Flora", "Meadows", "example.com", "1632960123", "203.0.113", "Invented Lane", "7123456789012"):
        assert personal not in stored


@pytest.mark.parametrize("topic", ["orders/paid", "orders/updated", "customers/create", ""])
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
        receive(Delivery(headers, b"{}", NOW), secrets=[SECRET], pseudonymizer=PSEUDONYMIZER)


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
    with pytest.raises(BadInput) as caught:
        received({**ORDER, **change})
    assert caught.value.message == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=10,
)


@given(JSON, st.dictionaries(st.sampled_from(sorted(ORDER)), JSON, max_size=4))
def test_whatever_is_signed_is_events_or_a_sentence(payload: Any, change: dict[str, Any]) -> None:
    for body in (payload, {**ORDER, **change}):
        try:
            events = received(body)
        except MailtailorError:
            continue
        assert len(events) <= 1
