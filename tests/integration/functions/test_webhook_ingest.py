from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from functions.webhook_ingest import handler as webhook_ingest
from mailtailor.errors import Unavailable
from tests.integration.functions.intake_engine import WRITE_KEY, Context, Engine, engine, http_event

SECRET = "shpss_of_the_tests"
ORDER = (Path(__file__).parents[2] / "events" / "shopify_order_create.json").read_bytes()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    with engine(monkeypatch) as running:
        running.set_keys(write_key=WRITE_KEY, shopify=SECRET)
        given = webhook_ingest.Dependencies(running.intake, NoServers(), "https://mail.example")
        monkeypatch.setattr(webhook_ingest, "dependencies", lambda: given)
        yield running


class NoServers:
    """Other servers: none answers."""

    def get(self, url: str) -> bytes:
        raise Unavailable(f"{url} does not answer.")

    def kept(self, url: str) -> bytes:
        return self.get(url)

    def post(self, url: str, payload: Mapping[str, Any], *, bearer: str = "") -> bytes:
        raise Unavailable(f"{url} does not answer to {len(payload)} fields of {bearer!r}.")


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


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"{}" * 2])
def test_a_signed_body_that_cannot_be_read_is_a_400(world: Engine, body: bytes) -> None:
    # when
    status, answer = deliver(body)

    # then
    assert (status, bool(answer["message"])) == (400, True)
    assert world.queued() == []


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000])
def test_a_body_nested_beyond_any_use_is_too_large(body: bytes) -> None:
    assert deliver(body)[0] == 413


@pytest.mark.usefixtures("world")
def test_a_body_that_unpacks_to_more_than_4_mb_is_too_large() -> None:
    # given
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    event = http_event("POST", "/webhooks/shopify", bomb, content_encoding="gzip")

    # then
    assert webhook_ingest.handler(event, Context())["statusCode"] == 413


def test_a_delivery_packed_with_gzip_is_verified_over_what_it_unpacks_to(world: Engine) -> None:
    # given
    headers = {"x_shopify_hmac_sha256": signature(ORDER), "x_shopify_topic": "orders/create"}
    event = http_event("POST", "/webhooks/shopify", gzip.compress(ORDER), content_encoding="gzip", **headers)

    # then
    assert webhook_ingest.handler(event, Context())["statusCode"] == 200
    assert len(world.queued()) == 1


@pytest.mark.parametrize("body", [b"[]", b'{"id": 1, "email": "a@b.example"}', b'{"id": {"a": 1}}'])
def test_what_cannot_be_used_is_reported_parked_as_it_came_and_not_asked_for_again(world: Engine, body: bytes) -> None:
    # when
    status, answer = deliver(body)

    # then
    assert (status, answer["accepted"], answer["rejected"][0]["index"]) == (200, 0, 0)
    assert answer["rejected"][0]["message"]
    assert world.queued() == []
    [parked] = world.parked()
    assert (parked.source, parked.received_at) == ("shopify", world.now[0])
    assert [kept.item for kept in parked.items] == [{"topic": "orders/create", "payload": json.loads(body)}]


def test_what_is_parked_twice_is_kept_once(world: Engine) -> None:
    # when
    deliver(b"[]")
    deliver(b"[]")

    # then
    assert len(world.parked()) == 1


@pytest.mark.usefixtures("world")
def test_more_than_4_mb_is_too_large() -> None:
    assert deliver(b" " * (4 * 1024 * 1024 + 1))[0] == 413


def test_a_queue_that_fails_makes_the_sender_come_back(world: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(world.intake.events.queue, "_url", world.url + "-gone")

    # then
    assert deliver()[0] == 503


def test_secrets_that_cannot_be_read_make_the_sender_come_back(world: Engine) -> None:
    # given
    world.secrets.delete_secret(SecretId="ingest", ForceDeleteWithoutRecovery=True)

    # then
    assert deliver()[0] == 503
