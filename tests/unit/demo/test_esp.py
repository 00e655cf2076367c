"""The demonstration's ESP accepts what a published library signs, and nothing else."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook

from infra.local.demo.esp import Esp
from mailtailor.errors import BadInput, Unauthorized
from mailtailor.instant import MINUTE, SECOND, to_datetime, to_iso

KEY = "the-esp-signing-key-of-32-characters"
NOW = 1_790_000_000_000


def delivery(body: bytes, *, at: int = NOW, identifier: str = "flip_1") -> dict[str, str]:
    signer = Webhook(base64.b64encode(KEY.encode()).decode())
    moment = to_datetime(at).astimezone(UTC)
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(at // SECOND),
        "webhook-signature": signer.sign(identifier, datetime.fromtimestamp(moment.timestamp(), UTC), body.decode()),
    }


def change(kind: str = "segment.entered", segment: str = "recent_purchasers") -> bytes:
    data = {"profile_id": "p", "segment": segment, "version": 3, "reason": "time", "at": to_iso(NOW - 500)}
    return json.dumps({"type": kind, "timestamp": to_iso(NOW), "data": data}).encode()


def receive(esp: Esp, body: bytes, headers: dict[str, str], *, now: int = NOW) -> None:
    esp.receive(headers, body, now=now, received_at=NOW)


def test_a_signed_change_is_taken_and_counted() -> None:
    # given
    esp = Esp(KEY)
    # when
    receive(esp, change(), delivery(change()))
    receive(esp, change("segment.left"), delivery(change("segment.left"), identifier="flip_2"))
    # then
    assert esp.counts() == {"recent_purchasers": {"entered": 1, "left": 1}}
    assert [(one.entered, one.received_at - one.at) for one in esp.arrivals("p")] == [(False, 500), (True, 500)]
    assert esp.arrivals("somebody else") == []


def test_a_repeated_delivery_counts_once() -> None:
    esp = Esp(KEY)
    for _ in range(2):
        receive(esp, change(), delivery(change()))
    assert esp.received == 1


@pytest.mark.parametrize("off", [-6 * MINUTE, 6 * MINUTE])
def test_an_old_or_early_delivery_is_refused(off: int) -> None:
    with pytest.raises(Unauthorized):
        receive(Esp(KEY), change(), delivery(change()), now=NOW + off)


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(Unauthorized):
        receive(Esp(KEY), change("segment.left"), delivery(change()))


def test_missing_headers_are_refused() -> None:
    with pytest.raises(Unauthorized):
        receive(Esp(KEY), change(), {})


@pytest.mark.parametrize("body", [b"{}", b"[]", b"not json", b'{"type": "segment.entered", "data": {"profile_id": 1}}'])
def test_what_is_no_membership_change_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput):
        receive(Esp(KEY), body, delivery(body))


def test_the_last_two_hundred_are_reported() -> None:
    esp = Esp(KEY)
    for number in range(210):
        receive(esp, change(), delivery(change(), identifier=f"flip_{number}"))
    assert (len(esp.arrivals()), esp.received) == (200, 210)
