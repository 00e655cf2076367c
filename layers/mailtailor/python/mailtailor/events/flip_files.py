"""Flips in the archive, as Parquet: `flips/received=2026-11-24/bucket=07/<hash>.parquet`.

The day is that of publication in UTC, the bucket that of the profile, as for its events (`archive`).

| column | type | meaning |
|---|---|---|
| profile_id, segment | VARCHAR | whose membership of what |
| entered | BOOLEAN | false: left |
| flipped_at | TIMESTAMP_MS | when it became true, UTC |
| reason | VARCHAR | `event:<event id>`, `time`, `consent`, `definition`, `merge` or `rebuild` |
| version | BIGINT | the profile's, by the write that flipped |
| valid_until | TIMESTAMP_MS | when time alone may change it again; null if never |
| published_at | TIMESTAMP_MS | when the stream handed it over |
| definitions | VARCHAR | fingerprint of the definitions that said it, may be empty |

A batch that was published again may be there twice: of the rows of one profile, segment, version and instant, readers
take the one that was published first.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from mailtailor.events import archive
from mailtailor.events.archive import Part
from mailtailor.events.flips import Occasion, PastFlip
from mailtailor.instant import Instant, to_datetime

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_WRITE_SQL: Final = """\
COPY (
    SELECT profile_id, segment, entered, make_timestamp_ms(flipped_at)::TIMESTAMP_MS AS flipped_at, reason, version,
           make_timestamp_ms(valid_until)::TIMESTAMP_MS AS valid_until,
           make_timestamp_ms(published_at)::TIMESTAMP_MS AS published_at, definitions
    FROM read_json($rows, format = 'newline_delimited', columns = {
        profile_id: 'VARCHAR', segment: 'VARCHAR', entered: 'BOOLEAN', flipped_at: 'BIGINT', reason: 'VARCHAR',
        version: 'BIGINT', valid_until: 'BIGINT', published_at: 'BIGINT', definitions: 'VARCHAR'})
    ORDER BY profile_id, segment, version, flipped_at
) TO '%s' (FORMAT parquet, COMPRESSION zstd)
"""

_READ_SQL: Final = """\
SELECT profile_id, segment, entered, epoch_ms(flipped_at), reason, version, epoch_ms(valid_until),
       epoch_ms(published_at), definitions
FROM read_parquet($files, union_by_name = true, hive_partitioning = false)
WHERE list_contains($profiles, profile_id) AND segment = $segment
"""

_OCCASIONS_SQL: Final = """\
SELECT id, type, profile_id, epoch_ms(occurred_at), epoch_ms(received_at)
FROM read_parquet($files, union_by_name = true, hive_partitioning = false)
WHERE id IN (SELECT unnest($ids))
ORDER BY occurred_at DESC
"""


def day_folder(published_at: Instant) -> str:
    """Return the folder, with its slash, of all flips published that day."""
    return f"{archive.FLIPS}received={to_datetime(published_at).date().isoformat()}/"


def parts(batch: Mapping[str, Iterable[PastFlip]]) -> list[Part]:
    """Return the files to write for a batch of messages, given by message id."""
    by_prefix: dict[str, Part] = {}
    for message, flips in batch.items():
        for flip in flips:
            where = f"{day_folder(flip.published_at)}bucket={archive.bucket(flip.profile_id):02}"
            part = by_prefix.setdefault(where, Part(where, _WRITE_SQL))
            part.rows.add(_row(flip))
            part.messages.add(message)
    return list(by_prefix.values())


def _row(flip: PastFlip) -> str:
    columns = asdict(flip)
    # AT is a word of DuckDB's SQL.
    columns["flipped_at"] = columns.pop("at")
    return json.dumps(columns, separators=(",", ":"), sort_keys=True)


def read(
    connection: DuckDBPyConnection, files: Sequence[str], profile_ids: Collection[str], segment: str
) -> list[PastFlip]:
    """Return the flips of some profiles and one segment that stand in `files`, doubles included."""
    if not files:
        return []
    given = {"files": list(files), "profiles": sorted(profile_ids), "segment": segment}
    return [PastFlip(*row) for row in connection.execute(_READ_SQL, given).fetchall()]


def occasions(
    connection: DuckDBPyConnection, files: Sequence[str], ids: Iterable[str], erased: Mapping[str, Instant]
) -> dict[str, Occasion]:
    """Return the events of these ids that stand in `files` of events, less what is `erased` (ids, and up to when)."""
    if not files:
        return {}
    rows = connection.execute(_OCCASIONS_SQL, {"files": list(files), "ids": sorted(ids)}).fetchall()
    return {
        one: Occasion(type_, occurred_at)
        for one, type_, profile_id, occurred_at, received_at in rows
        if received_at >= erased.get(profile_id, 0)
    }
