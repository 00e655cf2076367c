"""Adobe Commerce: Adobe's challenge, both ways to sign, and what each event becomes."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from mailtailor.errors import NotFound, Unauthorized, Unavailable
from mailtailor.events.event import Event
from mailtailor.events.sources import magento
from mailtailor.events.sources.magento import SUCCESS
from mailtailor.events.sources.webhook import Delivery, Received, Reply
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, Servers, take, taken
from tests.senders.magento import (
    CANCELLED,
    CART,
    CLIENT_ID,
    CUSTOMER,
    KEY_URL,
    OF_COMMERCE,
    ORDER,
    PLUGIN,
    REFUNDED,
    RETIRED_URL,
    SENDER,
    WEBHOOK,
    entry,
    public_key,
    sign,
    signature,
)

PUBLISHED = b'{"event_id":"eventId1","event":{"hello":"world"},"recipient_client_id":"client_id1"}'
"""With its signature and key, of the tests of Adobe's own verifier (aio-lib-events, test/mock.js)."""
PUBLISHED_SIGNATURE = (
    "Hgq9NEIAtFItHQfHYi2x94zAaHG7088PUDLdpSTdsFjLPD+IJCrKpSf4bxNeh3vHmMqj6zUVYfFEYvgI0riJNx12b3wIMHhoa/MxQGzzCcN4"
    "GnB/LVaTm9/1LZSxKpyR34FhaaYxbN3u3dSE60zk5swjzMKUFRmFiiE6k0knjcM+e0E3f1g9kFXgy/dUIOlty4SlS3hbv1UHS/BYXakH7d0l"
    "b4mrNxHIGNuIyFRmMpbZ4KyXDJo5nCQqvW0dZKAikpavf58/S8xbYyhJTImNJaUMZYQ5m8KD6H1ME48Hr3Q+Vgte9cXrTCreK1tVqCCy/ZaQ"
    "GC7Z/qPOC+D849hi9g=="
)
PUBLISHED_KEY = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEArGwUIIdaBSUrZq4V24cLR3I19gel9uBBmXE3lt4oVHF0lMsHnA72cJNf/IPFYDWE"
    "lM/tE4bat8p78O2ZQpus6nzi/ISfSWprWhvTuI5sKx6CVgbRIzUM6VTIcvo8o3PK49HbgacRiUABZ1uNo7CzPfmu5xAY+l2Ie1Dt8yperotK"
    "AKJmuPYeFWKGe9tzbPYgFluCy8DjPp2gGsmjsorR/CVRJq8fWl5aTLha+ZHSTuyNY+RQhC/fZ7CHf89EdSvonyu6W7/SJmSf9DGGjmX0HJNR"
    "EqdTE9QdbSBMfNn/pa9fCGwR3yEoAZCkfVG06Xx02vOI0Q1RAkf2tGhO4bsZcwIDAQAB"
)


def changed(sample: Any = ORDER, **value: Any) -> dict[str, Any]:
    """Return an event whose order, cart or customer is another in some fields."""
    event: dict[str, Any] = json.loads(sample.body)
    event["data"]["value"] |= value
    return event


def received(body: object, *, headers: dict[str, str] | None = None, query: dict[str, str] | None = None) -> Received:
    return taken(sign(json.dumps(body).encode(), headers or {}, query or {}, NOW), "magento")


def user(event: Event) -> list[str]:
    return [one.id for one in event.identities if one.kind is IdentityKind.USER_ID]


def asked(**query: str) -> Delivery:
    return Delivery({}, b"", NOW, method="GET", query=query)


def test_adobe_s_challenge_is_answered_as_it_came() -> None:
    assert take(asked(challenge="8ec8d794-e0ab-42df-9017-e3dada8e84f7"), "magento") == Reply(
        "8ec8d794-e0ab-42df-9017-e3dada8e84f7"
    )


@pytest.mark.parametrize("challenge", ["", "<script>alert(1)</script>", "a b", "x" * 201, "a\r\nb", "\u20ac"])
def test_nothing_else_is_echoed(challenge: str) -> None:
    with pytest.raises(NotFound):
        take(asked(challenge=challenge), "magento")


