"""`make crosscheck`: compares the engine with hand-written SQL over millions of events; exits with 1 if they differ."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from tests.bench import population
from tests.crosscheck import by_engine, by_sql
from tests.crosscheck.by_sql import Members
from tests.crosscheck.cases import CASES
from tests.crosscheck.instants import BEFORE_EDGE, EDGE, INSTANTS

T = TypeVar("T")
NAMED = 5
"""As many people are named of each difference."""


def main() -> int:
    """Make people, judge them both ways and compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.crosscheck", description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    arguments = parser.parse_args()
    console = Console(width=max(110, Console().width))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        people, processes = arguments.people, arguments.processes
        with console.status("Making people ..."):
            _, seconds = _timed(lambda: population.write(people, folder))
        console.print(f"{people:,} people with {population.count(folder):,} events made in {seconds:.1f} s")
        with console.status("Judging by SQL ..."):
            expected, seconds = _timed(lambda: by_sql.members(folder, tuple(INSTANTS)))
        console.print(f"{len(CASES)} segments at {len(INSTANTS)} instants by SQL: {seconds:.1f} s")
        with console.status("Judging by the engine ..."):
            found, seconds = _timed(
                lambda: by_engine.members(folder, tuple(INSTANTS), number=people, processes=processes)
            )
        console.print(f"the same by the engine in {processes} processes, told event by event: {seconds:.1f} s")
    console.print(_table(expected))
    different = differences(expected, found)
    for one in different:
        console.print(one)
    console.print(f"{len(different)} differences")
    return 1 if different else 0


def differences(expected: Members, found: Members) -> list[str]:
    """Return a sentence for each instant and segment of which the two sides say different things."""
    return [
        f"{name}, {INSTANTS[now]} ({now}): only by SQL {sorted(them - found[now, name])[:NAMED]}, "
        f"only by the engine {sorted(found[now, name] - them)[:NAMED]}, "
        f"{len(them ^ found[now, name])} people in all"
        for (now, name), them in expected.items()
        if them != found[now, name]
    ]


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started


def _table(members: Members) -> Table:
    table = Table("segment", *INSTANTS.values(), "changed at the edge")
    for name in CASES:
        numbers = [f"{len(members[now, name]):,}" for now in INSTANTS]
        table.add_row(name, *numbers, f"{len(members[EDGE, name] ^ members[BEFORE_EDGE, name]):,}")
    return table


if __name__ == "__main__":
    sys.exit(main())
