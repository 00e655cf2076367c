"""Joining files of the archive: each row once, and none of those who asked to be forgotten.

Whatever joins, in whatever shares and order, and however often: what readers see stays the same, for of doubles a
joined file keeps the very row that readers would take. It also gets columns that spare readers of everybody the JSON
(`archive`). A joined file is named so that it sorts after all that it was
made of. So whoever lists names in their order while files are replaced sees a row in the old file, in the new one or in
both, but never in neither.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from mailtailor.events import archive
from mailtailor.instant import Instant

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_JOINED: Final = re.compile(r"joined-(\d{6})-[0-9a-f]{32}\.parquet")

_ERASED_SQL: Final = """\
WITH erased AS (
    SELECT unnest($profiles::VARCHAR[]) AS erased_id, make_timestamp_ms(unnest($instants::BIGINT[])) AS erased_at
)
"""
_EVENTS_SQL: Final = (
    f"FROM ({archive.FORM_SQL}FROM read_parquet($files, union_by_name = true, hive_partitioning = false))"
)
_MAIL_SQL: Final = "FROM read_parquet($files, union_by_name = true, hive_partitioning = false)"

_EVENTS_ERASED_SQL: Final = "EXISTS (FROM erased WHERE erased_id = profile_id AND received_at < erased_at)"
# Mail rows do not say when they were received, only their folder does, to the hour; within it what occurred before the
# erasure goes.
_MAIL_ERASED_SQL: Final = """\
EXISTS (FROM erased WHERE erased_id = profile_id AND occurred_at < erased_at
        AND make_timestamp_ms($start) < erased_at)"""

MAX_PROPERTIES: Final = 4_096
"""Bytes of properties up to which their columns are made. DuckDB parses two thousand rows at a time in memory."""
_PROPERTY_COLUMNS: Final = ", ".join(archive.PROPERTY_COLUMNS.values())
_NO_COLUMNS_SQL: Final = ", ".join(f"NULL::VARCHAR AS {column}" for column in archive.PROPERTY_COLUMNS.values())
_POINTERS: Final = [f"/{name}" for name in archive.PROPERTY_COLUMNS]
_REACHED_SQL: Final = ", ".join(
    f"reached[{number}]::VARCHAR AS {column}"
    for number, column in enumerate(archive.PROPERTY_COLUMNS.values(), start=1)
)
# The columns that are made here, as `archive` describes them, are made last, so that rows are narrow while they are
# sorted. Those that the files have already are made anew.
_JOIN_EVENTS_SQL: Final = f"""\
COPY (
    SELECT * EXCLUDE (reached), md5_number_lower(profile_id) AS profile_number,
        CASE WHEN reached IS NOT NULL THEN md5_number_lower(id) END AS id_number, {_REACHED_SQL}
    FROM (
        SELECT * EXCLUDE (profile_number, id_number, {_PROPERTY_COLUMNS}),
            -- Not by AND, of which DuckDB evaluates both sides.
            CASE WHEN strlen(properties) <= {MAX_PROPERTIES} THEN
                CASE WHEN json_valid(properties) THEN json_extract(properties, {_POINTERS}) END
            END AS reached
        FROM (
            (
                {_ERASED_SQL}
                SELECT * REPLACE (
                    coalesce(context, '{{}}') AS context, coalesce(basis, '') AS basis, coalesce(version, 1) AS version
                )
                {_EVENTS_SQL}
                WHERE NOT {_EVENTS_ERASED_SQL}
                {archive.FIRST_SQL}
                ORDER BY profile_id, occurred_at, id
            )
            UNION ALL BY NAME
            SELECT NULL::UBIGINT AS profile_number, NULL::UBIGINT AS id_number, {_NO_COLUMNS_SQL} WHERE false
        )
    )
) TO '$target' (FORMAT parquet, COMPRESSION zstd)
"""  # noqa: S608 - of our own text

# As mail_counts counts: at the least of the times, and as a machine's if any of the doubles says so.
_JOIN_MAIL_SQL: Final = f"""\
COPY (
    {_ERASED_SQL}
    SELECT * REPLACE (max(machine) OVER (PARTITION BY id, campaign, corrects) AS machine)
    {_MAIL_SQL}
    WHERE NOT {_MAIL_ERASED_SQL}
    QUALIFY row_number() OVER (
        PARTITION BY id, campaign, corrects
        ORDER BY occurred_at, profile_id, instance, type, position, url
    ) = 1
    ORDER BY campaign, occurred_at, id, corrects
) TO '$target' (FORMAT parquet, COMPRESSION zstd)
"""

# As flips.once_each takes them: of doubles the one that was published first.
_FLIPS_SQL: Final = _MAIL_SQL
_FLIPS_ERASED_SQL: Final = (
    "EXISTS (FROM erased WHERE erased_id = profile_id AND least(flipped_at, published_at) < erased_at)"
)
_JOIN_FLIPS_SQL: Final = f"""\
COPY (
    {_ERASED_SQL}
    {_FLIPS_SQL}
    WHERE NOT {_FLIPS_ERASED_SQL}
    QUALIFY row_number() OVER (
        PARTITION BY profile_id, segment, version, flipped_at
        ORDER BY published_at, entered, reason, valid_until, definitions
    ) = 1
    ORDER BY profile_id, segment, version, flipped_at
) TO '$target' (FORMAT parquet, COMPRESSION zstd)
"""

# All rows of an id are alike.
_DECISIONS_SQL: Final = _MAIL_SQL
_DECISIONS_ERASED_SQL: Final = "EXISTS (FROM erased WHERE erased_id = profile_id AND decided_at < erased_at)"
_JOIN_DECISIONS_SQL: Final = f"""\
COPY (
    {_ERASED_SQL}
    {_DECISIONS_SQL}
    WHERE NOT {_DECISIONS_ERASED_SQL}
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY decided_at, variant) = 1
    ORDER BY profile_id, decided_at, id
) TO '$target' (FORMAT parquet, COMPRESSION zstd)
"""

_COUNT_EVENTS_SQL: Final = f"""\
{_ERASED_SQL}
SELECT count(DISTINCT id) FILTER (NOT gone), count(*) FILTER (gone)
FROM (SELECT id, {_EVENTS_ERASED_SQL} AS gone {_EVENTS_SQL})
"""  # noqa: S608 - of our own text
_WITH_ERASED_SQL: Final = f"""\
{_ERASED_SQL}
SELECT DISTINCT filename FROM read_parquet($files, union_by_name = true, hive_partitioning = false, filename = true)
WHERE {_EVENTS_ERASED_SQL}
"""  # noqa: S608 - of our own text
_WITHOUT_ERASED_SQL: Final = f"""\
COPY (
    {_ERASED_SQL}
    FROM read_parquet($files, hive_partitioning = false) WHERE NOT {_EVENTS_ERASED_SQL}
) TO '$target' (FORMAT parquet)
"""
_COUNT_MAIL_SQL: Final = f"""\
{_ERASED_SQL}
SELECT count(DISTINCT row) FILTER (NOT gone), count(*) FILTER (gone)
FROM (SELECT (id, campaign, corrects) AS row, {_MAIL_ERASED_SQL} AS gone {_MAIL_SQL})
"""  # noqa: S608 - of our own text
_COUNT_FLIPS_SQL: Final = f"""\
{_ERASED_SQL}
SELECT count(DISTINCT row) FILTER (NOT gone), count(*) FILTER (gone)
FROM (SELECT (profile_id, segment, version, flipped_at) AS row, {_FLIPS_ERASED_SQL} AS gone {_FLIPS_SQL})
"""  # noqa: S608 - of our own text
_COUNT_DECISIONS_SQL: Final = f"""\
{_ERASED_SQL}
SELECT count(DISTINCT id) FILTER (NOT gone), count(*) FILTER (gone)
FROM (SELECT id, {_DECISIONS_ERASED_SQL} AS gone {_DECISIONS_SQL})
"""  # noqa: S608 - of our own text

_COUNT_SQL: Final = {
    archive.DECISIONS: _COUNT_DECISIONS_SQL,
    archive.EVENTS: _COUNT_EVENTS_SQL,
    archive.FLIPS: _COUNT_FLIPS_SQL,
    archive.MAIL: _COUNT_MAIL_SQL,
}
_JOIN_SQL: Final = {
    archive.DECISIONS: _JOIN_DECISIONS_SQL,
    archive.EVENTS: _JOIN_EVENTS_SQL,
    archive.FLIPS: _JOIN_FLIPS_SQL,
    archive.MAIL: _JOIN_MAIL_SQL,
}


@dataclass(frozen=True, slots=True, order=True)
class Erasure:
    """A profile whose rows that were received before `at` are to go."""

    profile_id: str
    at: Instant


@dataclass(frozen=True, slots=True)
class Joined:
    """What a joined file holds.

    Parameters
    ----------
    rows
        Of the file; there is no file if there are none.
    erased
        Rows that were left out for good.
    """

    rows: int
    erased: int


class JoinedWrong(Exception):
    """A joined file does not hold what it should, so nothing may be deleted for it."""


def is_joined(key: str) -> bool:
    """Return whether a file has been joined already."""
    return _JOINED.fullmatch(key.rpartition("/")[2]) is not None


def joined_key(sources: Iterable[str], content: bytes) -> str:
    """Return the key of a file that is joined of the files `sources`, all of one folder."""
    keys = list(sources)
    found = [_JOINED.fullmatch(key.rpartition("/")[2]) for key in keys]
    generation = 1 + max((int(match[1]) for match in found if match), default=0)
    return f"{keys[0].rpartition('/')[0]}/joined-{generation:06}-{hashlib.sha256(content).hexdigest()[:32]}.parquet"


def join(
    connection: DuckDBPyConnection, files: Sequence[str], target: Path, *, folder: str, erasures: Iterable[Erasure]
) -> Joined:
    """Write `target` of `files`, all of one folder of the archive.

    Raises
    ------
    JoinedWrong
        If the file that was written does not hold each row once.
    duckdb.Error
        If a file cannot be read; see `unreadable`.
    """
    dataset, given = _dataset(folder), _given(files, folder, erasures)
    counted = connection.execute(_COUNT_SQL[dataset], given).fetchall()
    [(rows, erased)] = counted
    if rows:
        # COPY takes no parameter for its target; the folder's name is our own.
        connection.execute(_JOIN_SQL[dataset].replace("$target", str(target)), given)
        [(written,)] = connection.execute("SELECT count(*) FROM read_parquet($file)", {"file": str(target)}).fetchall()
        if written != rows:
            raise JoinedWrong(f"{written} rows instead of {rows} in {folder}")
    return Joined(rows, erased)


def erasable(connection: DuckDBPyConnection, file: str, *, folder: str, erasures: Iterable[Erasure]) -> int:
    """Return how many rows of a file are to be erased."""
    counted = connection.execute(_COUNT_SQL[_dataset(folder)], _given([file], folder, erasures))
    [(_, erased)] = counted.fetchall()
    return int(erased)


def without_erased(connection: DuckDBPyConnection, files: Sequence[str], *, erasures: Collection[Erasure]) -> list[str]:
    """Return paths of what files of events hold without erased rows: those that have some are written anew beside them.

    Raises
    ------
    duckdb.Error
        If a file cannot be read; see `unreadable`.
    """
    if not files or not erasures:
        return list(files)
    found = connection.execute(_WITH_ERASED_SQL, _given(files, archive.EVENTS, erasures)).fetchall()
    with_erased = {file for (file,) in found}
    kept = [file for file in files if file not in with_erased]
    for file in sorted(with_erased):
        target = str(Path(file).with_name(f"kept-{Path(file).name}"))
        # COPY takes no parameter for its target; the folder's name is our own.
        connection.execute(_WITHOUT_ERASED_SQL.replace("$target", target), _given([file], archive.EVENTS, erasures))
        kept.append(target)
    return kept


def unreadable(connection: DuckDBPyConnection, files: Iterable[str]) -> list[str]:
    """Return those of the files of which something cannot be read."""
    found = []
    for file in files:
        try:
            connection.execute("SELECT bit_xor(hash(COLUMNS(*))) FROM read_parquet($file)", {"file": file}).fetchall()
        except duckdb.Error:
            found.append(file)
    return found


def _dataset(folder: str) -> str:
    return f"{folder.partition('/')[0]}/"


def _given(files: Sequence[str], folder: str, erasures: Iterable[Erasure]) -> dict[str, object]:
    listed = sorted(erasures)
    given: dict[str, object] = {
        "files": list(files),
        "profiles": [one.profile_id for one in listed],
        "instants": [one.at for one in listed],
    }
    if folder.startswith(archive.MAIL):
        given["start"], _ = archive.span(folder)
    return given
