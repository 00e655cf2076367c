"""The archive: every accepted event, as Parquet that DuckDB, Athena and Spark read as it is.

One file is `events/received=2026-11-24/bucket=07/<hash>.parquet`. The day is that of receipt, so that an import of
years makes few files and a day once past is complete; the bucket is a hash of the profile's id, so that all events of
a profile are found in a sixteenth of the data. The file is named by its content: a batch that comes again overwrites
what it wrote. A batch that comes again in other company makes doubles, which readers remove (`READ_SQL`). Of a day that
is over the files are joined (`joining`); then the name begins with `joined-`.

| column | type | meaning |
|---|---|---|
| id | VARCHAR | of the event; repeated events share it |
| type, source, profile_id | VARCHAR | as in `Event` |
| occurred_at, received_at | TIMESTAMP_MS | UTC |
| properties, attributes, consent | VARCHAR | JSON objects |
| context | VARCHAR | JSON object; older files lack it, which means an empty one |
| basis | VARCHAR | why it may be kept, empty if nobody said; older files lack it, which means empty |
| version | INTEGER | of the event's form; older files lack it, which means 1 |
| profile_number, id_number | UBIGINT | the lower halves of the MD5 of profile_id and id; see below |
| property_campaign, ... (`PROPERTY_COLUMNS`) | VARCHAR | that property as JSON, null if it is not there; see below |

The last ones are for reading many people at once: they say nothing new, and joined files alone have them (`joining`). A
row without `id_number` has no properties of its own columns: it comes from another file, or its properties are long, or
no JSON to DuckDB, as half a surrogate pair is not. Another property would need another such sign.

A column is only ever added, with a meaning for files that lack it; `READ_SQL` and `read` give it to their readers. One
that changes its meaning gets a new name.

What happens to mails is there a second time, narrow, for counting (`mail_counts`):
`mail/received=2026-11-24/hour=13/<hash>.parquet`, the hour being that of receipt in UTC.

| column | type | meaning |
|---|---|---|
| id, type, profile_id | VARCHAR | as above; type is one of `MAIL_TYPES` |
| campaign, instance | VARCHAR | of the message; may be empty |
| position, url | INTEGER, VARCHAR | of a clicked link; null and empty if not known |
| occurred_at | TIMESTAMP_MS | UTC |
| machine | VARCHAR | the reason why no person did it; empty for a person |
| corrects | VARCHAR | the id of the event that an `event_corrected` is about, else empty |

Beside them are the flips that followed from events (`flip_files`) and what blocks showed (`decision_files`), in folders
of the same form.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from mailtailor.consent.policy import Basis
from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR, Instant, from_datetime, to_datetime

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DECISIONS: Final = "decisions/"
EVENTS: Final = "events/"
FLIPS: Final = "flips/"
MAIL: Final = "mail/"
DATASETS: Final = (DECISIONS, EVENTS, FLIPS, MAIL)
"""The folders of all kinds of rows, in the order of their names."""
BUCKETS: Final = 16
CORRECTED: Final = "event_corrected"
MAIL_TYPES: Final = frozenset({"email_delivered", "email_opened", "email_link_clicked", CORRECTED})
MAX_POSITION: Final = (1 << 31) - 1

_FOLDER: Final = re.compile(
    r"(?P<kind>decisions|events|flips|mail)/received=(?P<day>\d{4}-\d\d-\d\d)/"
    r"(?:bucket=(?P<bucket>\d\d)|hour=(?P<hour>[01]\d|2[0-3]))/",
    re.ASCII,
)

PROPERTY_COLUMNS: Final = {
    name: f"property_{name}" for name in ("campaign", "category", "instance", "machine", "position", "product_id")
}
"""Columns by the property that each holds: what nearly all rows are looked at for when everybody is evaluated."""

COLUMNS: Final = (
    "id, type, source, profile_id, occurred_at, received_at, properties, attributes, consent, context, basis, version"
)
"""The columns that say what happened."""

FORM_SQL: Final = """\
SELECT NULL::VARCHAR AS context, NULL::VARCHAR AS basis, NULL::INTEGER AS version WHERE false
UNION ALL BY NAME
"""
"""Put before a `FROM read_parquet(…, union_by_name = true)`, it gives the columns that all of its files may lack."""

FIRST_SQL: Final = """\
QUALIFY row_number() OVER (
    PARTITION BY id
    ORDER BY occurred_at, received_at, profile_id, type, source, properties, attributes, consent, context, basis
) = 1
"""
"""Each event once; of doubles the one that occurred first, as profiles count them. The other columns only decide
between rows of the same times, so that every reader takes the same one."""

READ_SQL: Final = f"""\
SELECT id, type, source, profile_id, occurred_at, received_at, properties, attributes, consent,
       coalesce(context, '{{}}') AS context, coalesce(basis, '') AS basis, coalesce(version, 1) AS version
