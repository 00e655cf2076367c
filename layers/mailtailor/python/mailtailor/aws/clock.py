"""The one place where time is read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from mailtailor.instant import Instant

Clock = Callable[[], Instant]

OFFSET_FILE_VARIABLE = "MAILTAILOR_CLOCK_FILE"


def system_clock() -> Instant:
    """Return the current instant."""
    return time.time_ns() // 1_000_000


def clock_from_environment(own: Clock = system_clock) -> Clock:
    """Return a function's `own` clock, or on one machine the demonstration's, which can be moved forward.

    The variable names a file with an offset in milliseconds. No template sets it: only the local system's own
    process environment does, so a deployed function cannot have its time moved.
    """
    file = os.environ.get(OFFSET_FILE_VARIABLE)
    return moved_clock(Path(file), own) if file else own


def moved_clock(path: Path, own: Clock = system_clock) -> Clock:
    """Return the clock `own`, moved by the milliseconds that the file at `path` says, if it says any."""

    def moved() -> Instant:
        try:
            return own() + int(path.read_text())
        except (FileNotFoundError, ValueError):
            return own()

    return moved
