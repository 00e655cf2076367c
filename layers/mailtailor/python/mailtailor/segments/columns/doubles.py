"""Finds rows that stand for one event: of doubles the one that occurred first counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mailtailor.segments.columns.lookup import Lookup, Numbers
from mailtailor.segments.columns.reading import Instants

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Doubles(NamedTuple):
    """What was found.

    Attributes
    ----------
    kept
        Which rows to keep: each event once.
    doubtful
        Numbers of people who have doubles of one instant that say different things. Which of them counts is decided
        by columns that are not read here.
    """

    kept: NDArray[np.bool_]
    doubtful: Numbers


def once_each(person: Numbers, event: Numbers, at: Instants, told: Sequence[NDArray[Any]]) -> Doubles:
    """Return which rows to keep of each person's events.

    Parameters
    ----------
    person, event, at
        Numbers of the profile and the event, and when it happened.
    told
        All else that matters of a row.
    """
    kept = np.ones(len(at), np.bool_)
    # Hardly any event is there twice. Halves of numbers sort faster than numbers, and those than their places.
    halves = event.astype(np.uint32)
    in_order = np.sort(halves)
    repeated = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    shift = np.uint64(32)
    rows = np.flatnonzero(Lookup(repeated.astype(np.uint64) << shift).places(event << shift) >= 0)
    if not len(rows):
        return Doubles(kept, np.zeros(0, np.uint64))
    rows = rows[np.lexsort((at[rows], event[rows], person[rows]))]
    same = (person[rows][1:] == person[rows][:-1]) & (event[rows][1:] == event[rows][:-1])
    kept[rows[1:][same]] = False
    differs = np.zeros(len(rows) - 1, np.bool_)
    for column in told:
        differs |= column[rows][1:] != column[rows][:-1]
    doubtful = same & differs & (at[rows][1:] == at[rows][:-1])
    return Doubles(kept, np.unique(person[rows][1:][doubtful]))
