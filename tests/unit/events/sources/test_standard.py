"""Standard Webhooks: the specification's own vector, the official package as the judge, and what a body becomes."""

from __future__ import annotations

import base64
import datetime as dt
import json
import time as clock
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from mailtailor.errors import Unauthorized
from mailtailor.events.sources.standard import WEBHOOK
from mailtailor.events.sources.webhook import Delivery, Received
from mailtailor.instant import MINUTE, SECOND
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, Servers, take, taken
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


@pytest.mark.parametrize("secret", ["whsec_a", "whsec_", "whpk_%", "\u20ac"])
def test_a_secret_of_another_form_is_told_and_spoils_no_other(secret: str) -> None:
    with pytest.raises(Unauthorized, match="whsec_"):
        take(SENDER.delivery(ORDER), "standard", secrets=(secret,))
    assert len(taken(SENDER.delivery(ORDER), "standard", secrets=(secret, SECRET)).events) == 1


@given(st.text(st.characters(codec="utf-8", exclude_characters="."), min_size=1, max_size=40), st.text(max_size=200))
def test_the_official_package_and_we_agree_on_what_is_authentic(webhook_id: str, body: str) -> None:
    # given: signed by the package, and the same with one thing changed; its verifier reads the clock, so it is now
    now = int(clock.time())
    official = Webhook(SECRET)
    signature = official.sign(webhook_id, dt.datetime.fromtimestamp(now, dt.UTC), body)
    right = {"webhook-id": webhook_id, "webhook-timestamp": str(now), "webhook-signature": f"v1,AAAA {signature}"}
    changes: list[tuple[dict[str, str], str]] = [
        ({}, body),
        ({}, f"{body} "),
        ({"webhook-id": f"{webhook_id}2"}, body),
        ({"webhook-timestamp": str(now + 1)}, body),
        ({"webhook-timestamp": str(now - 301)}, body),
        ({"webhook-signature": "v1,AAAA"}, body),
        ({"webhook-signature": signature.replace("v1,", "v2,")}, body),
    ]
    for change, sent in changes:
        headers = {**right, **change}
        # when
        try:
            official.verify(sent, headers, json_parse=False)
            theirs = True
        except WebhookVerificationError:
            theirs = False
        try:
            WEBHOOK.verify(Delivery(headers, sent.encode(), now * SECOND), (SECRET,), Servers())
            ours = True
        except Unauthorized:
            ours = False
        # then
        assert ours == theirs


def test_the_published_asymmetric_vector_is_believed_and_nothing_near_it() -> None:
    # given: of the reference implementation in Go, whose key is a seed; senders show the public key
    seed = base64.b64decode("VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=")
    public = (
        f"whpk_{base64.b64encode(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()).decode()}"
    )
    signature = "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag=="
    headers = {**VECTOR.headers, "webhook-signature": f"v1,b2xk v1a,eA== {signature}"}
    vector = replace(VECTOR, headers=headers)
    # then
    for secrets in ((public,), (SECRET, public), ("whpk_AAAA", public)):
        WEBHOOK.verify(vector, secrets, Servers())
    for other in (
        replace(vector, body=vector.body + b" "),
        replace(vector, headers={**headers, "webhook-id": "msg_2"}),
        replace(vector, headers={**headers, "webhook-timestamp": "1614265331"}),
        replace(vector, headers={**headers, "webhook-signature": signature.replace("v1a", "v1")}),
        replace(vector, received_at=vector.received_at + 6 * MINUTE),
    ):
        with pytest.raises(Unauthorized):
            WEBHOOK.verify(other, (public,), Servers())
    with pytest.raises(Unauthorized):
        WEBHOOK.verify(vector, (SECRET,), Servers())


def test_during_a_rotation_either_of_two_signatures_and_of_two_secrets_is_good() -> None:
    # given
    other = f"whsec_{base64.b64encode(b'another key, of twenty-four').decode()}"
    # then
    assert taken(SENDER.delivery(ORDER), "standard", secrets=(other, SECRET)).events


def test_bytes_that_are_no_text_were_not_signed() -> None:
    with pytest.raises(Unauthorized):
        take(replace(SENDER.delivery(ORDER), body=b"\xff"), "standard")
    with pytest.raises(Unauthorized):
        take(Delivery({**SENDER.delivery(ORDER).headers, "webhook-id": "\ud800"}, ORDER.body, NOW), "standard")


def test_the_data_may_stand_beside_the_type() -> None:
    # given
    event = json.loads(ORDER.body)
    beside = {"type": event["type"], "timestamp": event["timestamp"], **event["data"]}
    # then
    assert told(**beside).events == taken(SENDER.delivery(ORDER), "standard").events


def test_what_a_person_is_becomes_attributes_without_what_reaches_them() -> None:
    # when
    [event] = told(
        type="identified",
        data={
            "userId": "crm-4711",
            "email": "flora@example.com",
            "phone": "+441632960123",
            "lastName": "Meadows",
            "firstName": "Flora",
            "city": None,
            "points": 120,
            "vip": True,
        },
    ).events
    # then
    assert (event.properties, event.attributes) == (
        {},
        {"first_name": "Flora", "city": "", "points": 120, "vip": True},
    )


def test_a_long_id_names_the_event_all_the_same() -> None:
    # given
    signature = Webhook(SECRET).sign("m" * 900, dt.datetime.fromtimestamp(NOW / 1_000, dt.UTC), ORDER.body.decode())
    headers = {"webhook-id": "m" * 900, "webhook-timestamp": str(NOW // 1_000), "webhook-signature": signature}
    # then
    assert len(taken(Delivery(headers, ORDER.body, NOW), "standard").events[0].id) < 200


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
        (
            {"type": "identified", "data": {"userId": "u", "cart": []}},
            "data.cart must be text, a number, true, false or null.",
        ),
        (
            {"type": "identified", "data": {"userId": "u", "7": 1}},
            "data.7 must have a name that begins with a Latin letter.",
        ),
        ({"type": "identified", "data": {"userId": "u", "a": "b" * 257}}, "data.a is longer than 256 characters."),
        (
            {"type": "identified", "data": {"userId": "u", **{f"a{n}": n for n in range(51)}}},
            "data has more than 50 attributes.",
        ),
    ],
)
def test_what_cannot_be_used_is_named(event: dict[str, Any], message: str | None) -> None:
    [rejection] = told(**event).rejected
    assert rejection.error.message == (message or "timestamp must be a time in ISO 8601, as 2026-01-31T12:00:00Z.")


def test_an_event_of_nobody_counts_for_nobody() -> None:
    assert told(type="invoice.paid", data={"amount": 1}) == Received([], [])
