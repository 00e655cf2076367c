"""Finds profiles that are due and sends their wake-ups, each timed to the second.

The writer of a profile sends wake-ups that are due within minutes itself. For all others each shard of the due index
is walked through each minute, a little ahead of time. A cursor says how far the walk has come, page by page, so that
one that dies goes on where it stopped, and nobody is left out after an outage or when the demonstration's time moves.

A second walk looks back for stragglers: profiles still armed although due, because a wake-up was lost, the index told
of them too late, nobody swept, or more were due in one second than are evaluated in two minutes. It is for the time
when the queue is nearly empty: before, who is overdue is merely waiting. So the queue never holds more than minutes'
work, however many are due.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from mailtailor.instant import DAY, HOUR, MINUTE, SECOND, SKEW, Instant
from mailtailor.profiles.wake_up import PROFILES_A_MESSAGE

INTERVAL: Final = MINUTE
"""From one sweep to the next."""
LOOK_AHEAD: Final = 2 * MINUTE
"""Twice the clock's interval: one sweep that fails or comes late makes no wake-up late."""
STRAGGLER_AGE: Final = 2 * MINUTE
"""A profile this long overdue is no longer merely on its way through the queue, where none is held for longer."""
HELD_SECONDS: Final = STRAGGLER_AGE // SECOND
STRAGGLER_REACH: Final = HOUR
DEEP_REACH: Final = DAY
"""Once an hour, for those whose wake-ups all failed while something was down for longer."""


class Place(NamedTuple):
    """A profile's place in a shard, or how far a walk has come: everybody before has been sent."""

    due_at: Instant
    profile_id: str = ""
    """Of those due at that instant the last that was sent; empty if none was."""


AT_REST: Final = Place(0)
"""Where the cursor of a walk lies that has reached its end and begins anew the next time."""

Wake = Callable[[Mapping[int, list[str]]], None]
"""Sends wake-ups: profile ids by the seconds until they are to be delivered."""


class DueShard(Protocol):
    """The profiles of one shard that wait, by the instant they are due."""

    def due(self, hour: int, start: Place, end: Instant) -> Iterator[Sequence[Place]]:
        """Yield pages of those due in one hour since the epoch, behind `start` and before `end`, in their order."""


class Cursor(Protocol):
    """Remembers the place of one walk."""

    def read(self) -> Place | None:
        """Return the place, None before the first walk."""

    def move(self, since: Place | None, to: Place) -> bool:
        """Move from the place that was read; return False if another walk has moved it meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A shard of the due index, with the cursors of the walk ahead and of the walk back."""

    index: DueShard
    ahead: Cursor
    back: Cursor


