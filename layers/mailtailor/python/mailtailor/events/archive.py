"""The archive: every accepted event, as Parquet that DuckDB, Athena and Spark read as it is.

One file is `events/received=2026-11-24/bucket=07/<hash>.parquet`. The day is that of receipt, so that an import of
years makes few files and a day once past is complete; the bucket is a hash of the profile's id, so that all events of
a profile are found in a sixteenth of the data. The file is named by its content: a batch that comes again overwrites
what it wrote. A batch that comes again in other company makes doubles, which readers remove (`READ_SQL`).

| column | type | meaning |
|---|---|---|
| id | VARCHAR | of the event; repeated events share it |
| type, source, profile_id | VARCHAR | as in `Event` |
| occurred_at, received_at | TIMESTAMP_MS | UTC |
| properties, attributes, consent | VARCHAR | JSON objects |
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from mailtailor.events.event import Event
from mailtailor.instant import to_datetime

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BUCKETS: Final = 16

READ_SQL: Final = """\
SELECT id, type, source, profile_id, occurred_at, received_at, properties, attributes, consent
FROM read_parquet($files, hive_partitioning = true)
QUALIFY row_number() OVER (PARTITION BY id ORDER BY occurred_at, received_at) = 1
"""
"""Each event once; of doubles the one that occurred first, as profiles count them. `$files` is a pattern of paths."""

_WRITE_SQL: Final = """\
COPY (
    SELECT id, type, source, profile_id,
           make_timestamp_ms(occurred_at)::TIMESTAMP_MS AS occurred_at,
           make_timestamp_ms(received_at)::TIMESTAMP_MS AS received_at,
           properties, attributes, consent
    FROM read_json($rows, format = 'newline_delimited', columns = {
        id: 'VARCHAR', type: 'VARCHAR', source: 'VARCHAR', profile_id: 'VARCHAR', occurred_at: 'BIGINT',
        received_at: 'BIGINT', properties: 'VARCHAR', attributes: 'VARCHAR', consent: 'VARCHAR'})
    ORDER BY profile_id, occurred_at, id
) TO '%s' (FORMAT parquet, COMPRESSION zstd)
"""


@dataclass(slots=True)
class Part:
    """The events of a batch that belong into one file, with the messages that brought them.

    Parameters
    ----------
    prefix
        The folder.
    rows
        The events, each as a line of JSON; a repeated one is there once.
    messages
        Ids of the messages that are done only when this file is stored.
    """

    prefix: str
    rows: set[str] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)

    @property
    def key(self) -> str:
        """The file's name.

        It depends on every column, not on the ids alone: the same id may come with an earlier time, which must not
        take the place of the file with the later one, nor the other way round.
        """
        return f"{self.prefix}/{hashlib.sha256(self._text().encode()).hexdigest()[:32]}.parquet"

    def parquet(self, connection: DuckDBPyConnection) -> bytes:
        """Return the file."""
        with tempfile.TemporaryDirectory() as folder:
            rows, file = Path(folder) / "rows.json", Path(folder) / "rows.parquet"
            rows.write_text(self._text())
            # COPY takes no parameter for its target; the folder's name is our own.
            connection.execute(_WRITE_SQL % file, {"rows": str(rows)})
            return file.read_bytes()

    def _text(self) -> str:
        return "".join(f"{row}\n" for row in sorted(self.rows))


def connect(*, memory: str, threads: int, folder: Path) -> DuckDBPyConnection:
    """Return a DuckDB that stays within `memory` and `folder` and never fetches an extension."""
    return duckdb.connect(
        ":memory:",
        config={
            "memory_limit": memory,
            "threads": threads,
            "temp_directory": str(folder),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )


def bucket(profile_id: str) -> int:
    """Return in which of the buckets a profile's events are."""
    return hashlib.blake2b(profile_id.encode(), digest_size=1).digest()[0] % BUCKETS


def prefix(event: Event) -> str:
    """Return the folder of an event's file.

    Raises
    ------
    ValueError
        If the event names no profile, or a time beyond the year 9999.
    """
    if event.profile_id is None:
        raise ValueError("an archived event names its profile")
    try:
        day = to_datetime(event.received_at).date()
    except (OverflowError, OSError) as error:
        raise ValueError("received_at is no time") from error
    return f"events/received={day.isoformat()}/bucket={bucket(event.profile_id):02}"


def parts(batch: Mapping[str, Iterable[Event]]) -> list[Part]:
    """Return the files to write for a batch of messages, given by message id.

    Raises
    ------
    ValueError
        If an event belongs nowhere; see `prefix`.
    """
    by_prefix: dict[str, Part] = {}
    for message, events in batch.items():
        for event in events:
            where = prefix(event)
            part = by_prefix.setdefault(where, Part(where))
            part.rows.add(_row(event))
            part.messages.add(message)
    return list(by_prefix.values())


def _row(event: Event) -> str:
    return _compact(
        {
            "id": event.id,
            "type": event.type,
            "source": event.source,
            "profile_id": event.profile_id,
            "occurred_at": event.occurred_at,
            "received_at": event.received_at,
            "properties": _compact(event.properties),
            "attributes": _compact(event.attributes),
            "consent": _compact({str(purpose): granted for purpose, granted in event.consent.items()}),
        }
    )


def _compact(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
