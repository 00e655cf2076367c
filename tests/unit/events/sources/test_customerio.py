"""Customer.io's reporting webhooks: what each metric of a mail becomes, and what it says of machines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.events.event import Event
from tests.senders import NOW, taken
from tests.senders.customerio import DELIVERED, SENDER, sign

EVENT: dict[str, Any] = json.loads(DELIVERED.body)


def told(metric: str, **data: Any) -> list[Event]:
    body = {**EVENT, "metric": metric, "data": {**EVENT["data"], **data}}
    return taken(sign(json.dumps(body).encode(), {}, {}, NOW), "customerio").events


def test_a_delivery_is_a_message_of_its_campaign() -> None:
    # when
    [event] = taken(SENDER.delivery(DELIVERED), "customerio").events
    # then
    assert (event.id, event.occurred_at) == ("customerio:01E4C4CT6YDC7Y5M7FE1GWWP01", 1_799_999_001_000)
    assert event.properties == {"campaign": "7"}


@pytest.mark.parametrize(
    ("said", "machine"),
    [
        ({"proxied": True}, None),
        ({"prefetched": True}, "customerio_prefetched"),
        ({"synthetic": True}, "customerio_synthetic"),
        ({"machine": True}, "customerio_machine"),
        ({"machine": "true"}, None),
    ],
)
def test_what_customer_io_takes_for_a_machine_is_labelled_so_and_a_proxy_is_a_person_s(
    said: dict[str, Any], machine: str | None
) -> None:
    assert told("opened", **said)[0].properties.get("machine") == machine


def test_a_newsletter_is_a_campaign_too_and_a_mail_of_none_a_message_of_its_own() -> None:
    assert told("delivered", campaign_id=None, newsletter_id=9)[0].properties["campaign"] == "9"
    assert told("delivered", campaign_id=None)[0].properties == {
        "campaign": "(not set)",
        "instance": EVENT["data"]["delivery_id"],
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_id": None}, "event_id is missing."),
        ({"timestamp": {}}, "timestamp must be a number."),
        ({"data": 7}, "data must be an object."),
    ],
)
def test_what_cannot_be_used_is_named(change: dict[str, Any], message: str) -> None:
    received = taken(sign(json.dumps({**EVENT, **change}).encode(), {}, {}, NOW), "customerio")
    assert [rejection.error.message for rejection in received.rejected] == [message]
