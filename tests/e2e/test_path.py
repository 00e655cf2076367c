"""The whole path over HTTP: what people do changes their segments, their content, and what the ESP is told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from typing import Any

import httpx
import pytest

from infra.local.system import System
from mailtailor.instant import DAY
from mailtailor.tracking.pixel import GIF
from mailtailor.tracking.tokens import Purpose
from tests.e2e.people import Recipient, until


@pytest.fixture
def recipient(system: System) -> Recipient:
    return Recipient(system).introduce()


def test_a_click_changes_the_segment_and_the_next_content(recipient: Recipient) -> None:
    # given
    recipient.open()
    assert recipient.content()["variant"] == "greeting"
    # when
    answer = recipient.click(url="https://shop.example/lamp?a=1#top", product_id="85123A", category="Lighting")
    # then the click goes where the link was signed for
    assert answer.status_code == 302
    assert answer.headers["location"] == "https://shop.example/lamp?a=1#top"
    # and the next content is another
    until(recipient.segments, accept=lambda segments: "browse_abandoners" in segments)
    assert recipient.content()["variant"] == "products"


def test_an_order_ends_abandonment_and_begins_recent_purchase(recipient: Recipient) -> None:
    # given
    recipient.click(product_id="85123A", category="Lighting")
    until(recipient.segments, accept=lambda segments: "browse_abandoners" in segments)
    # when
    recipient.send(
        [recipient.track("Order Completed", products=[{"product_id": "85123A", "quantity": 1, "price": 2.95}])]
    )
    # then
    until(recipient.segments, accept=lambda segments: segments == {"recent_purchasers"})
    assert recipient.content()["variant"] == "offer"


def test_the_esp_is_told_of_entering_at_once_and_of_leaving_when_time_has_passed(
    system: System, recipient: Recipient, esp: list[dict[str, Any]]
) -> None:
    def told() -> list[tuple[str, str, str]]:
        mine = [flip for flip in esp if flip["data"]["profile_id"] == recipient.profile_id]
        return [(flip["type"], flip["data"]["segment"], flip["data"]["reason"].split(":")[0]) for flip in mine]

    # when
    recipient.send([recipient.track("Order Completed", products=[])])
    # then
    until(told, accept=lambda flips: flips == [("segment.entered", "recent_purchasers", "event")])
    # when a week passes
    system.move_clock(7 * DAY + 1)
    # then
    until(told, accept=lambda flips: ("segment.left", "recent_purchasers", "time") in flips)
    assert recipient.segments() == set()


def test_without_consent_nothing_is_recorded_and_content_is_generic(system: System) -> None:
    # given
    nobody = Recipient(system, consent={"tracking": False, "personalization": False}).introduce()
    # when
    assert nobody.open().content == GIF
    assert nobody.click(product_id="85123A", category="Lighting").status_code == 302
    nobody.send([nobody.track("Order Completed", products=[])])
    until(lambda: "streams" in (nobody.item() or {}))
    # then the purchase is known and not used, the click left no trace
    assert nobody.segments() == set()
    assert nobody.content()["variant"] == "fallback"


def test_withdrawn_consent_works_with_the_write_that_records_it(recipient: Recipient) -> None:
    # given
    recipient.click(product_id="85123A", category="Lighting")
    until(recipient.segments, accept=lambda segments: "browse_abandoners" in segments)
    # when
    withdrawn = {"context": {"consent": {"categoryPreferences": {"personalization": False}}}}
    recipient.send([{"type": "identify", **withdrawn}])
    # then
    until(lambda: recipient.content()["variant"], accept=lambda variant: variant == "fallback")
    assert recipient.segments() == set()


def test_duplicates_and_reordering_change_nothing(recipient: Recipient) -> None:
    # given three clicks' worth of events in the wrong order, twice
    now = recipient.system.now()
    calls = [
        {**recipient.track("Email Link Clicked", at=now - n * DAY, campaign=f"c{n}"), "messageId": f"{uuid.uuid4()}"}
        for n in range(3)
    ]
    calls += [
        {**recipient.track("Email Delivered", at=now - n * DAY, campaign=f"c{n}"), "messageId": f"{uuid.uuid4()}"}
        for n in range(3)
    ]
    calls += [
        {**recipient.track("Email Opened", at=now - n * DAY, campaign=f"c{n}"), "messageId": f"{uuid.uuid4()}"}
        for n in range(2)
    ]
    # when all but one click arrive, twice
    recipient.send(calls[1:])
    recipient.send(calls[:0:-1])
    time.sleep(2)
    # then two clicks are two clicks
    assert recipient.segments() == set()
    # when the third arrives, and two of three mails were opened, which is less than 70 %
    recipient.send(calls[:1])
    time.sleep(2)
    assert recipient.segments() == set()
    # when the third mail is opened
    recipient.send([recipient.track("Email Opened", campaign="c2")])
    # then
    until(recipient.segments, accept=lambda segments: segments == {"high_engagement"})


def shopify_order(system: System, email: str, number: int, *, secret: str = "") -> httpx.Response:
    order = {
        "id": number,
        "created_at": "2026-11-01T10:00:00Z",
        "email": email,
        "currency": "GBP",
        "total_price": "12.50",
        "line_items": [{"sku": "85123A", "product_id": 1, "quantity": 2, "price": "2.95", "title": "Lamp"}],
        "customer": {"id": 99, "email": email},
    }
    body = json.dumps(order).encode()
    digest = hmac.digest((secret or system.shopify_secret).encode(), body, hashlib.sha256)
    headers = {
        "x-shopify-hmac-sha256": base64.b64encode(digest).decode(),
        "x-shopify-topic": "orders/create",
        "x-shopify-webhook-id": str(uuid.uuid4()),
    }
    return httpx.post(f"{system.base_url}/webhooks/shopify", content=body, headers=headers, timeout=30)


def test_an_order_from_the_shop_is_verified_and_counted_once(system: System) -> None:
    # when
    address, number = f"{uuid.uuid4()}@example.com", uuid.uuid4().int % 10**9
    # then
    assert shopify_order(system, address, number, secret="wrong").status_code == 401
    assert shopify_order(system, address, number).status_code == 200
    assert shopify_order(system, address, number).status_code == 200


def test_poison_ends_in_the_dead_letter_queue_and_nothing_else_is_lost(system: System, recipient: Recipient) -> None:
    # given
    sqs = system.client("sqs")
    poison = f"poison {uuid.uuid4()}"
    # when it stands among good messages
    for _ in range(3):
        sqs.send_message(QueueUrl=system.outputs["EventsQueueUrl"], MessageBody=poison)
        recipient.click(product_id="85123A", category="Lighting")
    # then the good ones count
    until(recipient.segments, accept=lambda segments: "browse_abandoners" in segments)

    # and the poison is where it can be looked at and sent again
    def dead() -> list[str]:
        url = system.outputs["EventsDlqUrl"]
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=1).get("Messages", [])
        return [message["Body"] for message in messages]

    until(dead, accept=lambda bodies: poison in bodies, seconds=60)


def test_if_the_queue_fails_the_recipient_notices_nothing(system: System, recipient: Recipient) -> None:
    # given functions whose queue is gone
    functions = system.client("lambda")
    names = [
        function
        for page in functions.get_paginator("list_functions").paginate()
        for function in page["Functions"]
        if "OpenPixel" in function["FunctionName"] or "ClickRedirect" in function["FunctionName"]
    ]
    assert len(names) == 2
    for function in names:
        broken = {
            **function["Environment"]["Variables"],
            "EVENTS_QUEUE_URL": f"{system.endpoint_url}/000000000000/gone",
        }
        functions.update_function_configuration(
            FunctionName=function["FunctionName"], Environment={"Variables": broken}
        )
    try:
        # when, then
        assert recipient.open().content == GIF
        assert recipient.click(url="https://shop.example/x").headers["location"] == "https://shop.example/x"
    finally:
        for function in names:
            functions.update_function_configuration(
                FunctionName=function["FunctionName"], Environment=function["Environment"]
            )


def test_a_content_token_does_not_track_and_a_tracking_token_shows_no_content(
    system: System, recipient: Recipient
) -> None:
    answer = httpx.get(f"{system.base_url}/content/hero.json", params={"r": recipient.token(Purpose.TRACK)}, timeout=30)
    assert answer.json()["variant"] == "fallback"


def test_an_unknown_block_is_not_found_and_every_known_one_is_200(system: System) -> None:
    assert httpx.get(f"{system.base_url}/content/nothing", timeout=30).status_code == 404
    for token in ("", "garbage", "%ff%fe", "a" * 3_000):
        answer = httpx.get(f"{system.base_url}/content/hero.html?r={token}", timeout=30)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
