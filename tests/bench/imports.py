"""What importing each function costs, as a ratio to importing boto3 in the same run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))

_MEASURE = "import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"


def seconds(module: str, path: Path | None = None) -> float:
    """Return the seconds that a fresh process takes to import `module`."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(path) if path else "", str(ROOT / "layers/mailtailor/python")])
        ),
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    output = subprocess.run(
        [sys.executable, "-c", _MEASURE.format(module=module)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return float(output.stdout.split()[-1])


def ratio(function: str, *, runs: int) -> float:
    """Return how long a function's import takes beside boto3's: the two in turn, the median of the pairs' ratios."""
    folder = ROOT / "functions" / function
    seconds("handler", folder)
    return median(seconds("handler", folder) / seconds("boto3") for _ in range(runs))