class Pace:
    """Spreads wake-ups of the same second over as many seconds as their work takes.

    Each second by itself: where a hundred thousand are due at once, who is due five seconds later waits behind a
    second's work, not behind all of them.

    Parameters
    ----------
    a_second
        How many are evaluated in a second.
    """

    def __init__(self, a_second: int) -> None:
        self._a_second = max(1, a_second)
        self._sent: Counter[int] = Counter()

    def delay(self, due_in: int) -> int | None:
        """Return for how many seconds to hold back the next wake-up that is due in so many milliseconds.

        None if it would be for so long that it is better left to those who look for stragglers.
        """
        # Rounded up: a wake-up that comes early would only have to be sent again.
        second = max(0, -(-due_in // SECOND))
        held = self._sent[second] // self._a_second
        if held >= HELD_SECONDS:
            return None
        self._sent[second] += 1
        return second + held


def sweep(
    shard: Shard, *, wake: Wake, a_second: int, now: Instant, out_of_time: Callable[[], bool] = lambda: False
) -> int:
    """Send the wake-ups of a shard's profiles due up to `LOOK_AHEAD` from now; return how many.

    Who is overdue, or one of too many due in one second, is left to `find_stragglers`, so that nobody waits for them.

    Parameters
    ----------
    a_second
        How many of a shard are evaluated in a second.
    """
    end, overdue = now + LOOK_AHEAD, Place(now - STRAGGLER_AGE)
    known = shard.ahead.read()
    if known is not None and known < overdue and not _hand_over(shard.back, known, now=now):
        return 0
    # Whoever moved it beyond the end had a clock that was ahead. Those due meanwhile are stragglers, or begin here.
    start = known if known is not None and overdue <= known <= Place(end + SKEW) else overdue
    if start.due_at >= end:
        return 0
    walk = _Walk(shard.index, shard.ahead, wake, Pace(a_second), now)
    return walk.go(known, start, end, rest=Place(end), at_most=sys.maxsize, out_of_time=out_of_time)


def _hand_over(back: Cursor, since: Place, *, now: Instant) -> bool:
    """Let the walk back begin where nobody has swept; return False if one that is under way has moved meanwhile."""
    # As far back as it would have begun by itself, at least.
    since = min(since, Place(now - STRAGGLER_REACH))
    known = back.read()
    return (known is not None and AT_REST < known <= since) or back.move(known, since)


def find_stragglers(
    shard: Shard,
    *,
    wake: Wake,
    a_second: int,
    now: Instant,
    at_most: int,
    out_of_time: Callable[[], bool] = lambda: False,
) -> int:
    """Send the wake-ups of a shard's profiles that are overdue; return how many.

    Parameters
    ----------
    a_second
        How many of a shard are evaluated in a second.
    at_most
        How many are sent at once, and never more than are evaluated in two minutes; the next call goes on behind them
        before it begins anew.
    """
    end = now - STRAGGLER_AGE
    known = shard.back.read()
    if known is not None and AT_REST < known < Place(end):
        start = known
    else:
        # Sweeps come each minute, so at least one an hour falls into these two.
        start = Place(now - (DEEP_REACH if now % HOUR < 2 * MINUTE else STRAGGLER_REACH))
    walk = _Walk(shard.index, shard.back, wake, Pace(a_second), now)
    at_most = min(at_most, a_second * HELD_SECONDS)
    return walk.go(known, start, end, rest=AT_REST, at_most=at_most, out_of_time=out_of_time)


def left_for_stragglers(a_second: int, sent: int) -> int:
    """Return how many stragglers may be sent until the next sweep, beside as many as the walk ahead has just `sent`.

    What those leave of the work of that time, and half of it at least.
    """
    work = a_second * (INTERVAL // SECOND)
    return work - min(sent, work // 2)


def messages_of_a_nearly_empty_queue(a_second: int) -> int:
    """Return how many messages of a shard wait even when nobody is late: two seconds' work."""
    return 2 * -(-a_second // PROFILES_A_MESSAGE)


class _Walk:
    """Goes through a shard and sends everybody it meets, noting how far it has come after each page."""

    def __init__(self, index: DueShard, cursor: Cursor, wake: Wake, pace: Pace, now: Instant) -> None:
        self._index = index
        self._cursor = cursor
        self._wake = wake
        self._pace = pace
        self._now = now

    def go(
        self,
        known: Place | None,
        start: Place,
        end: Instant,
        *,
        rest: Place,
        at_most: int,
        out_of_time: Callable[[], bool],
    ) -> int:
        """Go from `start` to `end`, and leave the cursor at `rest`; return how many were sent.

        If time runs out, `at_most` are sent, or another walk turns out to be under way, the rest is for the next.
        """
        sent = 0
        for hour in range(start.due_at // HOUR, (end - 1) // HOUR + 1):
            for page in self._index.due(hour, start, end):
                some = page[: at_most - sent]
                sent += self._send(some)
                if not self._cursor.move(known, some[-1]):
                    return sent
                known = some[-1]
                if sent >= at_most or out_of_time():
                    return sent
        if known != rest:
            self._cursor.move(known, rest)
        return sent

    def _send(self, page: Sequence[Place]) -> int:
        by_delay: defaultdict[int, list[str]] = defaultdict(list)
        for due_at, profile_id in page:
            if (delay := self._pace.delay(due_at - self._now)) is not None:
                by_delay[delay].append(profile_id)
        self._wake(by_delay)
        return sum(map(len, by_delay.values()))
