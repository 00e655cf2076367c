"""Who is in each segment, by SQL over all events."""

from __future__ import annotations

from pathlib import Path

import duckdb

from mailtailor.instant import DAY, HOUR, MINUTE, Instant
from tests.crosscheck.cases import CASES

Members = dict[tuple[Instant, str], set[int]]
"""People by instant and segment."""

_MACROS = (
    f"CREATE MACRO minutes(n) AS n::BIGINT * {MINUTE}",
    f"CREATE MACRO hours(n) AS n::BIGINT * {HOUR}",
    f"CREATE MACRO days(n) AS n::BIGINT * {DAY}",
    "CREATE MACRO ago(age) AS getvariable('now') - age",
)
_KNOWN = """
CREATE OR REPLACE TEMP TABLE all_events AS
SELECT DISTINCT ON (id) * FROM '{path}' WHERE received_at <= getvariable('now')
"""


def members(folder: Path, instants: tuple[Instant, ...]) -> Members:
    """Return who is in each segment at each instant."""
    found: Members = {}
    with duckdb.connect() as connection:
        # A bar of progress would break the lines that are printed.
        connection.execute("SET enable_progress_bar = false")
        for macro in _MACROS:
            connection.execute(macro)
        connection.execute(f"CREATE VIEW people AS FROM '{folder}/people.parquet'")
        for now in instants:
            connection.execute(f"SET VARIABLE now = {now}::BIGINT")
            connection.execute(_KNOWN.format(path=folder / "events.parquet"))
            connection.execute("CREATE OR REPLACE TEMP VIEW events AS FROM all_events WHERE NOT machine")
            for name, case in CASES.items():
                found[now, name] = {person for (person,) in connection.execute(case.sql).fetchall()}
    return found
