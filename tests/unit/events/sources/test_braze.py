"""Braze's events: mails, purchases, custom events, in the forms in which they may be passed on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.errors import BadInput, Unauthorized
from mailtailor.events.sources.webhook import Delivery, Received
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, take, taken
from tests.senders.braze import BEHAVIOUR, MAIL, SENDER, STORAGE, TOKEN, sign

EVENTS: list[dict[str, Any]] = json.loads(MAIL.body)["events"]
DELIVERY, CANVAS = EVENTS[1], EVENTS[10]
CUSTOM: dict[str, Any] = json.loads(BEHAVIOUR.body)["events"][1]
STORED: list[dict[str, Any]] = json.loads(STORAGE.body)
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 "
    "Safari/605.1.15"
)


def passed_on(body: object, **query: str) -> Received:
    return taken(sign(json.dumps(body).encode(), {}, query, NOW), "braze")


def changed(event: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {**event, "properties": {**event["properties"], **properties}}


def test_a_delivery_is_a_message_of_its_campaign() -> None:
    # when
    [event] = passed_on(DELIVERY).events
    # then
    assert (event.id, event.type) == ("braze:a1f0c3d2-0000-4000-8000-000000000001", "email_delivered")
    assert event.occurred_at == 1_799_999_001_000
    assert [(one.kind, one.id) for one in event.identities] == [
        (kind, PSEUDONYMIZER.pseudonym(kind, key))
        for kind, key in (
            (IdentityKind.USER_ID, "crm-4711"),
            (IdentityKind.EMAIL, "flora@example.com"),
            (IdentityKind.ANONYMOUS_ID, "braze:5f1e2d3c4b5a69788796a5b4"),
        )
    ]
    assert event.properties == {"campaign": "11ae5b4b-2445-4440-a04f-bf537764c9ad"}
    assert (event.attributes, event.context) == ({}, {})


def test_a_send_is_told_apart_by_its_dispatch_if_the_address_asks_for_it() -> None:
    # when
    [event] = passed_on(DELIVERY, instance="esp").events
    # then
    assert event.properties["instance"] == "8c1d8e6f2b3a4c5d"


def test_one_event_an_array_and_an_object_of_events_are_the_same() -> None:
    # when
    one, many, wrapped = passed_on(DELIVERY), passed_on([DELIVERY]), passed_on({"events": [DELIVERY]})
    # then
    assert one == many == wrapped


def test_an_event_of_a_file_in_storage_is_the_same_as_one_of_the_connector() -> None:
    # given
    nested = {"user": {}, "properties": {**STORED[0]}, **{key: STORED[0][key] for key in ("event_type", "id", "time")}}
    # then
    assert passed_on(STORED[0]) == passed_on(nested)
    # and custom properties, which are JSON inside the JSON there
    assert passed_on(STORED[1]).events[0].properties == {"title": "Spring", "minutes": 2}


@pytest.mark.parametrize("body", [b"", b" \n", b'{"events": []}', b"[]"])
def test_braze_may_ask_with_no_events_whether_its_token_is_good(body: bytes) -> None:
    # when
    received = taken(sign(body, {}, {}, NOW), "braze")
    # then
    assert received == Received([], [])
    with pytest.raises(Unauthorized):
        take(Delivery({"authorization": "Bearer bm90LWl0"}, body, NOW), "braze")


@pytest.mark.parametrize("given", ["", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN[:-2]}", "Bearer", f"Bearer {TOKEN} x"])
def test_no_other_credential_is_the_token(given: str) -> None:
    with pytest.raises(Unauthorized):
        take(Delivery({"authorization": given}, MAIL.body, NOW), "braze")


def test_during_a_rotation_the_old_and_the_new_token_are_good() -> None:
    assert taken(SENDER.delivery(MAIL), "braze", secrets=("the-new-one", TOKEN)).events


@pytest.mark.parametrize(
    ("number", "said", "machine"),
    [
        (2, {"machine_open": None}, None),
        (2, {"machine_open": "false"}, None),
        (2, {"machine_open": "true"}, "braze_machine_open"),
        (2, {"machine_open": "apple_mpp"}, "braze_machine_open"),
        (2, {"machine_open": True}, "braze_machine_open"),
        (4, {"is_suspected_bot_click": None}, None),
        (4, {"is_suspected_bot_click": False, "suspected_bot_click_reason": ["user_agent"]}, None),
        (4, {"is_suspected_bot_click": True}, "braze_suspected_bot_click"),
        (4, {"is_suspected_bot_click": None, "suspected_bot_click_reason": []}, None),
        (4, {"is_suspected_bot_click": None, "suspected_bot_click_reason": ["rate"]}, "braze_suspected_bot_click"),
        (4, {"is_suspected_bot_click": [], "suspected_bot_click_reason": "rate"}, None),
    ],
)
def test_what_braze_takes_for_a_machine_is_labelled_so(number: int, said: dict[str, Any], machine: str | None) -> None:
    assert passed_on(changed(EVENTS[number], **said)).events[0].properties.get("machine") == machine


def test_of_a_click_and_a_bounce_what_happened_is_kept() -> None:
    # when
    click, bounce = passed_on([EVENTS[4], EVENTS[6]]).events
    # then
    campaign = "11ae5b4b-2445-4440-a04f-bf537764c9ad"
    assert click.properties == {"campaign": campaign, "url": "https://shop.example/lamp?a=1", "user_agent": SAFARI}
    assert bounce.properties == {"campaign": campaign, "reason": "550 5.1.1 <[email]>: no such user"}


def test_a_long_reason_is_cut_where_no_half_of_an_address_is_left() -> None:
    # given
    said = "x" * 250 + " flora@example.com " + "y" * 2_000
    # when
    [event] = passed_on(changed(EVENTS[6], bounce_reason=said)).events
    # then
    assert event.properties["reason"] == ("x" * 250 + " [email] ")[:256]


def test_a_canvas_s_mail_is_of_its_step_and_a_mail_of_neither_a_message_of_its_own() -> None:
    # given
    stepless = changed(CANVAS, canvas_step_id=None)
    neither = changed(CANVAS, canvas_step_id=None, canvas_id=None)
    # then
    assert passed_on(CANVAS).events[0].properties == {"campaign": "2b4c6d8e-0000-4000-8000-00000000b003"}
    assert passed_on(stepless).events[0].properties == {"campaign": "2b4c6d8e-0000-4000-8000-00000000b001"}
    assert passed_on(neither).events[0].properties == {"campaign": "(not set)", "instance": "9d2e9f703c4b5d6e"}


def test_a_purchase_is_an_order_of_one_product() -> None:
    # when
    order, custom = taken(SENDER.delivery(BEHAVIOUR), "braze").events
    # then
    assert order.properties == {
        "total": 12.5,
        "currency": "GBP",
        "products": [{"product_id": "85123A", "price": 12.5, "quantity": 1}],
    }
    assert (custom.type, custom.properties) == ("watched_trailer", {"title": "Spring", "minutes": 2})


def test_who_has_no_key_of_the_shop_s_is_known_by_braze_s() -> None:
    # when
    [event] = passed_on({**CUSTOM, "user": {"user_id": "5f1e2d3c4b5a69788796a5b4"}}).events
    # then
    assert [one.kind for one in event.identities] == [IdentityKind.ANONYMOUS_ID]
    assert passed_on({**CUSTOM, "user": {}}).events == []


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({**DELIVERY, "id": None}, "id is missing."),
        ({**DELIVERY, "event_type": None}, "event_type is missing."),
        ({**DELIVERY, "event_type": []}, "event_type must be text."),
        ({**DELIVERY, "time": None}, "time is missing."),
        ({**DELIVERY, "time": "soon"}, "time must be a number."),
        ({**DELIVERY, "time": 1_799_999_001_000}, "time is no time since 1970."),
        ({**DELIVERY, "user": 7}, "user must be an object."),
        ({**DELIVERY, "properties": "{}"}, "properties must be an object."),
        (changed(DELIVERY, dispatch_id={}), "dispatch_id must be text."),
        (changed(CUSTOM, name="7"), "name must be a name that begins with a Latin letter."),
        (changed(CUSTOM, custom_properties=[]), "custom_properties must be an object."),
        ({**STORED[1], "properties": "{"}, "The body is not valid JSON."),
        ({**STORED[1], "properties": "[]"}, "properties must be an object."),
    ],
)
def test_what_cannot_be_used_is_named_and_takes_no_other_with_it(event: dict[str, Any], message: str) -> None:
    # when
    received = passed_on([event, EVENTS[2], 7])
    # then
    assert [rejection.error.message for rejection in received.rejected] == [message, "The event must be an object."]
    assert len(received.events) == 1


def test_a_body_that_is_no_json_is_told() -> None:
    with pytest.raises(BadInput, match="not valid JSON"):
        taken(sign(b"{", {}, {}, NOW), "braze")
