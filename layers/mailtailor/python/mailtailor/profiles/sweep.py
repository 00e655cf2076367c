"""Finds profiles that are due and sends their wake-ups, each timed to the second.

The writer of a profile sends wake-ups that are due within minutes itself. The sweep looks a little ahead for all
others, and a little back for stragglers: profiles still armed although due, because a wake-up was lost. A cursor says
how far sweeps have looked, so that after an outage, or when the demonstration's time is moved, none is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from mailtailor.instant import DAY, HOUR, MINUTE, SECOND, Instant

LOOK_AHEAD: Final = 2 * MINUTE
"""Twice the clock's interval: one sweep that fails or comes late makes no wake-up late."""
STRAGGLER_AGE: Final = 2 * MINUTE
"""A profile this long overdue is no longer merely waiting in the queue."""
STRAGGLER_REACH: Final = HOUR
DEEP_REACH: Final = DAY
"""Once an hour, for those whose wake-ups all failed while something was down for longer."""

Wake = Callable[[Mapping[int, list[str]]], None]


class DueIndex(Protocol):
    """The profiles that wait, by the instant they are due."""

    def due(self, hour: int, start: Instant, end: Instant) -> Iterator[list[tuple[str, Instant]]]:
        """Yield pages of (profile id, due instant) with `start <= due < end` in one hour since the epoch."""


class Cursor(Protocol):
    """Remembers up to which instant sweeps have looked."""

    def read(self) -> Instant | None:
        """Return the instant, None before the first sweep."""

    def advance(self, to: Instant) -> None:
        """Move forward; never back, though two sweeps may overlap."""


def sweep(*, index: DueIndex, cursor: Cursor, wake: Wake, now: Instant) -> int:
    """Send the wake-ups of all profiles due up to `LOOK_AHEAD` from now; return how many.

    The cursor advances hour by hour, so that a sweep over a long gap that is cut short goes on where it stopped.
    """
    end = now + LOOK_AHEAD
    swept = cursor.read()
    start = min(end, swept if swept is not None else now - STRAGGLER_REACH)
    overdue = min(start, now - STRAGGLER_AGE)
    reach = DEEP_REACH if start // HOUR < end // HOUR else STRAGGLER_REACH
    sent = 0
    while start < end:
        until = min(end, (start // HOUR + 1) * HOUR)
        sent += _send(index, wake, start, until, now)
        cursor.advance(until)
        start = until
    # Last, so that those who are late already make nobody else late, however many they are.
    return sent + _send(index, wake, now - reach, overdue, now)


def _send(index: DueIndex, wake: Wake, start: Instant, end: Instant, now: Instant) -> int:
    sent = 0
    for hour in range(start // HOUR, (end - 1) // HOUR + 1) if start < end else ():
        for page in index.due(hour, start, end):
            by_delay: defaultdict[int, list[str]] = defaultdict(list)
            for profile_id, due_at in page:
                by_delay[max(0, -(-(due_at - now) // SECOND))].append(profile_id)
            wake(by_delay)
            sent += len(page)
    return sent