def test_the_shop_is_told_to_go_on() -> None:
    assert magento.WEBHOOK.reply == SUCCESS
    assert json.loads(SUCCESS.body) == {"op": "success"}


@pytest.mark.parametrize(
    "path",
    [
        "",
        "//evil.example/keys/a.pem",
        "@evil.example/keys/a.pem",
        "/prod/keys/../../a.pem",
        "/prod/keys/a.pem?x",
        "/prod/a.pem",
        ".evil.example/prod/keys/a.pem",
    ],
)
def test_keys_are_fetched_from_adobe_s_host_and_folder_alone(path: str) -> None:
    # given
    delivery = SENDER.delivery(ORDER)
    servers = Servers()
    headers = {**delivery.headers, "x-adobe-public-key1-path": path, "x-adobe-public-key2-path": path}
    # then
    with pytest.raises(Unauthorized):
        take(replace(delivery, headers=headers), "magento", servers=servers)
    assert servers.asked == []


def test_the_signature_that_adobe_published_is_right() -> None:
    # given
    delivery = Delivery(
        {"x-adobe-digital-signature-1": PUBLISHED_SIGNATURE, "x-adobe-public-key1-path": "/prod/keys/pub-key-1.pem"},
        PUBLISHED,
        NOW,
    )
    key = f"-----BEGIN PUBLIC KEY-----\n{PUBLISHED_KEY}\n-----END PUBLIC KEY-----".encode()
    servers = Servers({"https://static.adobeioevents.com/prod/keys/pub-key-1.pem": key})
    # then: it is no event of Commerce's
    assert taken(delivery, "magento", secrets=("client_id=client_id1",), servers=servers) == Received([], [])
    another = replace(delivery, body=PUBLISHED.replace(b"world", b"World"))
    with pytest.raises(Unauthorized):
        take(another, "magento", secrets=("client_id=client_id1",), servers=servers)


def test_an_event_for_another_project_of_adobe_s_customers_is_refused_before_any_key_is_fetched() -> None:
    # given: signed by the same keys, as every customer's is
    servers = Servers(SENDER.servers)
    another = {**changed(), "recipient_client_id": "another-project"}
    # then
    for body in (another, [another], [changed(), another], [], {}):
        with pytest.raises(Unauthorized):
            take(sign(json.dumps(body).encode(), {}, {}, NOW), "magento", servers=servers)
    with pytest.raises(Unauthorized):
        take(SENDER.delivery(ORDER), "magento", secrets=(f"key={entry()}",), servers=servers)
    assert servers.asked == []


def test_keys_that_cannot_be_fetched_make_adobe_send_again() -> None:
    with pytest.raises(Unavailable):
        take(SENDER.delivery(ORDER), "magento", servers=Servers())


def test_a_key_that_is_gone_does_not_keep_the_other_from_being_tried() -> None:
    assert taken(SENDER.delivery(ORDER), "magento", servers=Servers({KEY_URL: public_key()})).events
    # and one that cannot be fetched may be the right one
    with pytest.raises(Unavailable):
        take(SENDER.delivery(ORDER), "magento", servers=Servers({RETIRED_URL: public_key()}))


def test_either_signature_will_do() -> None:
    # given: the second is of a key that does not verify
    delivery = SENDER.delivery(ORDER)
    headers = {
        "x-adobe-digital-signature-1": delivery.headers["x-adobe-digital-signature-2"],
        "x-adobe-public-key1-path": delivery.headers["x-adobe-public-key2-path"],
        "x-adobe-digital-signature-2": "b2xk",
    }
    # then
    assert taken(replace(delivery, headers=headers), "magento", servers=Servers({KEY_URL: public_key()})).events


def test_the_shop_s_own_webhook_is_believed_by_the_shop_s_key_alone() -> None:
    # given
    delivery = SENDER.delivery(WEBHOOK)
    # then
    assert taken(delivery, "magento", secrets=("key=AAAA", f"key={entry()}")).events
    with pytest.raises(Unauthorized):
        take(delivery, "magento", secrets=(f"client_id={CLIENT_ID}", "key=AAAA"))


