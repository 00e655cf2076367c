"""Rules over windows that are kept whole: counts between two ages, sums, averages, distinct values, shares."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Final, Protocol

from mailtailor.instant import FOREVER, Instant
from mailtailor.segments.definition import Average, Distinct, ScoreIs, Sum
from mailtailor.segments.features import AMOUNT_UNIT
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


def share(messages: Iterable[tuple[Instant, Instant]], wanted: tuple[int, int], within: int, now: Instant) -> Verdict:
    """Return whether of the messages delivered in a window the wanted share was hit, and until when.

    Parameters
    ----------
    messages
        When each was delivered and first hit, 0 if it was not, or not to our knowledge: a hit alone is no delivery.
    wanted
        The share, as a fraction.
    """
    top, bottom = wanted
    known = sorted((delivered, hit > 0) for delivered, hit in messages if delivered > max(0, now - within))
    past = bisect_right(known, (now, True))
    upcoming = known[past][0] if past < len(known) else FOREVER
    counted = known[:past]
    total, hits = past, sum(hit for _, hit in counted)
    truth = total > 0 and hits * bottom >= total * top
    for index, (delivered, hit) in enumerate(counted):
        total, hits = total - 1, hits - hit
        leaves_together = index + 1 < past and counted[index + 1][0] == delivered
        if not leaves_together and (total > 0 and hits * bottom >= total * top) != truth:
            return truth, min(delivered + within, upcoming)
    return truth, upcoming
