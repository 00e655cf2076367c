"""Calls that a server sends to Segment's API: what becomes of one, or why it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.errors import BadInput
from mailtailor.events.event import Event
from mailtailor.events.sources.segment import Reception, Result, receive
from mailtailor.profiles.identity import Pseudonymizer

NOW = 1_790_000_000_000
PSEUDONYMIZER = Pseudonymizer(b"a pepper of the tests")
RECEPTION = Reception(received_at=NOW, pseudonymizer=PSEUDONYMIZER, new_id=lambda: "made-here")


def received(call: str, payload: Any) -> Result:
    return receive(call, payload, len(json.dumps(payload)), RECEPTION)


def one(call: str, **payload: Any) -> Event:
    return received(call, {"userId": "42", **payload}).events[0]


def refused(call: str, **payload: Any) -> str:
    with pytest.raises(BadInput) as caught:
        received(call, {"userId": "42", **payload})
    return caught.value.message
