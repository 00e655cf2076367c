"""SES through SNS: whose messages are believed, what is confirmed, and what each record becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.errors import BadInput, Unauthorized, Unavailable
from mailtailor.events.event import Event
from mailtailor.events.sources.webhook import Delivery, Received, Reply
from mailtailor.instant import HOUR, MINUTE
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, Sample, Servers, take, taken
from tests.senders.ses import CERTIFICATE_URL, CONFIRM_URL, DELIVERED, SENDER, TOPIC, envelope, sign

CONFIRMATION = {"Type": "SubscriptionConfirmation", "Token": "2336412f37", "SubscribeURL": CONFIRM_URL}
OTHER_TOPIC = "arn:aws:sns:eu-west-1:999999999999:somebody-else"


def record(name: str) -> dict[str, Any]:
    return dict(json.loads(Sample(f"ses_{name}.json", ()).body))


def received(told: object) -> Received:
    return taken(sign(json.dumps(told).encode(), {}, {}, NOW), "ses")


def post(message: object) -> Delivery:
    return Delivery({}, json.dumps(message).encode(), NOW)


def asked(message: object) -> list[str]:
    """Return what SNS was asked for before the message was refused."""
    servers = Servers(SENDER.servers)
    with pytest.raises(Unauthorized):
        take(post(message), "ses", servers=servers)
    return servers.asked


def test_each_recipient_of_a_delivered_mail_has_an_event() -> None:
    # when
    one, other = taken(SENDER.delivery(DELIVERED), "ses").events
    # then
    assert (one.type, one.source, one.occurred_at) == ("email_delivered", "ses", 1_799_998_803_000)
    assert one.properties == other.properties == {"campaign": "spring", "instance": "2026-11"}
    assert one.id != other.id
    assert [(event.identities[0].kind, event.identities[0].id) for event in (one, other)] == [
        (IdentityKind.EMAIL, PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, address))
        for address in ("flora@example.com", "flora.too@example.com")
    ]


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_of_the_signature_are_checked(version: str) -> None:
    # given
    message = envelope(json.dumps(record("open")), NOW, SignatureVersion=version, Subject="Amazon SES Email Event")
    # then
    assert len(taken(post(message), "ses").events) == 1
    for name in ("Message", "MessageId", "Subject", "Timestamp", "TopicArn"):
        with pytest.raises(Unauthorized):
            take(post({**message, name: f"{message[name]} "}), "ses", secrets=(TOPIC, f"{TOPIC} "))
    for other in ("1" if version == "2" else "2", "3", "", None):
        assert asked({**message, "SignatureVersion": other}) in ([], [CERTIFICATE_URL])


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0123456789abcdef.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/SimpleNotificationService.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService.pem",
        "https://sns.s3-eu-west-1.amazonaws.com/SimpleNotificationService.pem",
        "https://sns.s3.amazonaws.com/SimpleNotificationService.pem",
        "https://sns.amazonaws.com/SimpleNotificationService.pem",
        "https://xsns.eu-west-1.amazonaws.com/SimpleNotificationService.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService.txt",
        "https://sns.eu-west-1.amazonaws.com/?Action=GetTopicAttributes&.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem?Action=GetTopicAttributes",
        "https://[sns.eu-west-1.amazonaws.com/a.pem",
    ],
)
def test_a_certificate_from_anywhere_but_sns_is_not_even_asked_for(url: object) -> None:
    assert asked({**envelope("{}", NOW), "SigningCertURL": url}) == []


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1", "ap-southeast-5"])
def test_certificates_of_every_region_are_asked_for(region: str) -> None:
    # given
    url = f"https://sns.{region}.amazonaws.com/SimpleNotificationService-01.pem"
    servers = Servers({url: SENDER.servers[CERTIFICATE_URL]})
    # then
    assert take(post(envelope("{}", NOW, SigningCertURL=url)), "ses", servers=servers) == Received([], [])
    assert servers.asked == [url]


def test_a_certificate_that_cannot_be_had_asks_for_another_try() -> None:
    with pytest.raises(Unavailable):
        take(SENDER.delivery(DELIVERED), "ses", servers=Servers())


def test_a_topic_of_somebody_else_is_refused_though_sns_signed_it_and_nothing_is_asked() -> None:
    assert asked(envelope(json.dumps(record("open")), NOW, TopicArn=OTHER_TOPIC)) == []
    assert asked(envelope("Confirm.", NOW, **CONFIRMATION, TopicArn=OTHER_TOPIC)) == []


def test_the_topic_of_the_secret_is_confirmed() -> None:
    # given
    servers = Servers(SENDER.servers)
    # when
    reply = take(post(envelope("Confirm.", NOW, **CONFIRMATION)), "ses", servers=servers)
    # then
    assert reply == Reply()
    assert servers.asked == [CERTIFICATE_URL, CONFIRM_URL]


@pytest.mark.parametrize("name", ["Message", "SubscribeURL", "Token"])
def test_a_confirmation_that_is_not_signed_so_is_not_followed(name: str) -> None:
    # given
    message = envelope("Confirm.", NOW, **CONFIRMATION)
    # then
    assert asked({**message, name: f"{message[name]}&"}) == [CERTIFICATE_URL]


def test_a_confirmation_that_leads_elsewhere_is_not_followed_though_it_is_signed() -> None:
    confirmation = {**CONFIRMATION, "SubscribeURL": "https://sns.evil.example/?Action=ConfirmSubscription"}
    assert asked(envelope("Confirm.", NOW, **confirmation)) == [CERTIFICATE_URL]


def test_a_confirmation_that_sns_does_not_answer_asks_for_another_try() -> None:
    # given
    servers = Servers({CERTIFICATE_URL: SENDER.servers[CERTIFICATE_URL]})
    # then
    with pytest.raises(Unavailable):
        take(post(envelope("Confirm.", NOW, **CONFIRMATION)), "ses", servers=servers)


def test_the_end_of_a_subscription_is_taken_and_not_undone() -> None:
    # given
    servers = Servers(SENDER.servers)
    message = envelope("You have left.", NOW, **{**CONFIRMATION, "Type": "UnsubscribeConfirmation"})
    # then
    assert take(post(message), "ses", servers=servers) == Reply()
    assert servers.asked == [CERTIFICATE_URL]


def test_two_topics_may_send() -> None:
    # given
    message = envelope(json.dumps(record("open")), NOW, TopicArn=OTHER_TOPIC)
    # then
    assert taken(post(message), "ses", secrets=(TOPIC, OTHER_TOPIC)).events


def test_the_last_try_after_an_hour_is_believed_and_an_older_message_is_not() -> None:
    # given
    first = SENDER.delivery(DELIVERED)
    # then
    assert taken(Delivery({}, first.body, NOW + HOUR), "ses").events
    for late in (HOUR + 6 * MINUTE, -HOUR - 6 * MINUTE):
        with pytest.raises(Unauthorized):
            take(Delivery({}, first.body, NOW + late), "ses")


@pytest.mark.parametrize("time", [None, "", "soon", 7])
def test_a_message_without_a_time_is_refused(time: object) -> None:
    assert asked({**envelope("{}", NOW), "Timestamp": time}) == [CERTIFICATE_URL]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"{}", b'{"Type": []}', b'{"eventType": "Open"}', b"\xff"])
def test_what_is_no_message_of_sns_is_refused_also_a_record_delivered_raw(body: bytes) -> None:
    with pytest.raises(Unauthorized):
        take(Delivery({}, body, NOW), "ses")


@pytest.mark.parametrize(
    "message",
    [
        "Successfully validated SNS topic for Amazon SES event publishing.",
        json.dumps({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "You have subscribed."}),
    ],
)
def test_what_ses_says_when_it_has_found_the_topic_counts_for_nothing(message: str) -> None:
    assert taken(post(envelope(message, NOW)), "ses") == Received([], [])


def test_a_record_that_is_no_json_is_told() -> None:
    with pytest.raises(BadInput, match="not valid JSON"):
        taken(post(envelope("{", NOW)), "ses")


@pytest.mark.parametrize(("name", "url"), [("open", None), ("click", "https://shop.example/lamp?a=1")])
def test_an_open_and_a_click_say_by_what_and_a_click_where(name: str, url: str | None) -> None:
    # given an address of Microsoft's, where mails are scanned
    told = record(name)
    told[name]["ipAddress"] = "40.92.0.1"
    # when
    [event] = received(told).events
    # then
    assert event.properties.get("url") == url
    assert event.properties["user_agent"] == told[name]["userAgent"]
    assert event.properties["network"] == "microsoft"


@pytest.mark.parametrize("name", ["open", "click"])
def test_an_open_of_a_mail_to_several_is_nobody_s(name: str) -> None:
    # given
    told = record(name)
    told["mail"]["destination"].append("flora.too@example.com")
    # then
    assert received(told) == Received([], [])


def test_a_recipient_with_a_name_is_known_by_the_address() -> None:
    # given
    told = record("open")
    told["mail"]["destination"] = ["Flora Meadows <flora@example.com>"]
    # then
    assert received(told).events[0].identities == received(record("open")).events[0].identities


def test_records_of_event_publishing_and_notifications_are_one_and_the_same() -> None:
    # given a delivery told in both ways, the second without tags, as SES does
    published, notified = record("delivery"), record("delivery")
    notified["notificationType"] = notified.pop("eventType")
    del notified["mail"]["tags"]
    # then
    assert ids(received(published).events) == ids(received(notified).events)


def test_a_mail_without_a_campaign_is_a_message_by_itself() -> None:
    # given
    told = record("open")
    del told["mail"]["tags"]
    # when
    [event] = received(told).events
    # then
    assert event.properties["campaign"] == "(not set)"
    assert event.properties["instance"] == told["mail"]["messageId"]


@pytest.mark.parametrize("kind", ["Transient", "Undetermined", None])
def test_a_bounce_that_is_not_for_good_counts_for_nothing(kind: str | None) -> None:
    # given
    told = record("bounce")
    assert received(told).events[0].properties["reason"] == "General"
    told["bounce"]["bounceType"] = kind
    # then
    assert received(told) == Received([], [])


@pytest.mark.parametrize(
    "change", [{"complaintFeedbackType": "not-spam"}, {"complaintSubType": "OnAccountSuppressionList"}]
)
def test_a_report_that_a_mail_is_no_spam_or_was_not_sent_is_no_complaint(change: dict[str, str]) -> None:
    # given
    told = record("complaint_notification")
    assert received(told).events[0].properties["reason"] == "abuse"
    told["complaint"] |= change
    # then
    assert received(told) == Received([], [])


@pytest.mark.parametrize("preferences", [{"unsubscribeAll": False}, {}, None])
def test_who_leaves_one_topic_of_a_list_has_not_unsubscribed(preferences: object) -> None:
    # given
    told = record("subscription")
    assert [one.type for one in received(told).events] == ["unsubscribed"]
    told["subscription"]["newTopicPreferences"] = preferences
    # then
    assert received(told) == Received([], [])


@pytest.mark.parametrize("other", ["Send", "Reject", "Rendering Failure", "DeliveryDelay", "Received", None, 7])
def test_other_records_count_for_nothing(other: object) -> None:
    assert received({**record("send"), "eventType": other}) == Received([], [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"open": "now"}, "open must be an object."),
        ({"open": {"timestamp": 7}}, "open.timestamp must be a time in ISO 8601, as 2026-01-31T12:00:00Z."),
        ({"mail": None}, "mail.destination must be a list."),
        ({"mail": {"destination": [7.5]}}, "recipient must be text."),
        ({"mail": {"destination": ["a@example.com"], "tags": []}}, "mail.tags must be an object."),
        (
            {"mail": {"destination": ["a@example.com"], "tags": {"mailtailor_campaign": "spring"}}},
            "mail.tags.mailtailor_campaign must be a list.",
        ),
    ],
)
def test_a_record_that_cannot_be_used_names_the_field_and_is_kept(change: dict[str, Any], message: str) -> None:
    # when
    told = received({**record("open"), **change})
    # then
    assert (told.events, [one.error.message for one in told.rejected]) == ([], [message])
    assert told.rejected[0].item["eventType"] == "Open"


def ids(events: list[Event]) -> list[str]:
    return [event.id for event in events]
