"""The demonstration's ESP: verifies and remembers the membership changes that are delivered to it."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from mailtailor.errors import BadInput, Unauthorized
from mailtailor.instant import MINUTE, SECOND, Instant, from_datetime

KEPT: Final = 2_000
"""Enough for the import and an evening."""
REPORTED: Final = 200
TOLERANCE: Final = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class Arrival:
    """A membership change as it arrived."""

    profile_id: str
    segment: str
    entered: bool
    reason: str
    at: Instant
    received_at: Instant


class Esp:
    """What an ESP knows after all deliveries so far.

    Parameters
    ----------
    key
        The signing key that both sides share.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._arrivals: deque[Arrival] = deque(maxlen=KEPT)
        self._seen: deque[str] = deque(maxlen=KEPT)
        self._counts: dict[str, Counter[str]] = {}
        self._lock = threading.Lock()
        self.received = 0

    def receive(self, headers: Mapping[str, str], body: bytes, *, now: Instant, received_at: Instant) -> None:
        """Take a delivery; a repeated one counts once.

        Parameters
        ----------
        headers, body
            As they came; header names in lower case.
        now
            By the clock of the world, which signatures follow.
        received_at
            By the clock of the demonstration, which may be ahead.

        Raises
        ------
        Unauthorized
            If its signature or time is wrong.
        BadInput
            If it is no membership change.
        """
        verify(self._key, headers, body, now)
        arrival = _arrival(body, received_at)
        with self._lock:
            if headers["webhook-id"] in self._seen:
                return
            self._seen.append(headers["webhook-id"])
            self._arrivals.appendleft(arrival)
            self.received += 1
            self._counts.setdefault(arrival.segment, Counter())["entered" if arrival.entered else "left"] += 1

    def arrivals(self, profile_id: str | None = None, *, limit: int = REPORTED) -> list[Arrival]:
        """Return the last arrivals, the newest first, of everybody or of one profile."""
        with self._lock:
            known = list(self._arrivals)
        return [one for one in known if profile_id is None or one.profile_id == profile_id][:limit]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many entered and left each segment."""
        with self._lock:
            return {
                segment: {"entered": count["entered"], "left": count["left"]} for segment, count in self._counts.items()
            }


def verify(key: str, headers: Mapping[str, str], body: bytes, now: Instant) -> None:
    """Check a delivery as the Standard Webhooks specification says: HMAC-SHA256 over id, time and body.

    Raises
    ------
    Unauthorized
        If a header is missing, the time is more than five minutes off, or no signature is right.
    """
    identifier, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not identifier or not moment.isdecimal() or abs(int(moment) * SECOND - now) > TOLERANCE:
        raise Unauthorized("The delivery has no id or no current time.")
    signed = b".".join((identifier.encode(), moment.encode(), body))
    expected = base64.b64encode(hmac.digest(key.encode(), signed, "sha256"))
    signatures = [one.partition(",") for one in headers.get("webhook-signature", "").split()]
    if not any(version == "v1" and hmac.compare_digest(given.encode(), expected) for version, _, given in signatures):
        raise Unauthorized("The delivery's signature is wrong.")


def _arrival(body: bytes, received_at: Instant) -> Arrival:
    try:
        message: dict[str, Any] = json.loads(body)
        data = message["data"]
        return Arrival(
            profile_id=str(data["profile_id"]),
            segment=str(data["segment"]),
            entered=message["type"] == "segment.entered",
            reason=str(data["reason"]),
            at=from_datetime(datetime.fromisoformat(data["at"])),
            received_at=received_at,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput("The delivery is no membership change.") from error
