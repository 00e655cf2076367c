from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.webhook_ingest import handler as webhook_ingest
from tests.integration.functions.intake_engine import WRITE_KEY, Context, Engine, engine, http_event

SECRET = "shpss_of_the_tests"
ORDER = (Path(__file__).parents[2] / "events" / "shopify_order_create.json").read_bytes()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    with engine(monkeypatch) as running:
        running.set_keys(write_key=WRITE_KEY, shopify=SECRET)
        monkeypatch.setattr(webhook_ingest, "dependencies", lambda: running.intake)
        yield running


def signature(body: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def deliver(
    body: bytes = ORDER, *, signed: str | None = None, source: str = "shopify", topic: str = "orders/create"
) -> tuple[int, dict[str, Any]]:
    headers = {"X_Shopify_Hmac_Sha256": signature(body) if signed is None else signed, "X_Shopify_Topic": topic}
    response = webhook_ingest.handler(http_event("POST", f"/webhooks/{source}", body, **headers), Context())
    return response["statusCode"], json.loads(response["body"])


def test_a_signed_order_is_queued_once_a_delivery_and_always_under_the_order_s_id(world: Engine) -> None:
    # when
    answers = [deliver(), deliver()]

    # then
    assert answers == [(200, {"accepted": 1})] * 2
    assert [event.id for event in world.queued()] == ["shopify:order:5678901234567"] * 2


def test_an_order_as_text_is_verified_over_the_same_bytes(world: Engine) -> None:
    # given
    event = http_event("POST", "/webhooks/shopify", ORDER.decode(), x_shopify_topic="orders/create")
    event["headers"]["x-shopify-hmac-sha256"] = signature(ORDER)

    # then
    assert webhook_ingest.handler(event, Context())["statusCode"] == 200
    assert len(world.queued()) == 1


@pytest.mark.parametrize("signed", ["", "AAAA", "no base64 ö", signature(ORDER, "another"), signature(ORDER + b" ")])
def test_a_wrong_signature_is_refused_and_nothing_is_stored(world: Engine, signed: str) -> None:
    # when
    status, answer = deliver(signed=signed)

    # then
    assert (status, answer["code"]) == (401, "Unauthorized")
    assert world.queued() == []


def test_other_topics_are_acknowledged_and_counted(world: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    # when
    status, answer = deliver(topic="orders/paid")

    # then
    assert (status, answer) == (200, {"accepted": 0})
    assert world.queued() == []
    assert '"WebhooksIgnored"' in capsys.readouterr().out


@pytest.mark.parametrize("source", ["nosuch", "write_key", "", "Shopify"])
@pytest.mark.usefixtures("world")
def test_an_unknown_source_is_not_found(source: str) -> None:
    assert deliver(source=source)[0] == 404


def test_a_source_without_a_secret_says_what_to_set(world: Engine) -> None:
    # given
    world.set_keys(write_key=WRITE_KEY)

    # when
    status, answer = deliver()

    # then
    assert status == 503
    assert answer["message"] == "The secret of the webhook source shopify is not set."
    assert answer["hint"] == 'Add "shopify" to the ingest secret.'


def test_a_secret_set_later_is_known_within_seconds(world: Engine) -> None:
    # given
    world.set_keys(write_key=WRITE_KEY)
    deliver()
    world.set_keys(write_key=WRITE_KEY, shopify=SECRET)
    world.now[0] += 11_000

    # then
    assert deliver()[0] == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b"{}" * 2, b'{"id": 1, "email": "a@b.example"}']
)
def test_a_signed_body_that_cannot_be_used_is_a_400(world: Engine, body: bytes) -> None:
    # when
    status, answer = deliver(body)

    # then
    assert (status, bool(answer["message"])) == (400, True)
    assert world.queued() == []


@pytest.mark.usefixtures("world")
def test_more_than_4_mb_is_too_large() -> None:
    assert deliver(b" " * (4 * 1024 * 1024 + 1))[0] == 413


def test_a_queue_that_fails_makes_the_sender_come_back(world: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(world.intake.events, "_url", world.url + "-gone")

    # then
    assert deliver()[0] == 503


def test_secrets_that_cannot_be_read_make_the_sender_come_back(world: Engine) -> None:
    # given
    world.secrets.delete_secret(SecretId="ingest", ForceDeleteWithoutRecovery=True)

    # then
    assert deliver()[0] == 503