def test_the_shop_signs_the_body_s_base64_and_not_the_body() -> None:
    # given
    header = "x-adobe-commerce-webhook-signature"
    # then
    good = Delivery({header: signature(base64.b64encode(WEBHOOK.body))}, WEBHOOK.body, NOW)
    assert taken(good, "magento").events
    with pytest.raises(Unauthorized):
        take(replace(good, headers={header: signature(WEBHOOK.body)}), "magento")


def test_an_order_counts_by_its_lines_that_have_a_price() -> None:
    # when
    [order] = taken(SENDER.delivery(ORDER), "magento").events
    # then
    assert (order.id, order.occurred_at) == ("magento:order:000000041", 1_799_998_800_000)
    assert [(one.kind, one.id) for one in order.identities] == [
        (IdentityKind.USER_ID, PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, "magento:17")),
        (IdentityKind.EMAIL, PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, "flora@example.com")),
    ]
    assert order.properties == {
        "order_id": "000000041",
        "total": 36.8,
        "currency": "GBP",
        "products": [
            {"product_id": "85123A", "name": "Lamp", "quantity": 2.0, "price": 12.5},
            {"product_id": "22191R", "name": "Tin", "quantity": 1.0, "price": 4.95},
        ],
    }


def test_lines_may_come_as_php_writes_a_list_with_gaps() -> None:
    # given
    lines = changed()["data"]["value"]["items"]
    # then
    [order] = received(changed(items={str(n): line for n, line in enumerate(lines)})).events
    assert order == taken(SENDER.delivery(ORDER), "magento").events[0]


def test_an_order_is_the_same_whichever_event_tells_it_and_however_it_is_wrapped() -> None:
    # given
    flat = changed()
    value = flat["data"]["value"]
    wrapped = {"event_id": "1", "event": flat, "recipient_client_id": CLIENT_ID}
    # then
    expected = taken(SENDER.delivery(ORDER), "magento").events
    for kind in ("sales_order_place_after", "checkout_submit_all_after"):
        body = {**flat, "type": f"com.adobe.commerce.observer.{kind}", "data": {"value": {"order": value}}}
        assert received(body).events == expected
    assert received(wrapped).events == expected
    assert received([flat]).events == expected


@pytest.mark.parametrize("state", ["new", "processing", "complete", "holded", "payment_review"])
def test_an_order_in_a_state_after_the_checkout_counts(state: str) -> None:
    assert [event.id for event in received(changed(state=state)).events] == ["magento:order:000000041"]


@pytest.mark.parametrize("state", ["pending_payment", "a-state-of-a-plugin"])
def test_an_order_whose_buyer_is_still_paying_does_not_count(state: str) -> None:
    assert received(changed(state=state)) == Received([], [])


def test_a_cancelled_order_is_an_event_of_its_own_at_the_time_of_the_change() -> None:
    # when
    [event] = taken(SENDER.delivery(CANCELLED), "magento").events
    # then
    assert (event.id, event.type, event.occurred_at) == (
        "magento:order:000000041:cancelled",
        "order_cancelled",
        1_799_999_730_000,  # 2027-01-15T07:55:30Z
    )
    assert event.properties == {"order_id": "000000041", "total": 36.8, "currency": "GBP"}
    told = {**changed(CANCELLED), "type": "com.adobe.commerce.observer.order_cancel_after"}
    assert received(told).events == [event]


def test_an_order_that_was_paid_back_in_full_is_refunded_beside_the_order() -> None:
    # when
    completed, refunded = taken(SENDER.delivery(REFUNDED), "magento").events
    # then
    assert completed.id == "magento:order:000000041"
    assert (refunded.id, refunded.properties["total"]) == ("magento:order:000000041:refunded", 36.8)


def test_a_change_that_tells_nothing_of_the_order_counts_for_nothing() -> None:
    # given: what a change of one field by Commerce's API looks like
    sparse = changed()
    sparse["data"]["value"] = {"ext_order_id": "7"}
    # then
    assert received(sparse) == Received([], [])


def test_a_webhook_s_order_that_has_no_time_yet_happened_when_it_came() -> None:
    # when
    [event] = taken(SENDER.delivery(WEBHOOK), "magento").events
    # then
    assert (event.id, event.occurred_at) == ("magento:order:000000042", NOW)
    assert taken(SENDER.delivery(PLUGIN), "magento").events == [event]


