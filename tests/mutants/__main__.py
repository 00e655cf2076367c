"""`make mutants`: plants every bug, and exits with 1 if one is not found."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from os import cpu_count

from rich.console import Console

from tests.mutants.bugs import BUGS
from tests.mutants.effects import EFFECT_BUGS, is_revealed
from tests.mutants.hunt import is_found


def main() -> int:
    """Plant, and tell of each whether it was found."""
    console = Console()
    names = [*(bug.name for bug in BUGS), *(bug.name for bug in EFFECT_BUGS)]
    missed = 0
    with ThreadPoolExecutor(cpu_count()) as pool:
        hunted = chain(pool.map(is_found, BUGS), pool.map(is_revealed, EFFECT_BUGS))
        for name, found in zip(names, hunted, strict=True):
            console.print(f"{'found ' if found else 'MISSED'}  {name}", markup=False, highlight=False)
            missed += not found
    console.print(f"{len(names) - missed} of {len(names)} bugs were found.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
