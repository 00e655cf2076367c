"""Decisions in Parquet: each once for its readers, whatever is repeated and joined and whoever is erased."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailtailor.content.decision import Decision, MessageKey, Skipped
from mailtailor.events import archive, decision_files
from mailtailor.events.decision_files import LoggedDecision
from mailtailor.events.joining import Erasure
from mailtailor.instant import DAY
from tests.unit.events.test_archive import write
from tests.unit.events.test_flip_files import ANNA, BOB, NOON, join

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

OFFER = Decision("offer", "3f2a", NOON - 5, (("A1", "viewed"), ("B2", "bestseller")), ("B2",), "spring")
SHOWN = replace(OFFER, skipped=(Skipped("products", "audience"),), inside={"sale": Decision("ended", "77", NOON - 5)})
ONE = LoggedDecision(MessageKey(ANNA, "spring", "send-7"), "hero@1", SHOWN, True)
COLUMNS = "block, inside, version, variant, products, reasons, offer, skipped, sampled"


@pytest.fixture(scope="module")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> DuckDBPyConnection:
    return archive.connect(memory="256MiB", threads=1, folder=tmp_path_factory.mktemp("duckdb"))


def read(folder: Path, duckdb: DuckDBPyConnection, columns: str) -> list[tuple[Any, ...]]:
    """Return rows as the statement in docs/content.md reads them: each decision once."""
    files = str(folder / "decisions" / "*" / "*" / "*.parquet")
    statement = f"SELECT DISTINCT ON (id) {columns} FROM read_parquet($files) ORDER BY id"
    return sorted(duckdb.execute(statement, {"files": files}).fetchall())


def put(folder: Path, duckdb: DuckDBPyConnection, *logged: LoggedDecision, at: int = NOON) -> None:
    write(folder, decision_files.parts(logged, received_at=at), duckdb)


def test_a_decision_says_what_was_shown_and_a_block_inside_has_a_row_of_its_own(
    duckdb: DuckDBPyConnection, tmp_path: Path
) -> None:
    put(tmp_path, duckdb, ONE)

    shown, ended = read(tmp_path, duckdb, COLUMNS)

    assert shown[:7] == ("hero", "", "3f2a", "offer", ["A1", "B2"], ["viewed", "bestseller"], "spring")
    assert (json.loads(shown[7]), shown[8]) == ({"products": "audience"}, True)
    assert ended[:4] == ("sale", "hero", "77", "ended")
    assert set(read(tmp_path, duckdb, "profile_id, campaign, instance, epoch_ms(decided_at)")) == {
        (ANNA, "spring", "send-7", NOON - 5)
    }


def test_a_decision_that_comes_again_in_other_company_and_on_another_day_is_read_once(
    duckdb: DuckDBPyConnection, tmp_path: Path
) -> None:
    # given
    other = replace(ONE, name="footer@1", decision=OFFER)
    put(tmp_path, duckdb, ONE)
    put(tmp_path, duckdb, ONE, other)
    put(tmp_path, duckdb, other, at=NOON + DAY)
    before = read(tmp_path, duckdb, f"id, {COLUMNS}")
    assert len(before) == 3

    # when
    for folder in tmp_path.glob("decisions/*/*"):
        join(tmp_path, duckdb, sorted(folder.glob("*.parquet")))

    # then
    assert read(tmp_path, duckdb, f"id, {COLUMNS}") == before


def test_another_message_version_and_block_are_other_decisions(duckdb: DuckDBPyConnection, tmp_path: Path) -> None:
    put(
        tmp_path,
        duckdb,
        *(replace(ONE, message=MessageKey(ANNA, "spring", instance)) for instance in ("send-7", "send-8")),
        *(replace(ONE, name=name) for name in ("hero@2", "footer@1")),
    )

    assert len(read(tmp_path, duckdb, "id")) == 4 * 2


def test_who_is_erased_loses_the_decisions_of_before(duckdb: DuckDBPyConnection, tmp_path: Path) -> None:
    # given
    after = replace(ONE, name="late@1", decision=replace(OFFER, at=NOON + 1))
    bobs = replace(ONE, message=MessageKey(BOB, "spring", "send-7"))
    put(tmp_path, duckdb, ONE, after, bobs)
    [file] = tmp_path.glob("decisions/*/*/*.parquet")

    # when
    made = join(tmp_path, duckdb, [file], [Erasure(ANNA, NOON)])

    # then
    assert (made.rows, made.erased) == (3, 2)
    assert {row[0] for row in read(tmp_path, duckdb, "profile_id, block")} == {ANNA, BOB}
