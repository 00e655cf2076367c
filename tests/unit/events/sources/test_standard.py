"""Standard Webhooks: the specification's own vector, the official package as the judge, and what a body becomes."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from standardwebhooks import Webhook

from mailtailor.errors import Unauthorized
from mailtailor.events.sources.webhook import Delivery, Received
from mailtailor.instant import SECOND
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, take, taken
from tests.senders.standard import ID, ORDER, SECRET, SENDER, sign

VECTOR = Delivery(
    {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    b'{"test": 2432232314}',
    1_614_265_330 * SECOND,
)
"""Of the specification's reference implementations; its secret is below."""


def told(**event: Any) -> Received:
    return taken(sign(json.dumps(event).encode(), {}, {}, NOW), "standard")


def test_the_published_vector_is_believed_and_nothing_near_it() -> None:
    # given
    secret = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",)
    # then: it is authentic, and has no type that we could use
    assert taken(VECTOR, "standard", secrets=secret).rejected[0].error.message.startswith("type is missing")
    for change in ({"webhook-id": "msg_2"}, {"webhook-timestamp": "1614265331"}, {"webhook-signature": "v1,"}):
        with pytest.raises(Unauthorized):
            take(Delivery({**VECTOR.headers, **change}, VECTOR.body, VECTOR.received_at), "standard", secrets=secret)


def test_what_the_official_package_signs_is_believed() -> None:
    # given
    signature = Webhook(SECRET).sign(ID, dt.datetime.fromtimestamp(NOW / 1_000, dt.UTC), ORDER.body.decode())
    headers = {"webhook-id": ID, "webhook-timestamp": str(NOW // 1_000), "webhook-signature": signature}
    # then
    assert len(taken(Delivery(headers, ORDER.body, NOW), "standard").events) == 1


@pytest.mark.parametrize("signature", ["v1", "v1,,", "v2,x", ",", "v1,\u20ac", " "])
def test_a_malformed_signature_is_refused_like_a_wrong_one(signature: str) -> None:
    with pytest.raises(Unauthorized):
        take(Delivery({**SENDER.delivery(ORDER).headers, "webhook-signature": signature}, ORDER.body, NOW), "standard")


def test_a_secret_of_another_form_is_told() -> None:
    with pytest.raises(Unauthorized, match="whsec_"):
        take(SENDER.delivery(ORDER), "standard", secrets=("whsec_a",))


def test_an_order_is_an_order() -> None:
    # when
    [event] = taken(SENDER.delivery(ORDER), "standard").events
    # then
    assert (event.id, event.type, event.occurred_at) == (f"standard:{ID}", "order_completed", 1_799_999_940_000)
    assert [(one.kind, one.id) for one in event.identities] == [
        (kind, PSEUDONYMIZER.pseudonym(kind, key))
        for kind, key in ((IdentityKind.USER_ID, "crm-4711"), (IdentityKind.EMAIL, "flora@example.com"))
    ]
    assert event.properties == {
        "order_id": "1001",
        "total": 36.8,
        "currency": "GBP",
        "products": [{"product_id": "85123A", "quantity": 2, "price": 2.95}],
    }


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"data": {"userId": "u"}}, "type is missing, or does not begin with a Latin letter."),
        ({"type": "7.up", "data": {"userId": "u"}}, "type is missing, or does not begin with a Latin letter."),
        ({"type": "a", "data": []}, "data must be an object."),
        ({"type": "a", "data": {"userId": {}}}, "data.userId must be text."),
        ({"type": "a", "data": {"userId": "u", "price": "x"}}, "properties.price must be a number."),
        ({"type": "a", "timestamp": 7, "data": {"userId": "u"}}, None),
    ],
)
def test_what_cannot_be_used_is_named(event: dict[str, Any], message: str | None) -> None:
    [rejection] = told(**event).rejected
    assert rejection.error.message == (message or "timestamp must be a time in ISO 8601, as 2026-01-31T12:00:00Z.")


def test_an_event_of_nobody_counts_for_nobody() -> None:
    assert told(type="invoice.paid", data={"amount": 1}) == Received([], [])
