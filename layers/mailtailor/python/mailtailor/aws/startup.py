"""When a function makes what it works with, and how long a request has waited for that."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from mailtailor.instant import Instant

T = TypeVar("T")

INITIALIZATION_VARIABLE = "AWS_LAMBDA_INITIALIZATION_TYPE"
"""Lambda sets it in every function (AWS, "Lambda environment variables")."""


def prepared(connect: Callable[[], T]) -> Callable[[], T]:
    """Return `connect` made to run once: in Lambda while the function starts, elsewhere at the first call.

    Lambda starts a function at full CPU speed whatever its memory, so clients made then do not slow the first
    request. If that fails the start does not: the first request tries again and meets the error where it is handled.
    """
    dependencies = cache(connect)
    if INITIALIZATION_VARIABLE in os.environ:
        with suppress(Exception):
            dependencies()
    return dependencies


class StartUp:
    """Tells how long the first request has waited for the function to start.

    Parameters
    ----------
    age
        Tells how many milliseconds ago the process began.
    """

    def __init__(self, age: Callable[[], int] | None = None) -> None:
        self._age = age or _process_age
        self._is_over = False

    def waited(self, received_at: Instant, now: Instant) -> int:
        """Return how many milliseconds ago the request came, if it is the first one; 0 for all others.

        Lambda may start a function long before its first request, so the age of the process alone says nothing; and
        the clock of who received the request may differ from ours, so the instant alone does not either. The lesser of
        both is never more than the start has taken.

        Parameters
        ----------
        received_at
            When the API received the request, 0 if it does not say.
        now
            The system's time.
        """
        if self._is_over:
            return 0
        self._is_over = True
        return max(0, min(now - received_at, self._age())) if received_at else 0


def _process_age() -> int:
    try:
        # Linux: when the process began, in ticks since the machine did; what comes before may hold spaces.
        since_boot = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return int((time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot / os.sysconf("SC_CLK_TCK")) * 1_000)
    except (AttributeError, OSError, ValueError, IndexError):
        return 0
