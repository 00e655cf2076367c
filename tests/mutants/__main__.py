"""`make mutants`: plants every bug, and exits with 1 if one is not found."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

from rich.console import Console

from tests.mutants.bugs import BUGS
from tests.mutants.hunt import is_found


def main() -> int:
    """Plant, and tell of each whether it was found."""
    console = Console()
    missed = 0
    with ThreadPoolExecutor(cpu_count()) as pool:
        for bug, found in zip(BUGS, pool.map(is_found, BUGS), strict=True):
            console.print(f"{'found ' if found else 'MISSED'}  {bug.name}", markup=False, highlight=False)
            missed += not found
    console.print(f"{len(BUGS) - missed} of {len(BUGS)} bugs were found.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
