"""A limit on how long an answer may take, whatever the stores behind it do."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

MAX_THREADS: Final = 12
"""A late task holds its thread until its own time-outs end it; later requests must not wait for that."""


class TimeBudget:
    """Gives each answer its time.

    Parameters
    ----------
    milliseconds
        The budget.
    """

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="within-budget")

    def begin(self, *, used: int = 0) -> Deadline:
        """Return the deadline of an answer, of whose time `used` milliseconds are over already."""
        return Deadline(time.monotonic() + (self._milliseconds - used) / 1_000, self._threads)

    def beside(self, task: Callable[[], object]) -> None:
        """Run a task for which no answer waits."""
        self._threads.submit(task)


class Deadline:
    """When an answer has to be there.

    Parameters
    ----------
    at
        On the monotonic clock, in seconds.
    threads
        Run what may have to be left behind.
    """

    def __init__(self, at: float, threads: ThreadPoolExecutor) -> None:
        self._at = at
        self._threads = threads

    def passed(self) -> bool:
        """Return whether it is over."""
        return time.monotonic() >= self._at

    def start(self, task: Callable[[], T]) -> Future[T]:
        """Begin a task; nobody has to wait for it."""
        return self._threads.submit(task)

    def wait(self, future: Future[T], *, at_most: float = 3_600) -> T:
        """Return what a task returns, or raise what it raises.

        Parameters
        ----------
        future
            The task.
        at_most
            Seconds to wait, if the deadline leaves as many.

        Raises
        ------
        TimeoutError
            If the time is over first; the task goes on.
        """
        return future.result(max(0, min(at_most, self._at - time.monotonic())))
