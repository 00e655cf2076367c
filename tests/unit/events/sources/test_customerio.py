"""Customer.io's reporting webhooks: what each metric of a mail becomes, and what it says of machines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.errors import Unauthorized
from mailtailor.events.event import Event
from mailtailor.events.sources.customerio import WEBHOOK
from mailtailor.events.sources.webhook import Delivery
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, Sample, take, taken
from tests.senders.customerio import BOUNCED, CLICKED, DELIVERED, KEY, NEWSLETTER, SENDER, sign

EVENT: dict[str, Any] = json.loads(DELIVERED.body)


def told(metric: str, **data: Any) -> list[Event]:
    body = {**EVENT, "metric": metric, "data": {**EVENT["data"], **data}}
    return taken(sign(json.dumps(body).encode(), {}, {}, NOW), "customerio").events


def properties(sample: Sample) -> dict[str, Any]:
    [event] = taken(SENDER.delivery(sample), "customerio").events
    return event.properties


def test_a_delivery_is_a_message_of_its_campaign() -> None:
    # when
    [event] = taken(SENDER.delivery(DELIVERED), "customerio").events
    # then
    assert (event.id, event.type) == ("customerio:01E4C4CT6YDC7Y5M7FE1GWWP01", "email_delivered")
    assert event.occurred_at == 1_799_999_001_000
    assert [(one.kind, one.id) for one in event.identities] == [
        (kind, PSEUDONYMIZER.pseudonym(kind, key))
        for kind, key in ((IdentityKind.USER_ID, "crm-4711"), (IdentityKind.EMAIL, "flora@example.com"))
    ]
    assert event.properties == {"campaign": "7"}
    assert (event.attributes, event.context) == ({}, {})


def test_mails_of_one_campaign_are_told_apart_if_the_address_asks_for_it() -> None:
    [event] = taken(sign(DELIVERED.body, {}, {"instance": "esp"}, NOW), "customerio").events
    assert event.properties == {"campaign": "7", "instance": "RPILAgUBcRhIBqSfeiIwdIYJKxTY"}


def test_of_a_click_and_a_bounce_what_happened_is_kept() -> None:
    assert properties(CLICKED) == {"campaign": "7", "url": "https://shop.example/lamp?a=1"}
    assert properties(BOUNCED) == {"campaign": "7", "reason": "550 5.1.1 [email] unknown"}


@pytest.mark.parametrize(
    ("said", "machine"),
    [
        ({"proxied": True}, None),
        ({"proxied": True, "prefetched": True}, "customerio_prefetched"),
        ({"synthetic": True}, None),
        ({"machine": True}, "customerio_machine"),
        ({"machine": "true"}, None),
    ],
)
def test_what_customer_io_takes_for_a_machine_is_labelled_so_and_what_may_be_a_person_s_is_not(
    said: dict[str, Any], machine: str | None
) -> None:
    assert told("opened", **said)[0].properties.get("machine") == machine


def test_a_newsletter_of_a_campaign_s_number_is_another_campaign() -> None:
    # given
    others = ("newsletter_id", "broadcast_id", "transactional_message_id")
    # then
    assert [told("delivered", campaign_id=None, **{name: 7})[0].properties["campaign"] for name in others] == [
        "newsletter:7",
        "broadcast:7",
        "transactional:7",
    ]
    assert properties(NEWSLETTER) == {"campaign": "newsletter:12"}


def test_a_mail_of_no_campaign_is_a_message_of_its_own() -> None:
    assert told("delivered", campaign_id=None)[0].properties == {
        "campaign": "(not set)",
        "instance": EVENT["data"]["delivery_id"],
    }


@pytest.mark.parametrize(
    ("keys", "kinds"),
    [
        ({"identifiers": {"id": "42"}, "customer_id": "x", "recipient": None}, [IdentityKind.USER_ID]),
        ({"identifiers": {"id": None, "email": "flora@example.com"}, "customer_id": "x"}, [IdentityKind.EMAIL]),
        ({"identifiers": None, "customer_id": "42", "recipient": None}, [IdentityKind.USER_ID]),
        ({"identifiers": {"id": None}, "recipient": "flora@example.com"}, [IdentityKind.EMAIL]),
    ],
)
def test_a_person_is_known_by_what_the_workspace_knows_them_by(keys: dict[str, Any], kinds: list[IdentityKind]) -> None:
    assert [one.kind for one in told("delivered", **keys)[0].identities] == kinds


def test_what_names_nobody_counts_for_nobody() -> None:
    assert told("delivered", identifiers=None, customer_id="", recipient="") == []


@pytest.mark.parametrize("metric", ["drafted", "attempted", "sent", "converted", "dropped", "failed", "undeliverable"])
def test_other_metrics_are_taken_and_count_for_nothing(metric: str) -> None:
    assert told(metric) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_id": None}, "event_id is missing."),
        ({"timestamp": None}, "timestamp is missing."),
        ({"timestamp": {}}, "timestamp must be a number."),
        ({"metric": {}}, "metric must be text."),
        ({"data": 7}, "data must be an object."),
        ({"data": {"identifiers": 7}}, "data.identifiers must be an object."),
        ({"data": {"campaign_id": []}}, "data.campaign_id must be text."),
    ],
)
def test_what_cannot_be_used_is_named(change: dict[str, Any], message: str) -> None:
    received = taken(sign(json.dumps({**EVENT, **change}).encode(), {}, {}, NOW), "customerio")
    assert [rejection.error.message for rejection in received.rejected] == [message]


def test_a_signature_without_the_version_or_of_another_time_is_refused() -> None:
    # given
    good = SENDER.delivery(DELIVERED)
    later = {**good.headers, "x-cio-timestamp": str(NOW // 1_000 + 1)}
    unversioned = sign(good.body[3:], {}, {}, NOW).headers
    # then
    for headers in (later, {**unversioned, "x-cio-timestamp": good.headers["x-cio-timestamp"]}):
        with pytest.raises(Unauthorized):
            take(Delivery(headers, good.body, NOW), "customerio")


def test_during_a_rotation_the_old_and_the_new_key_are_good() -> None:
    assert taken(SENDER.delivery(DELIVERED), "customerio", secrets=("the-new-one", KEY)).events


def test_a_body_that_no_try_makes_readable_holds_nothing_else_back() -> None:
    assert WEBHOOK.unreadable == 200
