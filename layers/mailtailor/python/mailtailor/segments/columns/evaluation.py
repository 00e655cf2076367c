"""Evaluates everybody in the archive's files, a part of a bucket at a time, on several threads."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from mailtailor.instant import FOREVER, Instant
from mailtailor.segments.columns.history import Kinds, history
from mailtailor.segments.columns.leaves import Leaves
from mailtailor.segments.columns.lookup import Numbers, Places
from mailtailor.segments.columns.people import Consents, Mask, People, people
from mailtailor.segments.columns.plan import Plan
from mailtailor.segments.columns.reading import Reader, Texts, count
from mailtailor.segments.columns.streams import Streams
from mailtailor.segments.columns.turning import Evaluates, Verdicts, all_of, any_of, negated
from mailtailor.segments.definition import All, AnyOf, Condition, InSegment, Not
from mailtailor.segments.rules import cost
from mailtailor.segments.verdict import Verdict

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS_AT_ONCE: Final = 4_000_000
"""Of a part for few segments: some 500 MB."""
COLUMNS_AT_ONCE: Final = 20
"""Streams and segments, whose columns are kept while a part is evaluated; for so many more it is a share smaller."""
_BUCKET: Final = re.compile(r"/bucket=(\d\d)/")

ByEngine = Callable[["DuckDBPyConnection", Sequence[str], Collection[str]], Mapping[str, Mapping[str, Verdict]]]
"""Evaluates some people out of files with the engine, by profile id and segment."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """Verdicts of some people. Who is in none of these allows no personalization, and is in no segment.

    Attributes
    ----------
    numbers
        Theirs: the lower halves of the MD5 of their profile ids.
    verdicts
        By segment.
    events
        How many events were read.
    by_engine
        How many people were left to the engine.
    """

    numbers: Numbers
    verdicts: dict[str, Verdicts]
    events: int
    by_engine: int


def evaluate(
    connection: DuckDBPyConnection,
    files: Iterable[str],
    plan: Plan,
    now: Instant,
    *,
    by_engine: ByEngine,
    threads: int = 2,
) -> Iterator[Evaluated]:
    """Yield everybody's verdicts at an instant, exactly as the engine would give them.

    Parameters
    ----------
    connection
        DuckDB; each thread works with a cursor of its own.
    files
        Paths of the archive's files, in their folders. Files of one bucket are read together.
    plan, now
        The definitions, and when.
    by_engine
        Evaluates the few of whom columns cannot tell everything.
    threads
        How many parts are worked on at once.
    """
    buckets: dict[str, list[str]] = defaultdict(list)
    for file in files:
        match = _BUCKET.search(file)
        buckets[match[1] if match else ""].append(file)
    kinds, consents, known = Kinds(plan), Consents(), dict[tuple[object, ...], Verdict]()

    def work(part: tuple[list[str], int, int]) -> Evaluated:
        with connection.cursor() as own:
            reader = Reader(own, part[0], plan, part=part[1], parts=part[2])
            everybody = people(reader, consents)
            return _Part(own, part[0], reader, plan, now, everybody).evaluated(kinds, known, by_engine)

    parts = [
        (of_one, part, number)
        for _, of_one in sorted(buckets.items())
        for number in [1 + count(connection, of_one) // _rows_at_once(plan)]
        for part in range(number)
    ]
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, parts)


def _rows_at_once(plan: Plan) -> int:
    return ROWS_AT_ONCE // (1 + (len(plan.features) + len(plan.definitions)) // COLUMNS_AT_ONCE)


@dataclass(frozen=True, slots=True)
class _Part:
    connection: DuckDBPyConnection
    files: list[str]
    reader: Reader
    plan: Plan
    now: Instant
    people: People

    def evaluated(self, kinds: Kinds, known: dict[tuple[object, ...], Verdict], by_engine: ByEngine) -> Evaluated:
        """Return the verdicts of this part's people."""
        happened = history(self.reader, self.plan, self.people, kinds, self.now)
        texts: dict[str, Texts] = {}

        def measured_texts(key: str) -> Texts:
            if key not in texts:
                texts[key] = self.reader.measured_texts(key)
            return texts[key]

        streams = Streams(happened, measured_texts)
        leaves = Leaves(self.plan, self.people, streams, self.reader, self.now, known)
        verdicts: dict[str, Verdicts] = {}
        needed = np.ones(len(self.people), np.bool_)
        for name, definition in self.plan.definitions.items():
            verdicts[name] = _verdicts(definition.rule, leaves, verdicts, needed)
        left = happened.left | streams.left
        if left.any():
            self._left_to_engine(self.people.numbers[left], np.flatnonzero(left), verdicts, by_engine)
        return Evaluated(self.people.numbers, verdicts, happened.read, int(left.sum()))

    def _left_to_engine(
        self, numbers: Numbers, places: Places, verdicts: dict[str, Verdicts], by_engine: ByEngine
    ) -> None:
        ids = self.reader.ids(numbers)
        found = by_engine(self.connection, self.files, ids.values())
        for number, place in zip(numbers.tolist(), places.tolist(), strict=True):
            own = found.get(ids[number], {})
            for name, (truths, untils) in verdicts.items():
                truths[place], untils[place] = own.get(name, (False, FOREVER))


def _verdicts(condition: Condition, leaves: Leaves, known: Mapping[str, Verdicts], needed: Mask) -> Verdicts:
    match condition:
        case All():
            return all_of(_children(condition.all, leaves, known), needed)
        case AnyOf():
            return any_of(_children(condition.any, leaves, known), needed)
        case Not():
            return negated(_verdicts(condition.not_, leaves, known, needed))
        case InSegment():
            return known[condition.segment]
        case _:
            return leaves.verdicts(condition, needed)


def _children(conditions: Sequence[Condition], leaves: Leaves, known: Mapping[str, Verdicts]) -> list[Evaluates]:
    """Return what evaluates conditions, those that cost least first: what they settle spares the others."""
    return [partial(_verdicts, one, leaves, known) for one in sorted(conditions, key=cost)]