FROM ({FORM_SQL}FROM read_parquet($files, union_by_name = true, hive_partitioning = true))
{FIRST_SQL}"""  # noqa: S608 - of our own text
"""Each event once, in the form of today. `$files` is a pattern of paths, or a list of them."""

_OF_PROFILES_SQL: Final = f"""\
SELECT id, type, source, profile_id, epoch_ms(occurred_at), epoch_ms(received_at), properties, attributes, consent,
       coalesce(context, '{{}}'), coalesce(basis, ''), coalesce(version, 1)
FROM ({FORM_SQL}FROM read_parquet($files, union_by_name = true, hive_partitioning = false))
WHERE list_contains($profiles, profile_id)
"""  # noqa: S608 - of our own text

_WRITE_EVENTS_SQL: Final = """\
COPY (
    SELECT id, type, source, profile_id,
           make_timestamp_ms(occurred_at)::TIMESTAMP_MS AS occurred_at,
           make_timestamp_ms(received_at)::TIMESTAMP_MS AS received_at,
           properties, attributes, consent, context, basis, version
    FROM read_json($rows, format = 'newline_delimited', columns = {
        id: 'VARCHAR', type: 'VARCHAR', source: 'VARCHAR', profile_id: 'VARCHAR', occurred_at: 'BIGINT',
        received_at: 'BIGINT', properties: 'VARCHAR', attributes: 'VARCHAR', consent: 'VARCHAR', context: 'VARCHAR',
        basis: 'VARCHAR', version: 'INTEGER'})
    ORDER BY profile_id, occurred_at, id
) TO '%s' (FORMAT parquet, COMPRESSION zstd)
"""

_WRITE_MAIL_SQL: Final = """\
COPY (
    SELECT id, type, profile_id, campaign, instance, position, url,
           make_timestamp_ms(occurred_at)::TIMESTAMP_MS AS occurred_at, machine, corrects
    FROM read_json($rows, format = 'newline_delimited', columns = {
        id: 'VARCHAR', type: 'VARCHAR', profile_id: 'VARCHAR', campaign: 'VARCHAR', instance: 'VARCHAR',
        position: 'INTEGER', url: 'VARCHAR', occurred_at: 'BIGINT', machine: 'VARCHAR', corrects: 'VARCHAR'})
    ORDER BY campaign, occurred_at, id
) TO '%s' (FORMAT parquet, COMPRESSION zstd)
"""


@dataclass(slots=True)
class Part:
    """What of a batch belongs into one file, with the messages that brought it.

    Parameters
    ----------
    prefix
        The folder.
    write
        The statement that makes the file, `%s`, of the rows in the file `$rows`.
    rows
        Each as a line of JSON; a repeated one is there once.
    messages
        Ids of the messages that are done only when this file is stored.
    """

    prefix: str
    write: str = _WRITE_EVENTS_SQL
    rows: set[str] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)

    @property
    def mail(self) -> bool:
        """Whether these are the narrow rows of mail events."""
        return self.prefix.startswith(MAIL)

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
            connection.execute(self.write % file, {"rows": str(rows)})
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
    return f"{EVENTS}received={day.isoformat()}/bucket={bucket(event.profile_id):02}"


def bucket_folders(days: Iterable[str], profile_ids: Iterable[str]) -> list[str]:
    """Return the folders, each with its slash, that hold all events of some profiles received on `days`.

    Parameters
    ----------
    days
        Folders of days, each with its slash.
    profile_ids
        The profiles.
    """
    buckets = sorted({bucket(profile_id) for profile_id in profile_ids})
    return [f"{day}bucket={number:02}/" for day in days for number in buckets]


def day_folder(received_at: Instant) -> str:
    """Return the folder, with its slash, of all events received that day."""
    return f"{EVENTS}received={to_datetime(received_at).date().isoformat()}/"


def read(connection: DuckDBPyConnection, files: Sequence[str], profile_ids: Iterable[str]) -> list[Event]:
    """Return the events of some profiles that stand in `files`, doubles included."""
    if not files:
        return []
    found = connection.execute(_OF_PROFILES_SQL, {"files": list(files), "profiles": list(profile_ids)})
    return [_event(*row) for row in found.fetchall()]


def _event(  # noqa: PLR0917 - a row's columns, in their order
    id_: str,
    type_: str,
    source: str,
    profile_id: str,
    occurred_at: Instant,
    received_at: Instant,
    properties: str,
    attributes: str,
    consent: str,
    context: str,
    basis: str,
    version: int,
) -> Event:
    return Event.model_validate(
        {
            "version": version,
            "id": id_,
            "type": type_,
            "source": source,
            "profile_id": profile_id,
            "occurred_at": occurred_at,
            "received_at": received_at,
            "properties": json.loads(properties),
            "attributes": json.loads(attributes),
            "consent": json.loads(consent),
            "context": json.loads(context),
            "basis": Basis(basis) if basis else None,
        }
    )


def once_each(events: Iterable[Event]) -> list[Event]:
    """Return each event once, of doubles the one that occurred first, in order of their time; as `READ_SQL` does."""
    first: dict[str, Event] = {}
    for event in sorted(events, key=_order):
        first.setdefault(event.id, event)
    return list(first.values())


def _order(event: Event) -> tuple[Instant | str, ...]:
    """Return what puts events in the order of `FIRST_SQL`; ids stand where they part events of different ids alone."""
    return (
        event.occurred_at,
        event.received_at,
        event.id,
        event.profile_id or "",
        event.type,
        event.source,
        _compact(event.properties),
        _compact(event.attributes),
        _compact({str(purpose): granted for purpose, granted in event.consent.items()}),
        _compact(event.context),
        event.basis or "",
    )


def mail_day(received_at: Instant) -> str:
    """Return the folder, with its slash, of the narrow rows of all that was received that day."""
    return f"{MAIL}received={to_datetime(received_at).date().isoformat()}/"


def mail_prefix(received_at: Instant) -> str:
    """Return the folder of the narrow rows of what was received then."""
    return f"{mail_day(received_at)}hour={to_datetime(received_at).hour:02}"


def span(folder: str) -> tuple[Instant, Instant]:
    """Return when what is in a file's folder was received: from, and up to but without.

    Raises
    ------
    ValueError
        If the folder is not one of the archive's.
    """
    match = _FOLDER.fullmatch(folder)
    if not match or (match["hour"] is None) == (match["kind"] == "mail"):
        raise ValueError(f"not a folder of the archive: {folder}")
    day = from_datetime(datetime.fromisoformat(match["day"]).replace(tzinfo=UTC))
    if match["hour"] is None:
        return day, day + DAY
    start = day + int(match["hour"]) * HOUR
    return start, start + HOUR


def parts(batch: Mapping[str, Iterable[Event]]) -> list[Part]:
    """Return the files to write for a batch of messages, given by message id.

    A mail event is in two of them.

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
            if row := _mail_row(event):
                where = mail_prefix(event.received_at)
                part = by_prefix.setdefault(where, Part(where, _WRITE_MAIL_SQL))
                part.rows.add(row)
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
            "context": _compact(event.context),
            "basis": event.basis or "",
            "version": event.version,
        }
    )


def _mail_row(event: Event) -> str:
    """Return what counting needs of a mail event; empty if it is none, or of no campaign."""
    campaign, corrects = _text(event, "campaign"), _text(event, "corrects")
    if event.type not in MAIL_TYPES or not (corrects if event.type == CORRECTED else campaign):
        return ""
    position = event.properties.get("position")
    known = isinstance(position, int) and not isinstance(position, bool) and 0 <= position <= MAX_POSITION
    clicked = event.type == "email_link_clicked"
    return _compact(
        {
            "id": event.id,
            "type": event.type,
            "profile_id": event.profile_id,
            "campaign": campaign,
            "instance": _text(event, "instance"),
            "position": position if known and clicked else None,
            "url": _text(event, "url") if clicked else "",
            "occurred_at": event.occurred_at,
            "machine": _text(event, "machine"),
            "corrects": corrects if event.type == CORRECTED else "",
        }
    )


def _text(event: Event, name: str) -> str:
    value = event.properties.get(name)
    # Half a surrogate pair may stand in JSON from outside, and would make the whole file unwritable.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _compact(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
