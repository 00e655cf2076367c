"""SendGrid's Event Webhook: the vendor's own signature, how old it may be, and what each event becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.errors import BadInput, Unauthorized
from mailtailor.events.sources.registry import webhook_source
from mailtailor.events.sources.webhook import Delivery, Received
from mailtailor.instant import DAY, HOUR
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, Servers, take, taken
from tests.senders.sendgrid import EVENTS, SENDER, public_key, sign

TOLD: list[dict[str, Any]] = json.loads(EVENTS.body)
DELIVERED, OPEN, MACHINE_OPEN, CLICK, BOUNCE = TOLD[1:6]

# From sendgrid-python 6, test/unit/test_eventwebhook.py: key, signature, time and body of a delivery by SendGrid.
VENDOR_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eN"
    "Ec6wEA3F+g=="
)
VENDOR_SIGNATURE = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
VENDOR_TIME = 1_600_112_502_000
VENDOR_BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)


def vendors(body: bytes = VENDOR_BODY, *, time: int = VENDOR_TIME, received_at: int = VENDOR_TIME) -> Delivery:
    headers = {
        "x-twilio-email-event-webhook-timestamp": str(time // 1_000),
        "x-twilio-email-event-webhook-signature": VENDOR_SIGNATURE,
    }
    return Delivery(headers, body, received_at)


def received(*told: object) -> Received:
    return taken(sign(json.dumps(told).encode(), {}, {}, NOW), "sendgrid")


def test_a_delivery_that_sendgrid_signed_is_believed() -> None:
    webhook_source("sendgrid").verify(vendors(), [VENDOR_KEY], Servers())


@pytest.mark.parametrize(
    "changed", [vendors(VENDOR_BODY.rstrip()), vendors(time=VENDOR_TIME + 1_000)], ids=["line end", "time"]
)
def test_the_signature_covers_the_last_line_end_and_the_time(changed: Delivery) -> None:
    with pytest.raises(Unauthorized):
        webhook_source("sendgrid").verify(changed, [VENDOR_KEY], Servers())


def test_a_try_a_day_later_is_believed_even_if_it_is_not_signed_anew() -> None:
    # given
    first = SENDER.delivery(EVENTS)
    # when
    last = taken(Delivery(first.headers, first.body, NOW + DAY), "sendgrid")
    # then
    assert [one.id for one in last.events] == [one.id for one in taken(first, "sendgrid").events]


@pytest.mark.parametrize("late", [DAY + HOUR, -DAY - HOUR])
def test_an_older_or_later_time_is_refused_though_it_is_signed(late: int) -> None:
    # given
    delivery = SENDER.delivery(EVENTS)
    # then
    with pytest.raises(Unauthorized):
        take(Delivery(delivery.headers, delivery.body, NOW + late), "sendgrid")


def test_during_a_rotation_the_old_and_the_new_key_are_good() -> None:
    assert taken(SENDER.delivery(EVENTS), "sendgrid", secrets=(VENDOR_KEY, public_key())).events


def test_a_key_that_is_none_refuses_all() -> None:
    with pytest.raises(Unauthorized):
        take(SENDER.delivery(EVENTS), "sendgrid", secrets=("not-base64",))


def test_an_open_is_the_recipients_in_the_campaign_that_the_mail_was_sent_with() -> None:
    # when
    [event] = received(OPEN).events
    # then
    assert (event.id, event.type, event.source) == ("sendgrid:sg-event-id-0002==", "email_opened", "sendgrid")
    assert event.occurred_at == 1_799_999_002_000
    assert [(one.kind, one.id) for one in event.identities] == [
        (IdentityKind.EMAIL, PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, "flora@example.com"))
    ]
    assert event.properties == {"campaign": "spring", "instance": "2026-11", "user_agent": OPEN["useragent"]}


def test_an_open_by_a_machine_says_so_in_sendgrids_word() -> None:
    assert received(MACHINE_OPEN).events[0].properties["machine"] == "sg_machine_open"


def test_a_click_leads_somewhere_and_comes_from_a_network_that_we_may_know() -> None:
    # given an address of Microsoft's, where mails are scanned
    click = {**CLICK, "ip": "40.92.0.1"}
    # when
    [event] = received(click).events
    # then
    assert event.properties["url"] == "https://shop.example/lamp?a=1"
    assert event.properties["network"] == "microsoft"


def test_the_address_of_a_delivery_is_sendgrids_own() -> None:
    assert "network" not in received({**DELIVERED, "ip": "40.92.0.1"}).events[0].properties


@pytest.mark.parametrize(
    ("said", "reason"),
    [({}, "5.1.1"), ({"bounce_classification": "Invalid Address"}, "Invalid Address"), ({"status": None}, None)],
)
def test_a_bounce_says_why_in_a_word_not_in_what_the_other_server_wrote(said: dict[str, Any], reason: str) -> None:
    assert received({**BOUNCE, **said}).events[0].properties.get("reason") == reason


def test_a_mail_that_was_blocked_has_not_bounced() -> None:
    assert received({**BOUNCE, "type": "blocked"}) == Received([], [])


def test_a_single_send_is_a_campaign_by_its_id() -> None:
    # given
    single = {name: value for name, value in OPEN.items() if not name.startswith("mailtailor")}
    # when
    [event] = received({**single, "singlesend_id": "fc59bd25-5cb1-11ec-a05d-f2509ce774e9"}).events
    # then
    assert event.properties["campaign"] == "fc59bd25-5cb1-11ec-a05d-f2509ce774e9"
    assert "instance" not in event.properties


def test_a_mail_without_a_campaign_is_a_message_by_itself_whatever_server_tells_of_it() -> None:
    # given
    bare = [{name: one[name] for name in one if not name.startswith("mailtailor")} for one in (DELIVERED, OPEN)]
    bare[1]["sg_message_id"] = "14c5d75ce93.dfd.64b469.filter0007.20100.5515E0B88.0"
    # when
    keys = [(one.properties["campaign"], one.properties["instance"]) for one in received(*bare).events]
    # then
    assert keys == [("(not set)", "14c5d75ce93")] * 2


def test_an_event_without_an_id_is_named_by_what_tells_it_from_others() -> None:
    # given
    bare = {name: value for name, value in CLICK.items() if name != "sg_event_id"}
    # when
    ids = [one.id for one in received(bare, bare, {**bare, "url": "https://shop.example/chair"}).events]
    # then
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event": ["open"]}, "event must be text."),
        ({"timestamp": "soon"}, "timestamp must be a number."),
        ({"timestamp": -1}, "timestamp is no time since 1970."),
        ({"timestamp": 10**14}, "timestamp is no time since 1970."),
        ({"email": {}}, "email must be text."),
        ({"mailtailor_campaign": "c" * 101}, "mailtailor_campaign is longer than 100 characters."),
    ],
)
def test_an_event_that_cannot_be_used_is_named_and_takes_no_other_with_it(change: dict[str, Any], message: str) -> None:
    # when
    told = received(DELIVERED, {**OPEN, **change}, CLICK)
    # then
    assert [one.type for one in told.events] == ["email_delivered", "email_link_clicked"]
    assert [(one.index, one.error.message) for one in told.rejected] == [(1, message)]


def test_a_link_that_holds_a_token_of_ours_is_not_too_long() -> None:
    assert received({**CLICK, "url": f"https://mail.example/c/{'t' * 4_096}/{'r' * 60}"}).events


def test_a_signed_body_that_is_no_json_is_told() -> None:
    with pytest.raises(BadInput, match="not valid JSON"):
        taken(sign(b"[{", {}, {}, NOW), "sendgrid")