def test_what_is_told_before_it_happened_does_not_count() -> None:
    # given
    body = {**json.loads(WEBHOOK.body), "eventName": "sales_order_place_before"}
    # then: whatever the address says, for the name in the body is signed
    query = {"event": "observer.sales_order_place_after"}
    assert received(body, headers=OF_COMMERCE, query=query) == Received([], [])


def test_a_product_in_a_cart_counts_for_whom_the_context_fields_name() -> None:
    # when
    [event] = taken(SENDER.delivery(CART), "magento").events
    # then: when it was added, and not when its line was first written
    assert (event.id, event.occurred_at) == ("magento:4b0ee3ab-5a4b-4f0c-9a3c-0a0c0b0d0e04", 1_799_998_802_436)
    assert event.properties == {"product_id": "85123A", "name": "Lamp", "quantity": 1, "price": 12.5}
    assert user(event) == [PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, "magento:17")]
    assert received(changed(CART, customer={"id": None, "email": None})) == Received([], [])


def test_the_shop_s_stock_is_not_taken_for_what_was_put_into_the_cart() -> None:
    # given
    body = changed(CART, quote_item=None, info={"qty": "2"})
    body["type"] = "com.adobe.commerce.observer.checkout_cart_add_product_complete"
    # when
    [event] = received(body).events
    # then
    assert event.properties == {"product_id": "85123A", "name": "Lamp", "quantity": 2.0, "price": 12.5}


def test_what_is_taken_out_of_a_cart_is_removed() -> None:
    # given
    body = {**changed(CART), "type": "com.adobe.commerce.observer.sales_quote_remove_item"}
    # then
    assert [event.type for event in received(body).events] == ["product_removed"]


def test_a_webhook_of_a_cart_is_named_by_what_is_signed() -> None:
    # given
    value = changed(CART)["data"]["value"]
    more = {**value, "quote_item": {**value["quote_item"], "qty": 2}}
    first, again, other = (
        received({"eventName": "checkout_cart_product_add_after", "data": data}, headers=OF_COMMERCE).events[0].id
        for data in (value, value, more)
    )
    # then
    assert first == again != other


def test_what_a_customer_is_becomes_attributes_without_what_reaches_them() -> None:
    # when
    [event] = taken(SENDER.delivery(CUSTOMER), "magento").events
    # then
    assert event.occurred_at == 1_799_996_400_000
    assert event.attributes == {
        "first_name": "Flora",
        "city": "Leeds",
        "region": "ENG",
        "country": "GB",
        "postal_code": "LS1 1AA",
    }
    registered = {**changed(CUSTOMER), "type": "com.adobe.commerce.observer.customer_register_success"}
    registered["data"]["value"] = {"customer": registered["data"]["value"], "account_controller": []}
    assert received(registered).events == [event]


def test_a_guest_is_known_by_address_alone() -> None:
    # when
    [event] = received(changed(customer_id=0, customer_is_guest="1")).events
    # then
    assert [one.kind for one in event.identities] == [IdentityKind.EMAIL]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"increment_id": None}, "increment_id is missing."),
        ({"state": None}, "state is missing."),
        ({"state": 1.5}, "state must be text."),
        ({"customer_id": {}}, "customer_id must be text."),
        ({"created_at": "soon"}, "created_at must be a time in ISO 8601, as 2026-01-31T12:00:00Z."),
        ({"grand_total": []}, "grand_total must be a number."),
        ({"items": None}, "items must be a list."),
        ({"items": [7]}, "items[0] must be an object."),
        ({"items": [{"price": "dear"}]}, "items[0].price must be a number."),
        ({"items": [{}] * 501}, "items has more than 500 entries."),
    ],
)
def test_an_order_of_the_wrong_shape_is_kept_for_later_and_takes_no_other_with_it(
    change: dict[str, Any], message: str
) -> None:
    # when
    taken_ = received([changed(**change), changed()])
    # then
    assert [(one.index, one.error.message) for one in taken_.rejected] == [(0, message)]
    assert [event.id for event in taken_.events] == ["magento:order:000000041"]


def test_a_cart_without_a_product_is_told() -> None:
    # when
    received_ = received(changed(CART, quote_item={"qty": 1}))
    # then
    assert [one.error.message for one in received_.rejected] == ["value.sku is missing."]
