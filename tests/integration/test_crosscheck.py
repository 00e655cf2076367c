"""The engine and hand-written SQL agree about a small population; `make crosscheck` asks them about a large one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import population
from tests.crosscheck import by_engine, by_sql
from tests.crosscheck.__main__ import differences
from tests.crosscheck.by_sql import Members
from tests.crosscheck.cases import CASES
from tests.crosscheck.instants import BEFORE_EDGE, EDGE, INSTANTS

PEOPLE = 2_000


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Members, Members]:
    folder: Path = tmp_path_factory.mktemp("population")
    population.write(PEOPLE, folder)
    instants = tuple(INSTANTS)
    return by_sql.members(folder, instants), by_engine.members(folder, instants, number=PEOPLE, processes=1)


def test_engine_and_sql_name_the_same_people(both: tuple[Members, Members]) -> None:
    expected, found = both
    assert not differences(expected, found)


def test_no_segment_is_of_nobody_or_everybody(both: tuple[Members, Members]) -> None:
    expected, _ = both
    for name in CASES:
        assert any(0 < len(expected[now, name]) < PEOPLE for now in INSTANTS), name


def test_a_difference_of_a_millisecond_would_be_noticed(both: tuple[Members, Members]) -> None:
    expected, found = both
    late = {(EDGE, name): expected[BEFORE_EDGE, name] for name in CASES}
    assert differences(expected | late, found)
