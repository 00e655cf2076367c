"""Rules over two events: one that another follows, or does not."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from mailtailor.instant import FOREVER, Instant
from mailtailor.segments.verdict import Verdict, once
from mailtailor.segments.windows import LAST, Entry

Times = dict[int, list[Instant]]
"""When events happened, in order, by the value in which both must agree."""


def followed(
    first: Times, second: Times, *, ages: tuple[int, int], within: int | None, later: bool, now: Instant
) -> Verdict:
    """Return the verdict of "some A between two ages has a B within a time"."""
    return _some(
        once(max(at + ages[0], follower), at + ages[1], now)
        for value, times in first.items()
        for at in times
        if (follower := _next(second.get(value, []), at, later=later)) is not None
        and (within is None or follower < at + within)
    )


def not_followed(
    first: Times, second: Times, *, ages: tuple[int, int], within: int, later: bool, now: Instant
) -> Verdict:
    """Return the verdict of "some A between two ages, and at least `within` old, has no B within that time"."""
    least = max(ages[0], within)
    return _some(
        once(at + least, at + ages[1], now)
        for value, times in first.items()
        for at in times
        if (follower := _next(second.get(value, []), at, later=later)) is None or follower >= at + within
    )


def none_since(first: list[Entry], second: list[Entry], *, ages: tuple[int, int], later: bool, now: Instant) -> Verdict:
    """Return the verdict of "of some value the last A is between two ages, and no B of it has come since"."""
    upcoming = min(_upcoming(first, now), _upcoming(second, now))
    latest = {value: at for at, _, value in first if at <= now}
    follower = {value: at for at, _, value in second if at <= now}
    truth, until = _some(
        once(at + ages[0], at + ages[1], now)
        for value, at in latest.items()
        if (follower.get(value, -1) <= at if later else follower.get(value, -1) < at)
    )
    return truth, min(until, upcoming)


def by_value(entries: list[Entry]) -> Times:
    """Return the instants of entries by their value."""
    times: Times = {}
    for at, _, value in entries:
        times.setdefault(value, []).append(at)
    return times


def _upcoming(entries: list[Entry], now: Instant) -> Instant:
    """Return when the first entry that lies ahead begins to count."""
    past = bisect_right(entries, (now, *LAST))
    return entries[past][0] if past < len(entries) else FOREVER


def _next(times: list[Instant], at: Instant, *, later: bool) -> Instant | None:
    found = bisect_right(times, at) if later else bisect_left(times, at)
    return times[found] if found < len(times) else None


def _some(verdicts: Iterator[Verdict]) -> Verdict:
    first_to_turn, last_to_turn = FOREVER, -1
    for truth, until in verdicts:
        if truth:
            last_to_turn = max(last_to_turn, until)
        else:
            first_to_turn = min(first_to_turn, until)
    return (False, first_to_turn) if last_to_turn < 0 else (True, last_to_turn)
