"""Standard Webhooks: signed requests that any receiver can check with a published library.

Source: https://www.standardwebhooks.com, specification of `webhook-id`, `webhook-timestamp`, `webhook-signature`
and of what a receiver's status means.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

from mailtailor.errors import BadInput
from mailtailor.esp.membership_change import MembershipChange
from mailtailor.instant import SECOND, Instant, from_datetime, to_iso

CONNECT_SECONDS: Final = 3
READ_SECONDS: Final = 10
MAX_ANSWER_BYTES: Final = 16_384
"""What is read of an answer, only to use its connection again."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost"})
_PASSING: Final = frozenset({408, 425, 429})
"""Statuses below 500 that ask for a later try (RFC 9110, RFC 8470, RFC 6585)."""


class Refused(Exception):
    """The destination will not take this request, however often it is sent.

    Parameters
    ----------
    reason
        Why, for the log.
    gone
        True if the destination asked for no further webhooks at all (410).
    """

    def __init__(self, reason: str, *, gone: bool = False) -> None:
        super().__init__(reason)
        self.gone = gone


class Unavailable(Exception):
    """The destination may take the request later.

    Parameters
    ----------
    reason
        Why, for the log.
    retry_after
        Seconds that the destination asked for, None if it did not.
    in_flight
        True if the request may have left without an answer, and could still be acted on.
    """

    def __init__(self, reason: str, *, retry_after: float | None = None, in_flight: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.in_flight = in_flight


def checked_url(url: str) -> str:
    """Return `url` if webhooks may go there: HTTPS, or HTTP on this machine.

    Raises
    ------
    BadInput
        If they may not.
    """
    hint = "Give the parameter EspWebhookUrl an address such as https://esp.example.com/mailtailor."
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise BadInput("The webhook's address is not a URL.", hint) from error
    if not host or parts.scheme not in {"https", "http"}:
        raise BadInput("The webhook's address is not an HTTPS URL.", hint)
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise BadInput("The webhook's address is not encrypted: http is for this machine only.", hint)
    if "@" in parts.netloc:
        raise BadInput("The webhook's address holds a user name or password, which would end in logs.", hint)
    return url


def secret(key: bytes) -> str:
    """Return the key as receivers are given it."""
    return f"whsec_{base64.b64encode(key).decode()}"


def signature(key: bytes, *, webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`; `timestamp` is in seconds."""
    signed = b".".join((webhook_id.encode(), str(timestamp).encode(), body))
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"


def payload(change: MembershipChange) -> bytes:
    """Return the body: the same bytes each time the change is sent."""
    return json.dumps(
        {
            "type": "segment.entered" if change.entered else "segment.left",
            "timestamp": to_iso(change.at),
            "data": {
                "profile_id": change.profile_id,
                "segment": change.segment,
                "version": change.version,
                "reason": change.reason,
                "at": to_iso(change.at),
                "valid_until": None if change.valid_until is None else to_iso(change.valid_until),
            },
        },
        separators=(",", ":"),
    ).encode()


@dataclass(frozen=True, slots=True)
class StandardWebhook:
    """A destination that takes Standard Webhooks.

    Parameters
    ----------
    url
        Where to; see `checked_url`.
    key
        Returns the signing key.
    clock
        Returns the receiver's time, which is not the demonstration's: receivers refuse signatures older than minutes.
    pool
        Keeps connections.
    """

    url: str
    key: Callable[[], bytes]
    clock: Callable[[], Instant]
    pool: urllib3.PoolManager

    @property
    def name(self) -> str:
        """What the destination is called in the table of deliveries; another address is another destination."""
        return f"webhook:{hashlib.sha256(self.url.encode()).hexdigest()[:12]}"

    def send(self, change: MembershipChange) -> None:
        """Send a change, and return when the destination has taken it.

        Raises
        ------
        Refused
            If it never will.
        Unavailable
            If it may later.
        """
        body, timestamp = payload(change), self.clock() // SECOND
        headers = {
            "content-type": "application/json",
            "user-agent": "Mailtailor",
            "webhook-id": change.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self.key(), webhook_id=change.id, timestamp=timestamp, body=body),
        }
        try:
            # A redirect would carry signed data to an address that nobody configured.
            answer = self.pool.request(
                "POST",
                self.url,
                body=body,
                headers=headers,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
                preload_content=False,
            )
        except (NewConnectionError, ConnectTimeoutError, SSLError) as error:
            raise Unavailable(type(error).__name__) from error
        except HTTPError as error:
            raise Unavailable(type(error).__name__, in_flight=True) from error
        _discard(answer)
        _judge(answer.status, answer.headers.get("retry-after"), self.clock())


def new_pool(connections: int) -> urllib3.PoolManager:
    """Return a pool that verifies certificates and keeps `connections` open."""
    return urllib3.PoolManager(maxsize=connections, cert_reqs="CERT_REQUIRED")


def _discard(answer: urllib3.BaseHTTPResponse) -> None:
    """Keep the connection if a short answer ends at once; the status was all that counts.

    Two reads at most: a receiver that sends a byte now and then must not hold up the batch.
    """
    try:
        answer.read1(MAX_ANSWER_BYTES, decode_content=False)
        whole = not answer.read1(1, decode_content=False)
    except HTTPError:
        whole = False
    if whole:
        answer.release_conn()
    else:
        answer.close()


def _judge(status: int, retry_after: str | None, now: Instant) -> None:
    if 200 <= status < 300:
        return
    if status == 410:
        raise Refused("the destination is gone (410)", gone=True)
    if status >= 500 or status in _PASSING:
        raise Unavailable(f"the destination answered {status}", retry_after=_seconds(retry_after, now))
    raise Refused(f"the destination answered {status}")


def _seconds(retry_after: str | None, now: Instant) -> float | None:
    """Return the seconds of a Retry-After header, given as a number or a date (RFC 9110, section 10.2.3)."""
    if not retry_after:
        return None
    if retry_after.isdecimal() and len(retry_after) < 10:
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
        return max(0.0, (from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now) / SECOND)
    except (ValueError, OverflowError):
        return None
