"""DynamoDB capacity units, computed from item sizes by AWS's rules, and by part of the item.

Sources: AWS, "DynamoDB item sizes and formats" and "DynamoDB read and write operations". A write unit is 1 KB of the
larger of the item before and after; a strongly consistent read unit is 4 KB. An index entry that moves is a delete
and a put; one that appears or vanishes is one write.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mailtailor.aws.profile_item import encode
from mailtailor.profiles.profile import Flip
from mailtailor.profiles.projection import Merged
from mailtailor.profiles.store import Loaded
from tests.unit.profiles.memory_store import MemoryStore

Item = dict[str, Any]


def item_size(item: Item) -> int:
    """Return an item's size in bytes: names and values of all attributes."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def number_size(text: str) -> int:
    """Return about a number's size: a byte for two significant digits, and one more."""
    digits = text.lstrip("-").replace(".", "").strip("0") or "0"
    return math.ceil(len(digits) / 2) + 1


def value_size(value: Item) -> int:
    """Return the size of one attribute value."""
    ((kind, content),) = value.items()
    return SIZES[kind](content)


SIZES: dict[str, Callable[[Any], int]] = {
    "S": lambda text: len(text.encode()),
    "N": number_size,
    "B": len,
    "BOOL": lambda _: 1,
    "NULL": lambda _: 1,
    "SS": lambda texts: sum(len(text.encode()) for text in texts),
    "L": lambda values: 3 + sum(1 + value_size(value) for value in values),
    "M": lambda entries: 3 + sum(1 + len(name.encode()) + value_size(value) for name, value in entries.items()),
}


@dataclass(slots=True)
class Units:
    """Capacity units by what they are spent on."""

    base_reads: float = 0
    base_writes: float = 0
    index_writes: float = 0
    identity_reads: float = 0
    identity_writes: float = 0

    @property
    def writes(self) -> float:
        """All write units."""
        return self.base_writes + self.index_writes + self.identity_writes


@dataclass
class MeteredStore(MemoryStore):
    """The store in memory, which adds up what each operation would cost in DynamoDB."""

    units: Units = field(default_factory=Units)

    def __init__(self) -> None:
        MemoryStore.__init__(self)
        self.units = Units()

    def load(self, ids: Iterable[str]) -> dict[str, Loaded]:
        found = super().load(ids)
        for loaded in found.values():
            units = max(1, math.ceil(item_size(loaded.stored) / 4096)) if loaded.stored else 1
            if loaded.profile.merged_into:
                self.units.identity_reads += units
            else:
                self.units.base_reads += units
        return found

    def save(self, prepared: Loaded, flips: Sequence[Flip], merged: Sequence[Merged] = ()) -> bool:
        before = {one: self.items.get(one) for one in (prepared.profile.id, *(one.pointer.id for one in merged))}
        written = super().save(prepared, flips, merged)
        if written:
            # A transaction writes everything twice: once to prepare, once to commit.
            factor = 2 if merged else 1
            self.units.base_writes += factor * write_units(before[prepared.profile.id], encode(prepared.profile, flips))
            self.units.index_writes += index_units(before[prepared.profile.id], self.items[prepared.profile.id])
            for one in merged:
                self.units.identity_writes += factor * write_units(before[one.pointer.id], self.items[one.pointer.id])
                self.units.index_writes += index_units(before[one.pointer.id], self.items[one.pointer.id])
        return written

    def point(self, identity: str, *, to: str) -> Loaded | None:
        there = super().point(identity, to=to)
        self.units.identity_writes += 1
        return there


def write_units(before: Item | None, after: Item) -> int:
    """Return the units of one write to the table."""
    return math.ceil(max(item_size(before) if before else 0, item_size(after)) / 1024)


def index_units(before: Item | None, after: Item) -> int:
    """Return the units of the due index for one write."""
    old = (before["due_bucket"], before["due_at"]) if before and "due_at" in before else None
    new = (after["due_bucket"], after["due_at"]) if "due_at" in after else None
    if old == new:
        return 0
    return (old is not None) + (new is not None)
