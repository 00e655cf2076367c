"""Postmark's webhooks: credentials in place of a signature, and what each record becomes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from mailtailor.errors import BadInput, Unauthorized
from mailtailor.events.sources.registry import webhook_source
from mailtailor.events.sources.webhook import Delivery, Received
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, Sample, take, taken
from tests.senders.postmark import CREDENTIALS, DELIVERY, SENDER, sign


def record(name: str) -> dict[str, Any]:
    return dict(json.loads(Sample(f"postmark_{name}.json", ()).body))


def received(told: object) -> Received:
    return taken(sign(json.dumps(told).encode(), {}, {}, NOW), "postmark")


def test_a_delivery_is_the_recipients_in_the_campaign_that_the_mail_was_sent_with() -> None:
    # when
    [event] = taken(SENDER.delivery(DELIVERY), "postmark").events
    # then
    assert (event.type, event.source) == ("email_delivered", "postmark")
    assert event.occurred_at == 1_799_998_862_000
    assert [(one.kind, one.id) for one in event.identities] == [
        (IdentityKind.EMAIL, PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, "flora@example.com"))
    ]
    assert event.properties == {"campaign": "spring", "instance": "2026-11"}


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic !", f"Bearer {CREDENTIALS}", base64.b64encode(CREDENTIALS.encode()).decode()],
)
def test_what_has_no_credentials_is_refused(authorization: str) -> None:
    with pytest.raises(Unauthorized):
        take(Delivery({"authorization": authorization}, DELIVERY.body, NOW), "postmark")


def test_during_a_rotation_the_old_and_the_new_password_are_good() -> None:
    assert taken(SENDER.delivery(DELIVERY), "postmark", secrets=("postmark:the-new-one", CREDENTIALS)).events


def test_a_body_that_no_try_makes_better_gets_the_status_at_which_postmark_stops() -> None:
    assert webhook_source("postmark").unreadable == 403
    with pytest.raises(BadInput, match="not valid JSON"):
        taken(sign(b"{", {}, {}, NOW), "postmark")


def test_a_time_with_seven_digits_of_a_second_and_a_zone_is_read() -> None:
    # when
    [event] = received({**record("open"), "ReceivedAt": "2027-01-15T02:45:12.2493688-05:00"}).events
    # then
    assert event.occurred_at == 1_799_999_112_249


def test_two_opens_of_a_mail_are_two_and_the_same_one_told_again_is_one() -> None:
    # given
    first = record("open")
    second = {**first, "FirstOpen": False, "ReceivedAt": "2027-01-15T07:59:00.0000001Z"}
    # when
    ids = [received(one).events[0].id for one in (first, second, first)]
    # then
    assert ids[0] == ids[2] != ids[1]


def test_of_an_open_the_user_agent_is_kept_and_the_place_is_not() -> None:
    # when
    [event] = received(record("open")).events
    # then
    assert event.properties == {
        "campaign": "spring",
        "instance": "2026-11",
        "user_agent": record("open")["UserAgent"],
    }
    assert (event.attributes, event.context) == ({}, {})


def test_a_click_leads_somewhere_and_comes_from_a_network_that_we_may_know() -> None:
    # given an address of Microsoft's, where mails are scanned
    click = {**record("click"), "Geo": {"IP": "40.92.0.1"}}
    # when
    [event] = received(click).events
    # then
    assert event.properties["url"] == "https://shop.example/lamp?a=1"
    assert event.properties["network"] == "microsoft"


@pytest.mark.parametrize("kind", ["HardBounce", "BadEmailAddress"])
def test_a_bounce_for_good_counts(kind: str) -> None:
    assert received({**record("bounce"), "Type": kind}).events[0].properties["reason"] == kind


@pytest.mark.parametrize(
    "kind", ["SoftBounce", "Transient", "AutoResponder", "DnsError", "ChallengeVerification", "Blocked", None]
)
def test_a_bounce_of_a_moment_a_mail_or_a_robot_does_not(kind: str | None) -> None:
    assert received({**record("bounce"), "Type": kind}) == Received([], [])


@pytest.mark.parametrize(
    "change",
    [
        {"SuppressSending": False, "SuppressionReason": None},
        {"SuppressionReason": "HardBounce"},
        {"SuppressionReason": "SpamComplaint"},
        {"SuppressSending": "true"},
    ],
)
def test_only_who_was_taken_off_the_list_has_unsubscribed(change: dict[str, Any]) -> None:
    assert received({**record("subscription_change"), **change}) == Received([], [])


def test_who_was_taken_off_by_hand_needs_no_mail_for_it() -> None:
    # given
    by_hand = {**record("subscription_change"), "MessageID": None, "Origin": "Customer", "Metadata": None}
    # when
    [event] = received(by_hand).events
    # then
    assert event.properties == {"campaign": "(not set)"}


@pytest.mark.parametrize("other", ["Inbound", "Test", "", None])
def test_other_records_count_for_nothing(other: str | None) -> None:
    assert received({**record("open"), "RecordType": other}) == Received([], [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RecordType": []}, "RecordType must be text."),
        ({"ReceivedAt": 7}, "ReceivedAt must be a time in ISO 8601, as 2026-01-31T12:00:00Z."),
        ({"Recipient": {}}, "Recipient must be text."),
        ({"Metadata": "spring"}, "Metadata must be an object."),
        ({"Metadata": {"mailtailor_campaign": []}}, "Metadata.mailtailor_campaign must be text."),
        ({"Geo": []}, "Geo must be an object."),
    ],
)
def test_a_record_that_cannot_be_used_names_the_field(change: dict[str, Any], message: str) -> None:
    # when
    told = received({**record("open"), **change})
    # then
    assert (told.events, [one.error.message for one in told.rejected]) == ([], [message])
