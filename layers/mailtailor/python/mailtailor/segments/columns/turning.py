"""Finds when what windows measure turns, for all people together: the walk of `windows.measured`, in columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mailtailor.instant import FOREVER, Instant
from mailtailor.segments.columns.people import Mask
from mailtailor.segments.columns.streams import Entries
from mailtailor.segments.windows import Holds

Verdicts = tuple[Mask, NDArray[np.int64]]
"""Truths of all people, and until when each holds, as in `verdict`."""

_OFFSET_BITS: Final = 37
"""Hold the milliseconds of the longest window."""
_WEIGHT_BITS: Final = 12


def measured(
    entries: Entries, ages: tuple[int, int], holds: Holds, *, mean: bool, now: Instant, people: int
) -> Verdicts:
    """Return whether what a window measures holds, and until when.

    Parameters
    ----------
    entries
        All of which happened up to `now`.
    holds
        Tells whether a total compares as wanted.
    mean
        Whether the total is compared for each event, as an average and a share are.
    """
    least, end = ages
    entries = entries.only(entries.at + end > now)
    truths = np.full(people, holds(0, 0 if mean else 1))
    until = np.full(people, FOREVER)
    if not len(entries.place):
        return truths, until
    value = entries.value if len(entries.value) else np.ones(len(entries.at), np.int64)
    whose = entries.place[entries.ends]
    # A window changes when an event enters and when it leaves. What entered before does so now, and for everybody
    # there is a change of nothing now.
    enters, leaves = np.maximum(entries.at + least - now, 0), entries.at + end - now
    changes = np.concatenate(
        [entries.place << _OFFSET_BITS | enters, entries.place << _OFFSET_BITS | leaves, whose << _OFFSET_BITS]
    )
    order = np.argsort(changes, kind="stable")
    changes = changes[order]
    nothing = np.zeros(len(whose), np.int64)
    one = np.ones(len(value), np.int64)
    # All of a person's events leave in the end, so sums begin at nothing again with the next person's.
    total = np.cumsum(np.concatenate([value, -value, nothing])[order])
    number = np.cumsum(np.concatenate([one, -one, nothing])[order]) if mean else np.ones(len(order), np.int64)
    # Of changes at one instant, the state after all of them counts.
    last = np.flatnonzero(np.append(changes[1:] != changes[:-1], True))
    place, offset = changes[last] >> _OFFSET_BITS, changes[last] & ((1 << _OFFSET_BITS) - 1)
    held = _all_hold(total[last], number[last], holds)
    truths[place[offset == 0]] = held[offset == 0]
    turned = np.flatnonzero(held != truths[place])
    first = turned[np.append(True, place[turned][1:] != place[turned][:-1])] if len(turned) else turned
    until[place[first]] = offset[first] + now
    return truths, until


def _all_hold(total: NDArray[np.int64], number: NDArray[np.int64], holds: Holds) -> Mask:
    """Return whether each total compares as wanted, asking once for each different one."""
    if abs(total).max() < 1 << (62 - _WEIGHT_BITS):
        different, which = np.unique(total << _WEIGHT_BITS | number, return_inverse=True)
        pairs = zip((different >> _WEIGHT_BITS).tolist(), (different & ((1 << _WEIGHT_BITS) - 1)).tolist(), strict=True)
        return np.array([holds(one, weight) for one, weight in pairs], np.bool_)[which]
    return np.array([holds(*pair) for pair in zip(total.tolist(), number.tolist(), strict=True)], np.bool_)


def once(since: NDArray[np.int64], until: NDArray[np.int64], now: Instant) -> Verdicts:
    """Return the verdicts of what is true from `since` up to `until`, as `verdict.once` does."""
    truth = (since <= now) & (now < until)
    turns = np.where(now < since, np.where(since < until, since, FOREVER), np.where(now < until, until, FOREVER))
    return truth, turns


Evaluates = Callable[[Mask], Verdicts]
"""Returns verdicts that are right of those people at least whom the mask names."""


def all_of(children: list[Evaluates], needed: Mask) -> Verdicts:
    """Return the verdicts of "all of them", as `composition.all_of` composes them."""
    first_to_turn, last_to_turn = np.full(len(needed), FOREVER), np.full(len(needed), -1)
    settled = np.zeros(len(needed), np.bool_)
    for child in children:
        truth, until = child(needed & ~settled)
        np.minimum(first_to_turn, until, out=first_to_turn, where=truth)
        np.maximum(last_to_turn, until, out=last_to_turn, where=~truth)
        # What no time makes true settles it, whatever the others say.
        settled |= last_to_turn == FOREVER
    holds = last_to_turn < 0
    return holds, np.where(holds, first_to_turn, last_to_turn)


def any_of(children: list[Evaluates], needed: Mask) -> Verdicts:
    """Return the verdicts of "at least one of them": that it is not true that all are false."""
    return negated(all_of([_negation(child) for child in children], needed))


def _negation(child: Evaluates) -> Evaluates:
    return lambda needed: negated(child(needed))


def negated(verdicts: Verdicts) -> Verdicts:
    """Return the opposite truths, for just as long."""
    truth, until = verdicts
    return ~truth, until
