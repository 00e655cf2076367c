from __future__ import annotations

from typing import TYPE_CHECKING

from mailtailor.aws.startup import INITIALIZATION_VARIABLE, prepared

if TYPE_CHECKING:
    import pytest


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
