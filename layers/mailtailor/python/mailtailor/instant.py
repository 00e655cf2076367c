"""Instants: milliseconds since the Unix epoch, UTC.

State, tokens and comparisons use integers, which are exact, compact and cheap; aware datetimes appear where
people or other systems read them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

Instant = int
"""Milliseconds since 1970-01-01T00:00:00Z."""

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

SKEW: Final = 5 * SECOND
"""More than two machines' clocks differ; `aws.clock` sees to that."""

FOREVER: Final[Instant] = 1 << 62
"""An instant later than any that can occur: "does not change by time"."""


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of an aware `moment`.

    Raises
    ------
    ValueError
        If `moment` has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("the time has no time zone")
    # Integer arithmetic: float seconds lose milliseconds for far-off dates.
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000 + delta.microseconds // 1_000


def to_datetime(instant: Instant) -> datetime:
    """Return `instant` as an aware datetime in UTC."""
    seconds, milliseconds = divmod(instant, 1_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1_000)


def to_iso(instant: Instant) -> str:
    """Return `instant` as ISO 8601 with milliseconds and `Z`, as JSON payloads carry it."""
    return to_datetime(instant).isoformat(timespec="milliseconds").replace("+00:00", "Z")
