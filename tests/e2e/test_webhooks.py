"""Senders of webhooks, each as it signs, against the whole system: what they tell reaches the archive's queue once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from infra.local.system import System
from mailtailor.events.sources.registry import NAMES
from mailtailor.events.sources.webhook import Delivery
from tests.e2e.people import secret
from tests.senders import Sample, Sender, sender

ALONE = [name for name in NAMES if not sender(name).servers]
"""Those that ask no other server: there is none here."""


@pytest.fixture(scope="module")
def known(system: System) -> System:
    """The system, which knows the secrets of all senders."""
    keys = {name: " ".join(sender(name).secrets) for name in NAMES}
    system.client("secretsmanager").put_secret_value(
        SecretId=system.outputs["IngestSecretId"], SecretString=json.dumps({**secret(system, "IngestSecretId"), **keys})
    )
    return system


def deliver(system: System, playing: Sender, sample: Sample, *, signed: bool = True) -> httpx.Response:
    more = {"url": f"{system.base_url}/webhooks/hubspot"} if playing.name == "hubspot" else {}
    sign: Callable[..., Delivery] = playing.sign
    delivery = sign(sample.body, sample.headers, sample.query, system.now(), **more)
    query = f"?{urlencode(delivery.query)}" if delivery.query and signed else ""
    headers = dict(delivery.headers) if signed else {}
    url = f"{system.base_url}/webhooks/{playing.name}{query}"
    return httpx.post(url, content=delivery.body if signed else sample.body, headers=headers, timeout=30)


@pytest.mark.parametrize("name", ALONE)
def test_what_a_sender_signs_is_taken_and_what_nobody_signed_is_not(known: System, name: str) -> None:
    # given
    playing = sender(name)
    deadline = time.monotonic() + 15
    # when: functions read the secrets again within ten seconds
    while (answer := deliver(known, playing, playing.samples[0])).status_code == 401 and time.monotonic() < deadline:
        time.sleep(0.5)
    # then
    assert answer.is_success, answer.text
    assert deliver(known, playing, playing.samples[0], signed=False).status_code == 401


@pytest.mark.parametrize("name", ALONE)
def test_every_sample_is_answered_within_a_strict_sender_s_patience(known: System, name: str) -> None:
    # given
    playing = sender(name)
    for sample in playing.samples:
        # when
        started = time.monotonic()
        answer = deliver(known, playing, sample)
        # then
        assert answer.is_success, answer.text
        assert time.monotonic() - started < 4


def test_an_unknown_source_is_not_found_and_lists_those_there_are(known: System) -> None:
    # when
    answer: dict[str, Any] = httpx.post(f"{known.base_url}/webhooks/nosuch", content=b"{}", timeout=30).json()
    # then
    assert answer["code"] == "NotFound"
    assert "shopify" in answer["hint"]
