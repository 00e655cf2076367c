"""Finds numbers that are hashes among known ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]
Places = NDArray[np.int64]


class Lookup:
    """Numbers, each with its place.

    Their first bits lead to none of them or to one, which hardly ever is a wrong one, that then has to be searched for.

    Parameters
    ----------
    known
        The numbers, each once.
    """

    def __init__(self, known: Numbers) -> None:
        self._known = known
        bits = max(8, min(20, len(known).bit_length() + 4))
        self._shift = np.uint64(64 - bits)
        self._table = np.full(1 << bits, -1)
        self._table[self._first_bits(known)] = np.arange(len(known))
        self._order = np.argsort(known)
        self._sorted = known[self._order]

    def _first_bits(self, numbers: Numbers) -> Places:
        return (numbers >> self._shift).astype(np.int64)

    def places(self, numbers: Numbers) -> Places:
        """Return where each number is, -1 for those that are not known."""
        if not len(self._known):
            return np.full(len(numbers), -1)
        places = self._table[self._first_bits(numbers)]
        missed = np.flatnonzero((places >= 0) & (self._known[places] != numbers))
        sought = numbers[missed]
        found = np.minimum(np.searchsorted(self._sorted, sought), len(self._known) - 1)
        places[missed] = np.where(self._sorted[found] == sought, self._order[found], -1)
        return places
