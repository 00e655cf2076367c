"""Rules over windows that are kept whole: counts between two ages, sums, averages, distinct values, shares."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Final, Protocol

from mailtailor.instant import FOREVER, Instant
from mailtailor.segments.definition import Average, Distinct, ScoreIs, Sum
from mailtailor.segments.features import AMOUNT_UNIT
from mailtailor.segments.streams import Timeline
from mailtailor.segments.verdict import Verdict

Entry = tuple[Instant, int, int]
Holds = Callable[[int, int], bool]
"""Tells whether a total over a number of events compares as wanted."""
LAST: Final = (1 << 64, 0)
"""Greater than any id and value in a stream: with it, bisecting finds all entries up to and including an instant."""


class Tally(Protocol):
    """What a window measures, kept up to date as events enter and leave."""

    total: int
    weight: int

    def enter(self, value: int) -> None:
        """Count one more."""

    def leave(self, value: int) -> None:
        """Count one less."""


class Count:
    """How many there are."""

    __slots__ = ("total", "weight")

    def __init__(self) -> None:
        self.total, self.weight = 0, 1

    def enter(self, value: int) -> None:  # noqa: ARG002 - each counts alike
        """Count one more."""
        self.total += 1

    def leave(self, value: int) -> None:  # noqa: ARG002 - each counts alike
        """Count one less."""
        self.total -= 1


class Total:
    """The sum."""

    __slots__ = ("total", "weight")

    def __init__(self) -> None:
        self.total, self.weight = 0, 1

    def enter(self, value: int) -> None:
        """Add."""
        self.total += value

    def leave(self, value: int) -> None:
        """Subtract."""
        self.total -= value


class Mean:
    """The sum, and over how many; of none, nothing compares."""

    __slots__ = ("total", "weight")

    def __init__(self) -> None:
        self.total, self.weight = 0, 0

    def enter(self, value: int) -> None:
        """Add."""
        self.total += value
        self.weight += 1

    def leave(self, value: int) -> None:
        """Subtract."""
        self.total -= value
        self.weight -= 1


class Different:
    """How many different values there are."""

    __slots__ = ("_times", "total", "weight")

    def __init__(self) -> None:
        self.total, self.weight = 0, 1
        self._times: Counter[int] = Counter()

    def enter(self, value: int) -> None:
        """Count a value that is new."""
        self._times[value] += 1
        self.total += self._times[value] == 1

    def leave(self, value: int) -> None:
        """Count a value off when its last event goes."""
        self._times[value] -= 1
        self.total -= self._times[value] == 0


def measured(
    entries: list[Entry], ages: tuple[int, int], tally: Callable[[], Tally], holds: Holds, now: Instant
) -> Verdict:
    """Return whether what a window measures holds, and until when: walks on until an event's entry or exit turns it."""
    least, end = ages
    leaving = bisect_right(entries, (now - end, *LAST))
    entering = bisect_right(entries, (now - least, *LAST))
    state = tally()
    for _, _, value in entries[leaving:entering]:
        state.enter(value)
    truth = holds(state.total, state.weight)
    while True:
        enters = entries[entering][0] + least if entering < len(entries) else FOREVER
        leaves = entries[leaving][0] + end if leaving < len(entries) else FOREVER
        turns = min(enters, leaves)
        if turns == FOREVER:
            return truth, FOREVER
        while entering < len(entries) and entries[entering][0] + least == turns:
            state.enter(entries[entering][2])
            entering += 1
        while leaving < len(entries) and entries[leaving][0] + end == turns:
            state.leave(entries[leaving][2])
            leaving += 1
        if holds(state.total, state.weight) != truth:
            return truth, turns


def between(least: int, most: int | None) -> Holds:
    """Return a test of a number of events."""
    return lambda total, _: least <= total and (most is None or total <= most)


def bounds(condition: Sum | Average | Distinct | ScoreIs, unit: int = AMOUNT_UNIT) -> Holds:
    """Return a test of a total, in whole units, against a condition's numbers, exactly."""
    at_least, at_most, above, below = (
        None if bound is None else Fraction(bound) * unit
        for bound in (condition.at_least, condition.at_most, condition.above, condition.below)
    )

    def holds(total: int, weight: int) -> bool:
        return (
            weight > 0
            and (at_least is None or total * at_least.denominator >= at_least.numerator * weight)
            and (at_most is None or total * at_most.denominator <= at_most.numerator * weight)
            and (above is None or total * above.denominator > above.numerator * weight)
            and (below is None or total * below.denominator < below.numerator * weight)
        )

    return holds


def share(timeline: Timeline, wanted: tuple[int, int], within: int, now: Instant) -> Verdict:
    """Return whether of the messages delivered in a window the wanted share was hit, and until when.

    Parameters
    ----------
    timeline
        The messages delivered: a hit of one of which no delivery is known does not count.
    wanted
        The share, as a fraction.
    """
    times, hits = timeline.delivered, timeline.hits
    top, bottom = wanted
    first, past = bisect_right(times, now - within), bisect_right(times, now)
    upcoming = times[past] if past < len(times) else FOREVER
    until = hits[past]
    # How much there is more than needed, in units of a message's share.
    surplus = (until - hits[first]) * bottom - (past - first) * top
    truth = past > first and surplus >= 0
    while first < past:
        # So many have to leave at least, all of the worst kind, before the share can turn.
        fewest = (surplus // (bottom - top) + 1 if bottom > top else past - first) if truth else -(surplus // top)
        last = first + fewest - 1
        if last >= past:
            last = past - 1
        leaves = times[last]
        first = last + 1
        while first < past and times[first] == leaves:
            first += 1
        surplus = (until - hits[first]) * bottom - (past - first) * top
        if (past > first and surplus >= 0) != truth:
            return truth, min(leaves + within, upcoming)
    return truth, upcoming
