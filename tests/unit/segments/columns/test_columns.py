"""Columns say of everybody what the engine says, truth and until when, whatever the archive holds.

`make nightly` compares many more.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mailtailor.events import archive
from tests.unit.segments.columns.archived_lives import SEGMENTS, ArchivedLives

SEEDS = 8
PEOPLE = 60


@pytest.mark.parametrize("seed", range(SEEDS))
def test_columns_say_what_the_engine_says(seed: int, tmp_path: Path) -> None:
    # given: random segments, and people with random lives in files
    lives = ArchivedLives(seed, PEOPLE)
    connection = archive.connect(memory="256MiB", threads=2, folder=tmp_path / "duckdb")
    # when
    compared = lives.compare(connection, tmp_path)
    # then: nothing differed
    assert compared == PEOPLE * SEGMENTS
