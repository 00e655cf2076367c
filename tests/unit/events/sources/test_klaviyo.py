"""Klaviyo's system webhooks: the time they were signed at, and what each topic becomes."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from mailtailor.errors import BadInput, Unauthorized
from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import MINUTE, to_iso
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, take, taken
from tests.senders.klaviyo import EVENTS, SECRET, SENDER, sign


def signed_at(said: str) -> Delivery:
    signature = hmac.new(SECRET.encode(), EVENTS.body + said.encode(), hashlib.sha256).hexdigest()
    return Delivery({"klaviyo-signature": signature, "klaviyo-timestamp": said}, EVENTS.body, NOW)


def test_a_time_is_believed_as_seconds_and_as_text() -> None:
    for said in (str(NOW // 1_000), to_iso(NOW), to_iso(NOW - 4 * MINUTE)):
        assert taken(signed_at(said), "klaviyo").events


@pytest.mark.parametrize("said", ["", "now", to_iso(NOW - 6 * MINUTE), to_iso(NOW + 6 * MINUTE), "1" * 30])
def test_another_time_is_refused_though_it_is_signed(said: str) -> None:
    with pytest.raises(Unauthorized):
        take(signed_at(said), "klaviyo")


def test_a_person_is_who_is_included_or_else_the_profile_named() -> None:
    # when
    events = taken(SENDER.delivery(EVENTS), "klaviyo").events
    # then
    assert [one.kind for one in events[0].identities] == [IdentityKind.USER_ID, IdentityKind.EMAIL]
    assert [one.kind for one in events[3].identities] == [IdentityKind.USER_ID]


def test_a_click_leads_somewhere_and_an_open_may_be_apple_s() -> None:
    # when
    events = taken(SENDER.delivery(EVENTS), "klaviyo").events
    # then
    assert events[2].properties == {"campaign": "01HQ5SPRING", "machine": "klaviyo_machine_open"}
    assert events[3].properties == {"campaign": "01HQ5SPRING", "url": "https://shop.example/lamp?a=1"}


def test_an_event_that_cannot_be_used_takes_no_other_with_it() -> None:
    # given
    body: dict[str, Any] = json.loads(EVENTS.body)
    body["data"][1]["payload"]["data"]["attributes"]["datetime"] = "soon"
    # when
    received = taken(sign(json.dumps(body).encode(), {}, {}, NOW), "klaviyo")
    # then
    assert len(received.events) == 6
    assert received.rejected[0].error.message.startswith("payload.data.attributes.datetime must be a time")


def test_a_body_without_data_is_told() -> None:
    with pytest.raises(BadInput, match="data must be a list"):
        taken(sign(b"{}", {}, {}, NOW), "klaviyo")
