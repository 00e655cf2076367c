"""Reads the events of many people out of files of the archive, in the order of profiles' ids."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mailtailor.consent.policy import Basis, Purpose
from mailtailor.events.archive import COLUMNS, FIRST_SQL, FORM_SQL
from mailtailor.events.event import Event

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS_AT_ONCE: Final = 20_000
PROFILES_AT_ONCE: Final = 1_000
"""What is in memory at once as Python's objects: some 50 MB. Who has more rows than that comes alone."""

_FILES: Final = f"({FORM_SQL}FROM read_parquet($files, union_by_name = true, hive_partitioning = false))"

_IDS_SQL: Final = f"""\
SELECT profile_id, count(*) FROM {_FILES} WHERE profile_id > $after
GROUP BY profile_id ORDER BY profile_id LIMIT $most
"""  # noqa: S608 - of our own text

_COLUMNS: Final = """\
profile_id, id, type, source, epoch_ms(occurred_at), epoch_ms(received_at), properties, attributes, consent,
coalesce(context, '{}'), coalesce(basis, '')"""

_OF_EACH_PROFILE: Final = FIRST_SQL.replace("PARTITION BY id", "PARTITION BY profile_id, id")
_IN_ORDER: Final = "ORDER BY profile_id, occurred_at, received_at, id"
"""As `archive.once_each` has it."""

_RANGE_SQL: Final = f"""\
SELECT {_COLUMNS} FROM {_FILES} WHERE profile_id BETWEEN $first AND $last
{_OF_EACH_PROFILE} {_IN_ORDER}
"""  # noqa: S608 - of our own text

_SOME_SQL: Final = f"""\
SELECT {_COLUMNS} FROM {_FILES} WHERE profile_id IN (SELECT unnest($profiles))
{_OF_EACH_PROFILE} {_IN_ORDER}
"""  # noqa: S608 - of our own text

_SORT_SQL: Final = f"""\
COPY (SELECT {COLUMNS} FROM {_FILES} WHERE profile_id > $after ORDER BY profile_id)
TO '%s' (FORMAT parquet, ROW_GROUP_SIZE {ROWS_AT_ONCE})
"""  # noqa: S608 - of our own text
_KEEP_SQL: Final = f"""\
COPY (SELECT {COLUMNS} FROM {_FILES} WHERE profile_id IN (SELECT unnest($profiles)) ORDER BY profile_id)
TO '%s' (FORMAT parquet, COMPRESSION zstd)
"""  # noqa: S608 - of our own text

_NOTHING: Final = Event.model_construct(id="", type="", source="", occurred_at=0, received_at=0)
"""What all events of the archive are copies of; those without properties share its empty ones."""


class Found(NamedTuple):
    """A profile's id in the archive, and how many rows it has there."""

    profile_id: str
    rows: int


def found(connection: DuckDBPyConnection, files: Sequence[str], *, after: str, most: int) -> list[Found]:
    """Return the ids in `files` that come after one, in their order."""
    if not files:
        return []
    rows = connection.execute(_IDS_SQL, {"files": list(files), "after": after, "most": most}).fetchall()
    return [Found(*row) for row in rows]


def sort(connection: DuckDBPyConnection, files: Sequence[str], target: Path, *, after: str) -> None:
    """Write the rows of all ids after one into a file, in groups of which a chunk of profiles needs a few only.

    In the archive's own files each chunk would have to read them all.
    """
    # COPY takes no parameter for its target; the folder's name is our own.
    connection.execute(_SORT_SQL % target, {"files": list(files), "after": after})


def in_chunks(ids: Iterable[Found]) -> Iterator[list[str]]:
    """Yield the ids of as many profiles as should be read at once."""
    chunk: list[str] = []
    size = 0
    for profile_id, rows in ids:
        if chunk and (len(chunk) == PROFILES_AT_ONCE or size + rows > ROWS_AT_ONCE):
            yield chunk
            chunk, size = [], 0
        chunk.append(profile_id)
        size += rows
    if chunk:
        yield chunk


def in_range(connection: DuckDBPyConnection, files: Sequence[str], *, first: str, last: str) -> dict[str, list[Event]]:
    """Return the events of the profiles from `first` to `last`, each profile's once each and in order of their time."""
    return _events(connection, _RANGE_SQL, {"files": list(files), "first": first, "last": last})


def of(connection: DuckDBPyConnection, files: Sequence[str], profiles: Collection[str]) -> dict[str, list[Event]]:
    """Return the events of some profiles, as `in_range` does."""
    if not files or not profiles:
        return {}
    return _events(connection, _SOME_SQL, {"files": list(files), "profiles": sorted(profiles)})


def keep(connection: DuckDBPyConnection, files: Sequence[str], profiles: Collection[str], target: Path) -> None:
    """Write all rows of some profiles into a file, doubles included."""
    connection.execute(_KEEP_SQL % target, {"files": list(files), "profiles": sorted(profiles)})


def _events(connection: DuckDBPyConnection, query: str, given: dict[str, object]) -> dict[str, list[Event]]:
    rows = connection.execute(query, given).fetchall()
    return {profile_id: [_event(*row) for row in of_one] for profile_id, of_one in groupby(rows, lambda row: row[0])}


def _event(  # noqa: PLR0917 - a row's columns, in their order
    profile_id: str,
    id_: str,
    type_: str,
    source: str,
    occurred_at: int,
    received_at: int,
    properties: str,
    attributes: str,
    consent: str,
    context: str,
    basis: str,
) -> Event:
    told: dict[str, Any] = {
        "id": id_,
        "type": type_,
        "source": source,
        "profile_id": profile_id,
        "occurred_at": occurred_at,
        "received_at": received_at,
    }
    for name, text in (("properties", properties), ("attributes", attributes), ("context", context)):
        if text != "{}":
            told[name] = json.loads(text)
    if consent != "{}":
        told["consent"] = {Purpose(purpose): granted for purpose, granted in json.loads(consent).items()}
    if basis:
        told["basis"] = Basis(basis)
    # What is in the archive was checked when it came; checking it again would take as long as all the rest.
    return _NOTHING.model_copy(update=told)
