from __future__ import annotations

import base64
import json
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from mailtailor.aws.clock import system_clock
from mailtailor.errors import BadInput
from mailtailor.esp import standard_webhook
from mailtailor.esp.membership_change import MembershipChange
from mailtailor.esp.standard_webhook import Refused, StandardWebhook, Unavailable, checked_url, new_pool, secret
from tests.receiver import Receiver, answering, hang_up

KEY = b"a signing key of the tests, 32 b"
CHANGE = MembershipChange("p" * 22, "recent_purchasers", True, 5, 1_700_000_000_123, "event:o1", 1_700_604_800_123)


def webhook(url: str) -> StandardWebhook:
    return StandardWebhook(url=url, key=lambda: KEY, clock=system_clock, pool=new_pool(2))


def test_a_published_library_accepts_the_signature_and_reads_the_change() -> None:
    # given
    with Receiver(answering(204)).running() as receiver:
        # when
        webhook(receiver.url).send(CHANGE)

    # then
    headers, body = receiver.requests[0]
    assert Webhook(secret(KEY)).verify(body, headers) == {
        "type": "segment.entered",
        "timestamp": "2023-11-14T22:13:20.123Z",
        "data": {
            "profile_id": "p" * 22,
            "segment": "recent_purchasers",
            "version": 5,
            "reason": "event:o1",
            "at": "2023-11-14T22:13:20.123Z",
            "valid_until": "2023-11-21T22:13:20.123Z",
        },
    }
    assert headers["webhook-id"] == CHANGE.id
    assert headers["content-type"] == "application/json"


def test_a_published_library_refuses_a_changed_body_and_another_key() -> None:
    # given
    with Receiver(answering(200)).running() as receiver:
        webhook(receiver.url).send(CHANGE)
    headers, body = receiver.requests[0]

    # then
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(KEY)).verify(body.replace(b"entered", b"ENTERED"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(b"another key")).verify(body, headers)


def test_the_signature_is_the_one_of_the_published_library() -> None:
    # given
    moment = datetime(2026, 11, 24, tzinfo=UTC)

    # when
    ours = standard_webhook.signature(KEY, webhook_id="flip_1", timestamp=int(moment.timestamp()), body=b'{"a":1}')

    # then
    assert ours == Webhook(secret(KEY)).sign("flip_1", moment, '{"a":1}')
    assert secret(KEY) == f"whsec_{base64.b64encode(KEY).decode()}"


def test_a_change_sent_again_has_the_same_id_and_body() -> None:
    # given
    with Receiver(answering(200)).running() as receiver:
        # when
        webhook(receiver.url).send(CHANGE)
        webhook(receiver.url).send(CHANGE)

    # then
    (first, first_body), (second, second_body) = receiver.requests
    assert first["webhook-id"] == second["webhook-id"]
    assert first_body == second_body


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 301, 302, 307])
def test_a_status_that_no_repetition_mends_is_a_refusal_and_no_redirect_is_followed(status: int) -> None:
    # given
    redirecting = Receiver(answering(status, location="/elsewhere"))

    # when
    with redirecting.running() as receiver, pytest.raises(Refused, match=str(status)) as refused:
        webhook(receiver.url).send(CHANGE)

    # then
    assert not refused.value.gone
    assert len(receiver.requests) == 1


def test_410_says_that_the_destination_is_gone() -> None:
    with Receiver(answering(410)).running() as receiver, pytest.raises(Refused) as refused:
        webhook(receiver.url).send(CHANGE)
    assert refused.value.gone


@pytest.mark.parametrize(
    ("retry_after", "low", "high"),
    [
        ("120", 120, 120),
        ((datetime.now(UTC) + timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT"), 3_000, 3_600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
    ],
    ids=["seconds", "date", "date in the past"],  # a date of now would name the test anew each second
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_destination_that_is_busy_says_when_to_come_again(
    status: int, retry_after: str, low: float, high: float
) -> None:
    # given
    busy = Receiver(answering(status, retry_after=retry_after))

    # when
    with busy.running() as receiver, pytest.raises(Unavailable) as unavailable:
        webhook(receiver.url).send(CHANGE)

    # then
    assert unavailable.value.retry_after is not None
    assert low <= unavailable.value.retry_after <= high
    assert not unavailable.value.in_flight


@pytest.mark.parametrize("retry_after", ["soon", "-5", "1e9", "99999999999999999999", ""])
def test_a_senseless_retry_after_is_none(retry_after: str) -> None:
    assert standard_webhook._seconds(retry_after, system_clock()) is None


def test_a_request_without_an_answer_may_still_be_acted_on() -> None:
    with Receiver(hang_up).running() as receiver, pytest.raises(Unavailable) as unavailable:
        webhook(receiver.url).send(CHANGE)
    assert unavailable.value.in_flight


def test_a_destination_that_answers_too_late_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(standard_webhook, "READ_SECONDS", 0.1)
    release = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        release.wait(5)
        handler.close_connection = True

    with Receiver(wait).running() as receiver:
        # when
        with pytest.raises(Unavailable, match="ReadTimeoutError") as unavailable:
            webhook(receiver.url).send(CHANGE)
        release.set()

    # then
    assert unavailable.value.in_flight


def test_where_nobody_listens_nothing_was_sent() -> None:
    # given
    with Receiver(answering(200)).running() as receiver:
        closed = receiver.url

    # then
    with pytest.raises(Unavailable) as unavailable:
        webhook(closed).send(CHANGE)
    assert not unavailable.value.in_flight


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(tmp_path: Path) -> None:
    # given
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))

    # when
    with Receiver(answering(200)).running(context) as receiver, pytest.raises(Unavailable, match="SSLError"):
        webhook(receiver.url).send(CHANGE)

    # then
    assert receiver.requests == []


def test_a_long_answer_is_not_read_and_a_short_one_keeps_the_connection() -> None:
    # given
    ports: list[int] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        ports.append(handler.client_address[1])
        body = b"ok" if len(ports) < 3 else b"x" * 50_000_000
        try:
            answering(200, body)(handler)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True

    # when
    with Receiver(answer).running() as receiver:
        destination = webhook(receiver.url)
        for _ in range(4):
            destination.send(CHANGE)

    # then
    assert ports[0] == ports[1] == ports[2]
    assert ports[3] != ports[2]


@pytest.mark.parametrize(
    "url", ["https://esp.example.com/hook", "https://10.0.0.1:8443/", "http://127.0.0.1:8080/x", "http://localhost/"]
)
def test_an_encrypted_address_or_this_machine_may_be_a_destination(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://esp.example.com/hook",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1.evil.example/",
        "ftp://esp.example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://user:password@esp.example.com/",
        "http://localhost@evil.example/",
        "https://esp.example.com:port/",
        "https://[::1",
        "esp.example.com/hook",
    ],
)
def test_no_other_address_may(url: str) -> None:
    with pytest.raises(BadInput, match="EspWebhookUrl"):
        checked_url(url)


def test_another_address_is_another_destination() -> None:
    assert webhook("https://a.example/").name == webhook("https://a.example/").name
    assert webhook("https://a.example/").name != webhook("https://b.example/").name
    assert json.loads(standard_webhook.payload(CHANGE))["type"] == "segment.entered"


def self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file
