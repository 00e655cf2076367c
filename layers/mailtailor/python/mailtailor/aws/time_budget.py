"""A limit on how long an answer may take, whatever the stores behind it do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

MAX_THREADS: Final = 4
"""A late task holds its thread until its own time-outs end it; later requests must not wait for that."""


class TimeBudget:
    """Runs a task for at most so long.

    Parameters
    ----------
    milliseconds
        The budget.
    """

    def __init__(self, milliseconds: int) -> None:
        self._seconds = milliseconds / 1_000
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="within-budget")

    def run(self, task: Callable[[], T]) -> T:
        """Return what `task` returns, or raise what it raises.

        Raises
        ------
        TimeoutError
            If the budget is over first; the task goes on in the background and its result is thrown away.
        """
        future = self._threads.submit(task)
        try:
            return future.result(self._seconds)
        finally:
            future.cancel()
