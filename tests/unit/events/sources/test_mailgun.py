"""Mailgun's webhooks: a signature in the body, for how long it is good, and what each event becomes."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from mailtailor.errors import BadInput, Unauthorized
from mailtailor.events.sources.registry import webhook_source
from mailtailor.events.sources.webhook import Delivery, Received
from mailtailor.instant import HOUR, MINUTE
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, Sample, take, taken
from tests.senders.mailgun import DELIVERED, KEY, OPENED, SENDER, sign

FAILED = Sample("mailgun_failed_permanently.json", ("email_bounced",))
CLICKED = Sample("mailgun_clicked.json", ("email_link_clicked",))


def data(sample: Sample) -> dict[str, Any]:
    return dict(json.loads(sample.body)["event-data"])


def received(event: object) -> Received:
    return taken(sign(json.dumps({"event-data": event}).encode(), {}, {}, NOW), "mailgun")


def signed(**changed: object) -> Delivery:
    """Return a delivery whose signature is that of the given time and token."""
    timestamp, token = changed.get("timestamp", str(NOW // 1_000)), changed.get("token", "50 random characters")
    mac = hmac.new(KEY.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
    body = {"signature": {"timestamp": timestamp, "token": token, "signature": mac, **changed}, "event-data": {}}
    return Delivery({}, json.dumps(body).encode(), NOW)


def test_a_delivery_is_the_recipients_in_the_campaign_that_the_mail_was_sent_with() -> None:
    # when
    [event] = taken(SENDER.delivery(DELIVERED), "mailgun").events
    # then
    assert (event.id, event.type, event.source) == ("mailgun:mg-event-1", "email_delivered", "mailgun")
    assert event.occurred_at == 1_799_999_001_123
    assert [(one.kind, one.id) for one in event.identities] == [
        (IdentityKind.EMAIL, PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, "flora@example.com"))
    ]
    assert event.properties == {"campaign": "spring"}


def test_a_time_signed_as_a_number_is_believed_too() -> None:
    assert taken(signed(timestamp=NOW // 1_000), "mailgun") == Received([], [])


@pytest.mark.parametrize(
    "changed",
    [
        {"signature": ""},
        {"signature": None},
        {"signature": "\u20ac"},
        {"signature": "0" * 64},
        {"timestamp": "soon"},
        {"timestamp": ""},
        {"timestamp": str((NOW - 10 * HOUR) // 1_000)},
        {"timestamp": str((NOW + 10 * HOUR) // 1_000)},
    ],
)
def test_a_wrong_signature_or_a_time_too_far_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        take(signed(**changed), "mailgun")


@pytest.mark.parametrize("body", [b"", b"{", b"7", b"[]", b"{}", b'{"signature": 7}', b'{"signature": {}}', b"\xff"])
def test_a_body_without_a_signature_is_refused(body: bytes) -> None:
    with pytest.raises(Unauthorized):
        take(Delivery({}, body, NOW), "mailgun")


def test_the_last_try_after_eight_hours_is_believed_even_if_it_is_not_signed_anew() -> None:
    # given
    first = SENDER.delivery(DELIVERED)
    # when
    last = taken(Delivery({}, first.body, NOW + 8 * HOUR + 5 * MINUTE), "mailgun")
    # then
    assert [one.id for one in last.events] == ["mailgun:mg-event-1"]


def test_during_a_rotation_the_old_and_the_new_key_are_good() -> None:
    assert taken(SENDER.delivery(DELIVERED), "mailgun", secrets=("the new one", KEY)).events


def test_a_body_that_no_try_makes_better_gets_the_status_at_which_mailgun_stops() -> None:
    assert webhook_source("mailgun").unreadable == 406
    with pytest.raises(BadInput, match="event-data"):
        taken(sign(b"{}", {}, {}, NOW), "mailgun")


@pytest.mark.parametrize(
    ("client", "machine"),
    [
        ({"bot": "apple", "user-agent": "Mozilla/5.0"}, "mailgun_apple"),
        ({"bot": "generic", "user-agent": "Mozilla/5.0"}, "mailgun_generic"),
        ({"bot": "gmail", "user-agent": "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"}, None),
        ({"bot": "gmail"}, "mailgun_gmail"),
        ({"bot": "", "user-agent": "Mozilla/5.0"}, None),
        ({"user-agent": "Mozilla/5.0"}, None),
    ],
)
def test_a_bot_is_a_machine_but_gmails_is_told_by_its_user_agent(client: dict[str, str], machine: str | None) -> None:
    # when
    [event] = received({**data(OPENED), "client-info": client}).events
    # then
    assert event.properties.get("machine") == machine
    assert event.properties.get("user_agent") == client.get("user-agent")


def test_a_click_leads_somewhere() -> None:
    assert received(data(CLICKED)).events[0].properties["url"] == "https://shop.example/lamp?a=1"


def test_only_a_failure_for_good_is_a_bounce() -> None:
    assert received(data(FAILED)).events[0].properties["reason"] == "suppress-bounce"
    for severity in ("temporary", None, ["permanent"]):
        assert received({**data(FAILED), "severity": severity}) == Received([], [])


@pytest.mark.parametrize("other", ["accepted", "rejected", "stored", "list_member_uploaded"])
def test_other_events_count_for_nothing(other: str) -> None:
    assert received({**data(DELIVERED), "event": other}) == Received([], [])


@pytest.mark.parametrize("none", [[], {}, None])
def test_a_mail_without_variables_is_a_message_by_itself(none: object) -> None:
    # when
    events = [received({**data(one), "user-variables": none}).events[0] for one in (DELIVERED, OPENED)]
    # then
    keys = {(one.properties["campaign"], one.properties["instance"]) for one in events}
    assert [campaign for campaign, _ in keys] == ["(not set)"]
    # and another mail is another message, though both ids have the form of an address
    other = {**data(DELIVERED), "user-variables": none}
    other["message"]["headers"]["message-id"] = "20261120.2.9876543210@mg.shop.example"
    assert received(other).events[0].properties["instance"] not in {instance for _, instance in keys}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event": 7.5}, "event must be text."),
        ({"timestamp": "soon"}, "timestamp must be a number."),
        ({"timestamp": 1e300}, "timestamp is no time since 1970."),
        ({"recipient": ["flora@example.com"]}, "recipient must be text."),
        ({"user-variables": ["spring"]}, "user-variables must be an object."),
        ({"user-variables": {"mailtailor_campaign": {}}}, "user-variables.mailtailor_campaign must be text."),
        ({"client-info": "Safari"}, "client-info must be an object."),
        ({"message": {"headers": 7}}, "message.headers must be an object."),
    ],
)
def test_an_event_that_cannot_be_used_names_the_field(change: dict[str, Any], message: str) -> None:
    # when
    told = received({**data(OPENED), **change})
    # then
    assert (told.events, [one.error.message for one in told.rejected]) == ([], [message])
