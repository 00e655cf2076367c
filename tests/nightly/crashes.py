"""Plays every outcome at every request of the hour in which a function can die; see `tests.integration.crashes`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import tests.conftest  # noqa: F401 - functions need its environment when they are imported
from tests.integration.crashes.runs import everything, failure, silence
from tests.integration.crashes.story import play
from tests.integration.crashes.wire import Kind, Outcome, Point

AT_ONCE: Final = 8
"""Faults that a process takes at a time."""


def main() -> int:
    """Play all, print the table, and return 1 if anything was wrong."""
    console = Console()
    with silence():
        faults = list(everything(play(None)))
    played: Counter[tuple[Kind, Outcome]] = Counter()
    wrong: Counter[tuple[Kind, Outcome]] = Counter()
    columns = (TextColumn("Faults"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(faults))
        for (point, outcome), said in _played(faults):
            played[point.kind, outcome] += 1
            wrong[point.kind, outcome] += bool(said)
            if said:
                console.print(said, markup=False)
            progress.advance(task)
    console.print(_table(played, wrong))
    console.print(f"{len(faults):,} faults at {len(faults) // len(Outcome)} requests: {wrong.total()} went wrong.")
    return 1 if wrong.total() else 0


def _played(faults: list[tuple[Point, Outcome]]) -> Iterator[tuple[tuple[Point, Outcome], str]]:
    # Not forked: threads of libraries that were imported here would be missing there.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        yield from zip(faults, pool.map(failure, *zip(*faults, strict=True), chunksize=AT_ONCE), strict=True)


def _table(played: Counter[tuple[Kind, Outcome]], wrong: Counter[tuple[Kind, Outcome]]) -> Table:
    table = Table("function", "request", *Outcome)
    for kind in sorted({kind for kind, _ in played}):
        told = [(played[kind, outcome], wrong[kind, outcome]) for outcome in Outcome]
        table.add_row(*kind, *(f"{bad} of {number} wrong" if bad else f"{number} well" for number, bad in told))
    return table


if __name__ == "__main__":
    sys.exit(main())
