"""Braze's events: mails, purchases, custom events, in the forms in which they may be passed on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.errors import BadInput
from mailtailor.events.sources.webhook import Received
from tests.senders import NOW, taken
from tests.senders.braze import MAIL, SENDER, sign

EVENTS = json.loads(MAIL.body)["events"]


def passed_on(body: object) -> Received:
    return taken(sign(json.dumps(body).encode(), {}, {}, NOW), "braze")


def test_one_event_an_array_and_an_object_of_events_are_the_same() -> None:
    # when
    one, many, wrapped = passed_on(EVENTS[1]), passed_on([EVENTS[1]]), passed_on({"events": [EVENTS[1]]})
    # then
    assert one == many == wrapped
    assert [event.id for event in one.events] == ["braze:braze-event-1"]


def test_what_braze_takes_for_a_machine_is_labelled_so() -> None:
    # when
    events = taken(SENDER.delivery(MAIL), "braze").events
    # then
    assert [
        event.properties.get("machine") for event in events if event.type in {"email_opened", "email_link_clicked"}
    ] == [
        None,
        "braze_machine_open",
        None,
        "braze_suspected_bot_click",
    ]


def test_a_canvas_s_mail_is_of_its_step() -> None:
    # given
    event = {**EVENTS[1], "campaign_id": None, "canvas_id": "canvas", "canvas_step_id": "step"}
    # then
    assert passed_on(event).events[0].properties == {"campaign": "step"}


def test_a_purchase_is_an_order_of_one_product() -> None:
    # when
    order, custom = taken(SENDER.delivery(SENDER.samples[1]), "braze").events
    # then
    assert order.properties == {
        "total": 12.5,
        "currency": "GBP",
        "products": [{"product_id": "85123A", "price": 12.5, "quantity": 1}],
    }
    assert (custom.type, custom.properties) == ("watched_trailer", {"title": "Spring"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "id is missing."),
        ({"event_type": None}, "event_type is missing."),
        ({"time": "soon"}, "time must be a number."),
        (
            {"event_type": "users.behaviors.CustomEvent", "name": "7"},
            "name must be a name that begins with a Latin letter.",
        ),
    ],
)
def test_what_cannot_be_used_is_named_and_takes_no_other_with_it(change: dict[str, Any], message: str) -> None:
    received = passed_on([{**EVENTS[1], **change}, EVENTS[2], 7])
    assert [rejection.error.message for rejection in received.rejected] == [message, "The event must be an object."]
    assert len(received.events) == 1


def test_a_body_that_is_no_json_is_told() -> None:
    with pytest.raises(BadInput, match="not valid JSON"):
        taken(sign(b"{", {}, {}, NOW), "braze")
