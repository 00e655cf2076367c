"""Warm handlers of the recipient's path, without the network: the queue is a stub at the client's edge."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from functions.click_redirect import handler as click_redirect
from functions.open_pixel import handler as open_pixel
from mailtailor.aws.capture import Capture
from mailtailor.aws.clock import system_clock
from mailtailor.aws.queues import Queue
from mailtailor.aws.secrets import Secret
from mailtailor.aws.token_keys import TokenKeys
from mailtailor.content.countdown import Countdown
from mailtailor.content.countdown_image import CountdownImage
from mailtailor.tracking.tokens import (
    Keyring,
    LinkToken,
    MailingToken,
    Purpose,
    RecipientToken,
    sign_link,
    sign_mailing,
    sign_recipient,
)

SECRET = {"active": "k1", "k1": "a-secret-of-the-benchmark-that-is-long-enough"}
RECIPIENT = RecipientToken(profile_id="A" * 22, purpose=Purpose.TRACK, epoch=0)
LINK = LinkToken(url="https://shop.example/p/1?a=b&c=\0&d=\0", campaign="spring", position=3, sent_at=1_790_000_000_000)


class StubClient:
    """Answers as Secrets Manager and SQS do, at once."""

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        return {"SecretString": json.dumps(SECRET)}

    def send_message(self, **_: Any) -> dict[str, str]:
        return {}


def capture() -> Capture:
    """Return dependencies without a network."""
    client: Any = StubClient()
    return Capture(
        keys=TokenKeys(Secret(client=client, secret_id="tokens", clock=system_clock)),
        events=Queue(client=client, url="https://queue"),
        clock=system_clock,
        new_id=lambda: "0" * 36,
    )


def request(path: str) -> dict[str, Any]:
    """Return an event of the HTTP API."""
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "s1=Ann&s2=K%C3%B6ln",
        "headers": {
            "user-agent": "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0",
            "host": "mail.example",
            "x-forwarded-for": "198.51.100.9, 192.0.2.1",
        },
        "requestContext": {"requestId": "r", "http": {"method": "GET", "path": path, "sourceIp": "192.0.2.1"}},
        "isBase64Encoded": False,
    }


def pixel() -> Callable[[], Any]:
    """Return a call of the warm pixel."""
    keyring = Keyring.from_secret(SECRET)
    path = f"/o/{sign_mailing(keyring, MailingToken('spring'))}/{sign_recipient(keyring, RECIPIENT)}.gif"
    return _call(open_pixel, request(path), expect=200)


def click() -> Callable[[], Any]:
    """Return a call of the warm redirect."""
    keyring = Keyring.from_secret(SECRET)
    return _call(
        click_redirect, request(f"/c/{sign_link(keyring, LINK)}/{sign_recipient(keyring, RECIPIENT)}"), expect=302
    )


def countdown() -> Callable[[], bytes]:
    """Return a call that draws a countdown of 60 pictures, each time of another minute."""
    image = CountdownImage(Countdown(name="sale", ends_at=datetime(2027, 1, 31, tzinfo=UTC)))
    seconds = count(5 * 86_400, 61)
    return lambda: image.gif(next(seconds))


def _call(function: Any, event: dict[str, Any], *, expect: int) -> Callable[[], Any]:
    given = capture()
    function.dependencies = lambda: given
    context = type(
        "Context",
        (),
        dict.fromkeys(("function_name", "memory_limit_in_mb", "invoked_function_arn", "aws_request_id"), "x"),
    )()
    if function.handler(event, context)["statusCode"] != expect:
        raise AssertionError("the benchmark's request was refused")
    return lambda: function.handler(event, context)


def percentiles(call: Callable[[], Any], *, runs: int) -> tuple[float, float]:
    """Return the p50 and p99 milliseconds of `call`."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1_000)
    times.sort()
    return times[len(times) // 2], times[int(len(times) * 0.99)]
