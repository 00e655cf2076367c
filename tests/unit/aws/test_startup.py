from __future__ import annotations

import subprocess
import sys
import time

import pytest

from mailtailor.aws.startup import INITIALIZATION_VARIABLE, StartUp, prepared


def test_elsewhere_than_in_lambda_dependencies_are_made_at_the_first_call_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given
    monkeypatch.delenv(INITIALIZATION_VARIABLE, raising=False)
    made: list[str] = []
    # when
    dependencies = prepared(lambda: made.append("made"))
    # then
    assert made == []
    dependencies()
    dependencies()
    assert made == ["made"]


def test_in_lambda_dependencies_are_made_while_the_function_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setenv(INITIALIZATION_VARIABLE, "on-demand")
    made: list[str] = []
    # when
    dependencies = prepared(lambda: made.append("made"))
    # then
    assert made == ["made"]
    dependencies()
    assert made == ["made"]


def test_a_failure_at_the_start_is_met_at_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setenv(INITIALIZATION_VARIABLE, "on-demand")
    attempts = iter(range(2))

    def connect() -> int:
        if (attempt := next(attempts)) == 0:
            raise OSError("not yet")
        return attempt

    # when
    dependencies = prepared(connect)
    # then
    assert dependencies() == 1


@pytest.mark.parametrize(
    ("received_at", "age", "waited"),
    [
        (9_400, 700, 600),  # it came while the function started
        (9_990, 60_000, 10),  # the function was started long before
        (2_000, 700, 700),  # the receiver's clock is late: no more than the start has taken
        (11_000, 700, 0),  # the receiver's clock is early
        (0, 700, 0),  # nobody says when it came
    ],
)
def test_the_first_request_has_waited_for_the_start_at_most(received_at: int, age: int, waited: int) -> None:
    start_up = StartUp(lambda: age)

    assert start_up.waited(received_at, 10_000) == waited
    # and no other has
    assert start_up.waited(received_at, 10_000) == 0


def test_a_process_knows_its_age() -> None:
    # given a process that waits before it asks
    code = (
        "import time; time.sleep(0.3); from mailtailor.aws.startup import StartUp; print(StartUp().waited(1, 1 << 62))"
    )

    # when
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    # then: ticks are hundredths of a second
    assert 280 <= int(done.stdout) <= (time.monotonic() - start) * 1_000 + 20
