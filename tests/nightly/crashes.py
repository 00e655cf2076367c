"""Lets functions die at requests of the hours that `tests.integration.crashes` plays: a sixth of all faults a night.

`python -m tests.nightly.crashes all` plays all of them, which takes hours.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import tests.conftest  # noqa: F401 - functions need its environment when they are imported
from tests.integration.crashes.runs import Played, everything, failure, requests
from tests.integration.crashes.story import PLANS
from tests.integration.crashes.wire import Kind, Outcome

NIGHTS: Final = 6
"""In so many all faults are played; with no divisor of the number of outcomes, so that each night has each."""
AT_ONCE: Final = 8
"""Faults that a process takes at a time."""


def main(*, every: bool = False) -> int:
    """Play the night's faults or all, print the table, and return 1 if anything was wrong."""
    console = Console()
    faults = everything({plan: requests(plan) for plan in PLANS})
    if not every:
        faults = faults[int(time.time() // 86_400) % NIGHTS :: NIGHTS]
    played: Counter[tuple[Kind, Outcome]] = Counter()
    wrong: Counter[tuple[Kind, Outcome]] = Counter()
    columns = (TextColumn("Faults"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(faults))
        for fault, said in _played(faults):
            played[fault.point.kind, fault.outcome] += 1
            wrong[fault.point.kind, fault.outcome] += bool(said)
            if said:
                console.print(said, markup=False)
            progress.advance(task)
    console.print(_table(played, wrong))
    console.print(f"{len(faults):,} faults: {wrong.total()} went wrong.")
    return 1 if wrong.total() else 0


def _played(faults: Sequence[Played]) -> Iterator[tuple[Played, str]]:
    # Not forked: threads of libraries that were imported here would be missing there.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        yield from zip(faults, pool.map(failure, faults, chunksize=AT_ONCE), strict=True)


def _table(played: Counter[tuple[Kind, Outcome]], wrong: Counter[tuple[Kind, Outcome]]) -> Table:
    table = Table("function", "request", *Outcome)
    for kind in sorted({kind for kind, _ in played}):
        told = [(played[kind, outcome], wrong[kind, outcome]) for outcome in Outcome]
        table.add_row(*kind, *(f"{bad} of {number} wrong" if bad else f"{number} well" for number, bad in told))
    return table


if __name__ == "__main__":
    sys.exit(main(every=sys.argv[1:] == ["all"]))
