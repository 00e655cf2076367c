from __future__ import annotations

import time
from threading import Event

import pytest

from mailtailor.aws.time_budget import TimeBudget


def test_what_a_task_returns_and_raises_comes_back() -> None:
    deadline = TimeBudget(1_000).begin()

    assert deadline.wait(deadline.start(lambda: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        deadline.wait(deadline.start(lambda: 1 // 0))


def test_a_task_that_takes_longer_is_left_behind_and_goes_on() -> None:
    # given
    go_on, done = Event(), Event()
    deadline = TimeBudget(100).begin()

    # when
    def task() -> None:
        go_on.wait(5)
        done.set()

    future = deadline.start(task)
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        deadline.wait(future)

    # then
    assert 0.08 < time.monotonic() - start < 0.5
    assert deadline.passed()
    go_on.set()
    assert done.wait(5)


def test_what_was_used_before_is_not_there_any_more() -> None:
    assert TimeBudget(100).begin(used=100).passed()
    assert not TimeBudget(1_000).begin(used=100).passed()


def test_some_tasks_are_not_worth_all_of_the_time() -> None:
    # given
    go_on = Event()
    deadline = TimeBudget(5_000).begin()
    start = time.monotonic()

    # when
    with pytest.raises(TimeoutError):
        deadline.wait(deadline.start(lambda: go_on.wait(5)), at_most=0.05)
    go_on.set()

    # then
    assert time.monotonic() - start < 1
    assert not deadline.passed()
