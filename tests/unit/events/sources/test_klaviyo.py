"""Klaviyo's system webhooks: which of their times is believed, whom they name, and what each topic becomes."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from mailtailor.errors import BadInput, Unauthorized
from mailtailor.events.event import Event
from mailtailor.events.sources.webhook import Delivery, Received
from mailtailor.instant import DAY, HOUR, MINUTE, to_iso
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, take, taken
from tests.senders.klaviyo import EVENTS, SECRET, SENDER, WEBHOOK_ID, sign
from tests.unit.profiles.world import CONSENT, World, event, segment

BODY: dict[str, Any] = json.loads(EVENTS.body)
PROFILE = "klaviyo:01KP0PROFILE00000000000001"


def sent(items: list[Any], **meta: Any) -> Received:
    body = {"data": items, "meta": {**BODY["meta"], **meta}}
    return taken(sign(json.dumps(body).encode(), {}, {}, NOW), "klaviyo")


def events() -> list[Event]:
    return taken(SENDER.delivery(EVENTS), "klaviyo").events


def changed(number: int, **attributes: Any) -> dict[str, Any]:
    item: dict[str, Any] = json.loads(json.dumps(BODY["data"][number]))
    item["payload"]["data"]["attributes"] |= attributes
    return item


def pseudonyms(*keys: tuple[IdentityKind, str]) -> list[tuple[IdentityKind, str]]:
    return [(kind, PSEUDONYMIZER.pseudonym(kind, key)) for kind, key in keys]


def test_a_delivery_is_a_message_of_its_mail() -> None:
    # when
    one = events()[0]
    # then
    assert (one.id, one.type, one.occurred_at) == ("klaviyo:5kwEvent001", "email_delivered", 1_799_999_001_000)
    assert [(who.kind, who.id) for who in one.identities] == pseudonyms((IdentityKind.ANONYMOUS_ID, PROFILE))
    assert one.properties == {"campaign": "01HQ5SPRING"}
    assert (one.attributes, one.context) == ({}, {})


def test_a_click_leads_somewhere_and_a_machine_is_labelled_so() -> None:
    # when
    opens, clicks = ([one for one in events() if one.type == kind] for kind in ("email_opened", "email_link_clicked"))
    # then
    click = {"campaign": "01HQ5SPRING", "url": "https://shop.example/lamp?a=1"}
    assert [one.properties.get("machine") for one in opens] == [None, "klaviyo_machine_open"]
    assert [one.properties for one in clicks] == [click, {**click, "machine": "klaviyo_bot_click"}]


@pytest.mark.parametrize(
    "said", [{"Apple Privacy Open": True}, {"Apple Privacy Open": "True"}, {"machine_open": "true"}]
)
def test_the_interface_s_name_of_a_machine_open_is_known_too(said: dict[str, Any]) -> None:
    assert sent([changed(1, event_properties=said)]).events[0].properties["machine"] == "klaviyo_machine_open"


def test_only_a_bounce_that_lasts_counts() -> None:
    assert [one.properties["reason"] for one in events() if one.type == "email_bounced"] == ["Hard"]


def test_a_person_is_the_profile_named_and_any_key_that_comes_with_it() -> None:
    # when
    unsubscribed, included = events()[-2:]
    # then
    address = (IdentityKind.EMAIL, "flora@example.com")
    assert [(who.kind, who.id) for who in unsubscribed.identities] == pseudonyms(
        address, (IdentityKind.ANONYMOUS_ID, PROFILE)
    )
    assert [(who.kind, who.id) for who in included.identities] == pseudonyms(
        (IdentityKind.USER_ID, "crm-4711"), address, (IdentityKind.ANONYMOUS_ID, PROFILE)
    )


def test_what_names_the_profile_alone_is_the_person_s_once_one_event_has_named_both() -> None:
    # given
    world = World(segments=[segment("openers", {"event": "email_opened", "within": "7d"})])
    world.now = NOW
    told = events()
    person = PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, "crm-4711")
    # when: what was opened is told by Klaviyo's id of the profile only
    for one in (event("consent_changed", at=0, profile_id=person, consent=CONSENT), told[-1], told[1]):
        assert world.process(one) == {}
    # then
    assert world.members(person) == {"openers"}


def test_an_event_of_seconds_alone_happened_then() -> None:
    assert sent([changed(0, datetime=None)]).events[0].occurred_at == 1_799_999_001_000


def test_the_time_of_the_header_is_signed_and_not_believed() -> None:
    # given
    good = SENDER.delivery(EVENTS)
    for said in ("", "Thu, 04 Jan 2024 18:05:25 GMT", "1704391525"):
        signature = hmac.new(SECRET.encode(), good.body + said.encode(), hashlib.sha256).hexdigest()
        headers = {**good.headers, "klaviyo-timestamp": said, "klaviyo-signature": signature}
        # then
        assert taken(Delivery(headers, good.body, NOW), "klaviyo").events
        with pytest.raises(Unauthorized):
            take(Delivery({**headers, "klaviyo-timestamp": f"{said} "}, good.body, NOW), "klaviyo")


def test_a_delivery_is_good_for_as_long_as_klaviyo_repeats_it() -> None:
    # given
    def at(instant: int) -> str:
        return to_iso(instant)

    assert sent(BODY["data"], timestamp=at(NOW - 2 * DAY)).events
    assert sent(BODY["data"], timestamp=at(NOW + 5 * MINUTE)).events
    # then
    for stale in (at(NOW - 2 * DAY - 2 * HOUR), at(NOW + 3 * DAY), None, "soon", 7):
        with pytest.raises(Unauthorized):
            sent(BODY["data"], timestamp=stale)


@pytest.mark.parametrize("told", ["another", "", None, {}])
def test_another_webhook_s_delivery_under_this_one_s_id_is_refused(told: object) -> None:
    with pytest.raises(Unauthorized):
        sent(BODY["data"], klaviyo_webhook_id=told)


def test_a_delivery_that_names_no_webhook_is_refused() -> None:
    # given
    good = SENDER.delivery(EVENTS)
    headers = {name: value for name, value in good.headers.items() if name != "klaviyo-webhook-id"}
    # then
    assert good.headers["klaviyo-webhook-id"] == WEBHOOK_ID
    with pytest.raises(Unauthorized):
        take(Delivery(headers, good.body, NOW), "klaviyo")


def test_during_a_rotation_the_old_and_the_new_secret_are_good() -> None:
    assert taken(SENDER.delivery(EVENTS), "klaviyo", secrets=("the-new-one", SECRET)).events


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({**BODY["data"][0], "external_id": None}, "external_id is missing."),
        ({**BODY["data"][0], "topic": []}, "topic must be text."),
        ({**BODY["data"][0], "payload": 7}, "payload must be an object."),
        ({**BODY["data"][0], "payload": {"data": []}}, "payload.data must be an object."),
        (
            changed(0, datetime="soon"),
            "payload.data.attributes.datetime must be a time in ISO 8601, as 2026-01-31T12:00:00Z.",
        ),
        (changed(0, datetime=None, timestamp=None), "payload.data.attributes.datetime is missing."),
        (
            changed(0, event_properties={"$message": {}}),
            "payload.data.attributes.event_properties.$message must be text.",
        ),
        (7, "The item is no JSON object."),
    ],
)
def test_what_cannot_be_used_is_named_and_takes_no_other_with_it(item: Any, message: str) -> None:
    # when
    received = sent([item, BODY["data"][1]])
    # then
    assert [rejection.error.message for rejection in received.rejected] == [message]
    assert [one.id for one in received.events] == ["klaviyo:5kwEvent002"]


def test_a_body_without_data_is_told() -> None:
    with pytest.raises(BadInput, match="data must be a list"):
        sent({})  # type: ignore[arg-type]
