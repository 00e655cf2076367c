"""A rule's truth at an instant, and how long it holds if nothing happens.

Composition keeps both exact: a true "all" holds until its first child may turn false; a false one as long as one of
its false children stays false, which is until the last of them may turn. "Any" is the dual.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mailtailor.instant import FOREVER, Instant


class Verdict(NamedTuple):
    """What a rule says.

    `truth` holds from the instant of evaluation up to, not including, `valid_until`, unless an event arrives.
    """

    truth: bool
    valid_until: Instant


NEVER_BY_TIME = Verdict(truth=False, valid_until=FOREVER)


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of "all of them"."""
    first_to_turn, last_to_turn = FOREVER, -1
    for truth, until in verdicts:
        if truth:
            first_to_turn = min(first_to_turn, until)
        else:
            last_to_turn = max(last_to_turn, until)
    return Verdict(truth=True, valid_until=first_to_turn) if last_to_turn < 0 else Verdict(False, last_to_turn)


def any_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of "at least one of them"."""
    return negated(all_of(negated(verdict) for verdict in verdicts))


def negated(verdict: Verdict) -> Verdict:
    """Return the verdict of "not": the opposite truth, for just as long."""
    return Verdict(not verdict.truth, verdict.valid_until)
