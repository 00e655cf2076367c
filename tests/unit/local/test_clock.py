from __future__ import annotations

from pathlib import Path

import pytest

from infra.local import clock
from mailtailor.aws.clock import OFFSET_FILE_VARIABLE, clock_from_environment, system_clock
from mailtailor.errors import BadInput
from mailtailor.instant import DAY


def test_functions_see_the_moved_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    file = tmp_path / "state" / "clock"
    monkeypatch.setenv(OFFSET_FILE_VARIABLE, str(file))
    functions = clock_from_environment()
    # when
    clock.move(file, DAY)
    clock.move(file, DAY)
    # then
    assert abs(functions() - system_clock() - 2 * DAY) < 1_000
    assert abs(clock.now(file) - system_clock() - 2 * DAY) < 1_000


def test_time_does_not_go_back(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="only be moved forward"):
        clock.move(tmp_path / "clock", -1)


def test_without_a_file_it_is_now(tmp_path: Path) -> None:
    assert abs(clock.now(tmp_path / "clock") - system_clock()) < 1_000
