"""Adobe Commerce: Adobe's challenge, both ways to sign, and what each event becomes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mailtailor.errors import NotFound, Unauthorized, Unavailable
from mailtailor.events.sources.magento import SUCCESS, WEBHOOK
from mailtailor.events.sources.webhook import Delivery, Reply
from tests.senders import NOW, Servers, take, taken
from tests.senders.magento import CLIENT_ID, KEY_URL, ORDER, SENDER, entry, public_key, sign


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
    assert WEBHOOK.reply == SUCCESS
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


def test_an_event_for_another_project_of_adobe_s_customers_is_refused() -> None:
    # given: signed by the same keys, as every customer's is
    body = ORDER.body.replace(CLIENT_ID.encode(), b"another-project")
    # then
    with pytest.raises(Unauthorized):
        take(sign(body, {}, {}, NOW), "magento")
    with pytest.raises(Unauthorized):
        take(SENDER.delivery(ORDER), "magento", secrets=(f"key={entry()}",))


def test_keys_that_cannot_be_fetched_make_adobe_send_again() -> None:
    with pytest.raises(Unavailable):
        take(SENDER.delivery(ORDER), "magento", servers=Servers())


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
    delivery = SENDER.delivery(SENDER.samples[3])
    # then
    assert taken(delivery, "magento", secrets=(f"key={entry()}",)).events
    with pytest.raises(Unauthorized):
        take(delivery, "magento", secrets=(f"client_id={CLIENT_ID}", "key=AAAA"))


def test_an_order_counts_by_its_lines_that_have_a_price() -> None:
    # when
    [order] = taken(SENDER.delivery(ORDER), "magento").events
    # then
    assert (order.id, order.occurred_at) == ("magento:order:000000041", 1_799_998_800_000)
    assert order.properties == {
        "order_id": "000000041",
        "total": 36.8,
        "currency": "GBP",
        "products": [
            {"product_id": "85123A", "name": "Lamp", "quantity": 2.0, "price": 12.5},
            {"product_id": "22191R", "name": "Tin", "quantity": 1.0, "price": 4.95},
        ],
    }


def test_an_order_told_by_two_events_is_one() -> None:
    # given
    again = ORDER.body.replace(b"sales_order_place_after", b"sales_order_save_commit_after")
    # then
    assert taken(sign(again, {}, {}, NOW), "magento").events == taken(SENDER.delivery(ORDER), "magento").events


def test_several_events_of_a_delivery_are_taken_each_by_itself() -> None:
    # given
    event = json.loads(ORDER.body)
    broken = json.loads(ORDER.body)
    broken["event"]["data"]["value"]["items"] = None
    # when
    received = taken(sign(json.dumps([broken, event]).encode(), {}, {}, NOW), "magento")
    # then
    assert len(received.events) == 1
    assert [(one.index, one.error.message) for one in received.rejected] == [(0, "items must be a list.")]
