"""Who is in the archive, what they allowed, and what was stated of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mailtailor.consent.policy import Purpose
from mailtailor.segments.columns.doubles import once_each
from mailtailor.segments.columns.lookup import Lookup, Numbers, Places
from mailtailor.segments.columns.reading import Instants, Reader, Statements

Mask = NDArray[np.bool_]
_PURPOSES: Final = (Purpose.PERSONALIZATION, Purpose.TRACKING)


@dataclass(frozen=True, slots=True)
class People:
    """Everybody who allows personalization, in order of their numbers; nobody else is a member of anything.

    Attributes
    ----------
    numbers
        Theirs.
    tracking
        Whether they allow to be tracked, too.
    attributes
        The hash of each attribute's last statement, 0 without one.
    left
        Of whom columns cannot tell everything.
    """

    numbers: Numbers
    tracking: Mask
    attributes: dict[str, Numbers]
    left: Mask

    def __len__(self) -> int:
        return len(self.numbers)

    def places(self, numbers: Numbers) -> Places:
        """Return where people of some numbers are, -1 for others."""
        return Lookup(self.numbers).places(numbers)


class Consents:
    """What statements of consent met so far say, by their hash."""

    def __init__(self) -> None:
        self._known: dict[int, Any] = {}

    def of(self, hashes: Numbers, reader: Reader) -> Mapping[int, Any]:
        """Return what statements say; those never met are looked up in the files that `reader` reads."""
        if not self._known.keys() >= set(np.unique(hashes).tolist()):
            self._known = self._known | reader.consents()
        return self._known


def people(reader: Reader, consents: Consents) -> People:
    """Return who allows personalization by what they stated."""
    stated = reader.statements()
    said = consents.of(stated.consent, reader)
    doubles = once_each(stated.person, stated.id, stated.at, [stated.consent, *stated.attributes.values()])
    stated = stated.only(doubles.kept)
    numbers, whose = np.unique(stated.person, return_inverse=True)
    personalization, tracking = (_granted(stated, said, purpose, whose, len(numbers)) for purpose in _PURPOSES)
    left = np.zeros(len(numbers), np.bool_)
    left[whose[~stated.readable]] = True
    left |= np.isin(numbers, doubles.doubtful)
    attributes = {}
    for name, hashes in stated.attributes.items():
        attributes[name], doubtful = _last(hashes, stated.at, whose, len(numbers))
        left |= doubtful
    return People(
        numbers[personalization],
        tracking[personalization],
        {name: hashes[personalization] for name, hashes in attributes.items()},
        left[personalization],
    )


def _granted(stated: Statements, said: Mapping[int, Any], purpose: Purpose, whose: Places, number: int) -> Mask:
    """Return who grants a purpose by their last statement; of two at the same instant, the refusal counts."""
    texts = np.array(sorted(said), np.uint64)
    meant = np.array([_meaning(said[int(text)].get(purpose.value)) for text in texts], np.int64)
    meanings = meant[np.searchsorted(texts, stated.consent)] if len(texts) else np.zeros(len(whose), np.int64)
    last = np.full(number, -1, np.int64)
    told = np.flatnonzero(meanings >= 0)
    np.maximum.at(last, whose[told], stated.at[told] * 2 + meanings[told])
    granted: Mask = (last >= 0) & (last % 2 == 0)
    return granted


def _meaning(granted: object) -> int:
    """Return what sorts a statement among those of one instant; -1 if there is none."""
    return -1 if granted is None else 0 if granted else 1


def _last(hashes: Numbers, at: Instants, whose: Places, number: int) -> tuple[Numbers, Mask]:
    """Return each person's last statement, and of whom there are different ones at its instant."""
    last, doubtful = np.zeros(number, np.uint64), np.zeros(number, np.bool_)
    told = np.flatnonzero(hashes)
    order = told[np.lexsort((at[told], whose[told]))]
    # Of several entries for a person, numpy keeps the one assigned last.
    last[whose[order]] = hashes[order]
    same = (whose[order][1:] == whose[order][:-1]) & (at[order][1:] == at[order][:-1])
    doubtful[whose[order][1:][same & (hashes[order][1:] != hashes[order][:-1])]] = True
    return last, doubtful
