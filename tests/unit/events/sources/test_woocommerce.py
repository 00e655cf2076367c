"""WooCommerce's webhooks: when an order counts, what a refund is, and the ping that is not signed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.errors import BadInput, Unauthorized
from mailtailor.events.event import Event
from mailtailor.events.sources.registry import webhook_source
from mailtailor.events.sources.webhook import Delivery, Received, Reply
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, take, taken
from tests.senders.woocommerce import CANCELLED, CUSTOMER, ORDER, REFUNDED, SECRET, SENDER, sign, signature, topic

PAYLOAD: dict[str, Any] = json.loads(ORDER.body)


def delivered(payload: object, *, of: str = "order.updated", secrets: tuple[str, ...] = (SECRET,)) -> Received:
    return taken(sign(json.dumps(payload).encode(), topic(of), {}, NOW), "woocommerce", secrets=secrets)


def received(payload: object, *, of: str = "order.updated") -> list[Event]:
    return delivered(payload, of=of).events


def types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def test_a_placed_order_is_an_order_completed() -> None:
    # when
    [event] = received(PAYLOAD)

    # then
    assert (event.id, event.type, event.source) == ("woocommerce:order:4731", "order_completed", "woocommerce")
    assert event.occurred_at == 1_795_252_542_000  # 2026-11-21T09:15:42Z, when it was created
    assert [(identity.kind, identity.id) for identity in event.identities] == [
        (IdentityKind.USER_ID, PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, "woocommerce:812044")),
        (IdentityKind.EMAIL, PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, "hedda.birkenstein@example.com")),
    ]
    assert event.properties == {
        "order_id": "4731",
        "total": 60.57,
        "currency": "EUR",
        "products": [
            {"product_id": "BOARD-22", "name": "Beech Serving Board", "quantity": 2, "price": 19},
            {"product_id": "318", "name": "Linen Tea Towel - Blue", "quantity": 1, "price": 8},
        ],
    }
    assert (event.attributes, event.context) == ({}, {})


@pytest.mark.parametrize("status", ["processing", "on-hold", "completed"])
@pytest.mark.parametrize("of", ["order.created", "order.updated"])
def test_an_order_counts_once_however_often_and_by_whichever_topic_it_is_told(status: str, of: str) -> None:
    # given
    later = {**PAYLOAD, "status": status, "date_modified_gmt": "2026-11-30T00:00:00"}
    # when
    [first], [again] = received(PAYLOAD), received(later, of=of)
    # then
    assert (again.id, again.occurred_at) == (first.id, first.occurred_at)


@pytest.mark.parametrize("status", ["pending", "failed", "checkout-draft", "trash", "packed-by-a-plugin", None])
def test_an_order_that_is_not_placed_does_not_count(status: str | None) -> None:
    assert received({**PAYLOAD, "status": status}) == []


def test_a_part_that_is_refunded_is_an_event_of_its_own_beside_the_order() -> None:
    # when
    completed, refunded = taken(SENDER.delivery(REFUNDED), "woocommerce").events
    # then
    assert completed.id == "woocommerce:order:4731"
    assert (refunded.id, refunded.type) == ("woocommerce:order:4731:refund:4760", "order_refunded")
    assert refunded.occurred_at == 1_795_593_791_000  # 2026-11-25T08:03:11Z, when the order was changed
    assert refunded.properties == {"order_id": "4731", "total": 9.52, "currency": "EUR"}


def test_a_second_refund_leaves_the_first_as_it_was() -> None:
    # given
    order = json.loads(REFUNDED.body)
    more = {
        **order,
        "refunds": [*order["refunds"], {"id": 4799, "reason": "", "total": "-51.05"}],
        "status": "refunded",
    }
    # when
    events = received(more)
    # then
    assert [event.id for event in events] == [
        "woocommerce:order:4731",
        "woocommerce:order:4731:refund:4760",
        "woocommerce:order:4731:refund:4799",
    ]
    assert [event.properties["total"] for event in events] == [60.57, 9.52, 51.05]


def test_an_order_set_to_refunded_without_a_refund_counts_as_refunded_in_full() -> None:
    # when
    _, refunded = received({**PAYLOAD, "status": "refunded", "refunds": []})
    # then
    assert (refunded.id, refunded.properties["total"]) == ("woocommerce:order:4731:refunded", 60.57)


def test_a_cancelled_order_is_an_event_of_its_own_at_the_time_of_the_change() -> None:
    # when
    [event] = taken(SENDER.delivery(CANCELLED), "woocommerce").events
    # then
    assert (event.id, event.type) == ("woocommerce:order:4731:cancelled", "order_cancelled")
    assert event.occurred_at == 1_795_258_805_000  # 2026-11-21T11:00:05Z


def test_a_guest_is_customer_0_and_known_by_address_alone() -> None:
    # when
    [event] = received({**PAYLOAD, "customer_id": 0})
    # then
    assert [identity.kind for identity in event.identities] == [IdentityKind.EMAIL]


def test_an_order_of_nobody_counts_for_nobody() -> None:
    assert received({**PAYLOAD, "customer_id": 0, "billing": {"email": ""}}) == []


def test_what_a_customer_is_becomes_attributes_without_what_reaches_them() -> None:
    # when
    [event] = taken(SENDER.delivery(CUSTOMER), "woocommerce").events
    # then
    assert event.type == "identified"
    assert event.occurred_at == 1_795_545_002_000  # 2026-11-24T18:30:02Z
    assert event.attributes == {
        "first_name": "Hedda",
        "city": "Hamburg",
        "region": "DE-HH",
        "country": "DE",
        "postal_code": "20095",
    }
    assert event.properties == {}


def test_a_customer_that_was_never_changed_was_changed_when_created() -> None:
    # given
    customer = {**json.loads(CUSTOMER.body), "date_modified_gmt": None}
    # when
    [event] = received(customer, of="customer.created")
    # then
    assert event.occurred_at == 1_790_920_811_000  # 2026-10-02T06:00:11Z


@pytest.mark.parametrize("body", [b"webhook_id=12", b"webhook_id=9876543210\r\n"])
def test_the_ping_of_a_new_webhook_is_answered_without_effect(body: bytes) -> None:
    # given
    ping = Delivery({"content-type": "application/x-www-form-urlencoded"}, body, NOW)
    # when
    reply = take(ping, "woocommerce")
    # then
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (200, "")


@pytest.mark.parametrize("body", [b"", b"webhook_id=", b"webhook_id=1&order=2", b"webhook_id=" + b"1" * 21, b"{}"])
def test_only_the_ping_itself_goes_unsigned(body: bytes) -> None:
    with pytest.raises(Unauthorized):
        take(Delivery(topic("order.created"), body, NOW), "woocommerce")


def test_a_ping_that_claims_a_signature_is_checked_like_anything_else() -> None:
    with pytest.raises(Unauthorized):
        take(Delivery({"x-wc-webhook-signature": "AAAA"}, b"webhook_id=12", NOW), "woocommerce")


@pytest.mark.parametrize("given", ["", "AAAA", signature(b"{}", "another secret"), signature(b"{} ")])
def test_a_wrong_signature_is_refused(given: str) -> None:
    with pytest.raises(Unauthorized):
        take(Delivery({**topic("order.created"), "x-wc-webhook-signature": given}, b"{}", NOW), "woocommerce")


def test_during_a_rotation_the_old_and_the_new_secret_are_good() -> None:
    assert delivered(PAYLOAD, secrets=("the new one", SECRET)).events


def test_what_cannot_be_read_stops_without_disabling_the_webhook() -> None:
    # given: signed, but no JSON
    delivery = sign(b"<html>", topic("order.created"), {}, NOW)
    # then
    with pytest.raises(BadInput, match="not valid JSON"):
        take(delivery, "woocommerce")
    assert webhook_source("woocommerce").unreadable == 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "id is missing."),
        ({"status": []}, "status must be text."),
        ({"date_created_gmt": None}, "date_created_gmt is missing."),
        ({"date_created_gmt": "soon"}, "date_created_gmt must be a time in ISO 8601, as 2026-01-31T12:00:00Z."),
        ({"customer_id": {}}, "customer_id must be text."),
        ({"billing": "Hedda"}, "billing must be an object."),
        ({"line_items": None}, "line_items must be a list."),
        ({"line_items": [7]}, "line_items[0] must be an object."),
        ({"line_items": [{"price": "dear"}]}, "line_items[0].price must be a number."),
        ({"line_items": [{}] * 501}, "line_items has more than 500 entries."),
        ({"total": []}, "total must be a number."),
        ({"refunds": 7}, "refunds must be a list."),
        ({"refunds": [{}] * 101}, "refunds has more than 100 entries."),
        ({"refunds": [{"id": 1}, {}]}, "refunds[1].id is missing."),
        ({"refunds": [{"id": 1, "total": "all"}]}, "refunds[0].total must be a number."),
    ],
)
def test_a_signed_order_of_the_wrong_shape_is_kept_for_later_naming_field_and_reason(
    change: dict[str, Any], message: str
) -> None:
    assert [rejection.error.message for rejection in delivered({**PAYLOAD, **change}).rejected] == [message]
