"""`make nightly`: compares the engine with whole histories a million times, and lets functions die at requests.

Takes the first seed of the lives as an argument, else the days since 1970, so that every night plays other lives.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.nightly import crashes
from tests.unit.segments.replay import Mismatch, Replay

CHECKS: Final = 1_000_000
SEEDS_A_DAY: Final = 100_000


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
    console.print(f"{checks:,} comparisons in {seed - first:,} lives from seed {first}: no difference.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
