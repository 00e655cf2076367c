"""`make nightly`: compares the engine with whole histories a million times, and lets functions die at requests.

Takes the first seed of the lives as an argument, else the days since 1970, so that every night plays other lives.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mailtailor.events import archive
from tests.nightly import crashes
from tests.unit.segments.columns.archived_lives import ArchivedLives, Differs
from tests.unit.segments.replay import Mismatch, Replay

CHECKS: Final = 1_000_000
SEEDS_A_DAY: Final = 100_000
SEEDS_OF_COLUMNS: Final = 100


def columns_agree(console: Console, first: int) -> bool:
    """Compare what columns and the engine say of random people, and tell whether nothing differed."""
    compared = 0
    for seed in range(first, first + SEEDS_OF_COLUMNS):
        with tempfile.TemporaryDirectory() as name:
            connection = archive.connect(memory="256MiB", threads=2, folder=Path(name) / "duckdb")
            try:
                compared += ArchivedLives(seed, 100).compare(connection, Path(name))
            except Differs as differs:
                console.print(str(differs), markup=False)
                return False
    console.print(f"{compared:,} verdicts by columns from seed {first}: no difference.")
    return True


def main() -> int:
    """Do all, and return 1 if anything was wrong."""
    return max(compare(), crashes.main())


def compare() -> int:
    """Play lives, and return 1 if anything differed."""
    console = Console()
    first = int(sys.argv[1]) if len(sys.argv) > 1 else int(time.time() // 86_400) * SEEDS_A_DAY
    seed, checks = first, 0
    columns = (TextColumn("Comparisons"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=CHECKS)
        while checks < CHECKS:
            try:
                done = Replay(seed).play(steps=40)
            except Mismatch as mismatch:
                console.print(str(mismatch), markup=False)
                return 1
            checks, seed = checks + done, seed + 1
            progress.advance(task, done)
    if not columns_agree(console, first):
        return 1
    console.print(f"{checks:,} comparisons in {seed - first:,} lives from seed {first}: no difference.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
