# ruff: noqa: S608 - the queries are of our own text, and names that definitions give are quoted
"""Reads files of a bucket as columns of numbers: texts become hashes, and each different text is fetched once.

DuckDB's hash is the same for the same text as long as the process lives. Of 64 bits, two of a million texts are alike
once in thirty million times.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailtailor.events.archive import CORRECTED, PROPERTY_COLUMNS
from mailtailor.segments.columns.lookup import Numbers
from mailtailor.segments.columns.plan import Plan
from mailtailor.segments.features import CLICKED, DELIVERED, HITS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Instants = NDArray[np.int64]
Texts = dict[int, str | None]
"""Texts by their hash."""

_NO_COLUMNS: Final = ", ".join(
    ["NULL::UBIGINT AS profile_number", "NULL::UBIGINT AS id_number"]
    + [f"NULL::VARCHAR AS {column}" for column in PROPERTY_COLUMNS.values()]
)
_READ: Final = "FROM read_parquet($files, union_by_name = true, hive_partitioning = false, filename = true)"
_FILES: Final = f"(SELECT {_NO_COLUMNS} WHERE false UNION ALL BY NAME {_READ})"
_PERSON: Final = "coalesce(profile_number, md5_number_lower(profile_id))"
_WITH_MESSAGES: Final = frozenset({DELIVERED, *HITS})


@dataclass(frozen=True, slots=True)
class Rows:
    """What happened, a row an event, in no order.

    Attributes
    ----------
    person, id
        Numbers of the profile and the event; an id of 0 says that columns cannot tell what the row means.
    at
        When it happened.
    kind
        The hash of its type and of what filters decide by.
    message
        The hash of its message's key, which says nothing of events that have none; empty if no share is asked for.
    measured
        Hashes of what is measured of it, by the property.
    """

    person: Numbers
    id: Numbers
    at: Instants
    kind: Numbers
    message: Numbers
    measured: dict[str, Numbers]

    def __len__(self) -> int:
        return len(self.at)

    def only(self, which: NDArray[Any]) -> Rows:
        """Return some of the rows, by a mask or their places."""
        return replace(
            self,
            person=self.person[which],
            id=self.id[which],
            at=self.at[which],
            kind=self.kind[which],
            message=self.message[which] if len(self.message) else self.message,
            measured={key: column[which] for key, column in self.measured.items()},
        )


@dataclass(frozen=True, slots=True)
class Statements:
    """What people stated, a row an event.

    Attributes
    ----------
    person, id, at
        Numbers of the profile and the event, and when it happened.
    consent
        The hash of what was stated of consent.
    attributes
        Hashes of what was stated, by the attribute.
    readable
        Whether columns can tell what the attributes are.
    """

    person: Numbers
    id: Numbers
    at: Instants
    consent: Numbers
    attributes: dict[str, Numbers]
    readable: NDArray[np.bool_]

    def only(self, which: NDArray[Any]) -> Statements:
        """Return some of the rows, by a mask or their places."""
        return Statements(
            self.person[which],
            self.id[which],
            self.at[which],
            self.consent[which],
            {name: column[which] for name, column in self.attributes.items()},
            self.readable[which],
        )


@dataclass(frozen=True, slots=True)
class Correction:
    """What an `event_corrected` says: numbers of the person, itself, what it corrects, and whether it deletes that."""

    person: int
    id: int
    corrects: int
    deleted: bool


class Told(NamedTuple):
    """What filters decide by.

    Attributes
    ----------
    type
        Of the event.
    honeypot
        Whether it is a click on the link that nobody sees.
    message
        Whether it may be of a message: it has a campaign.
    readable
        Whether columns can tell the message.
    properties
        Those that filters ask for.
    """

    type: str
    honeypot: bool
    message: bool
    readable: bool
    properties: dict[str, Any]


class Reader:
    """Reads some files.

    Parameters
    ----------
    connection
        DuckDB; whoever uses it at the same time needs a cursor of its own.
    files
        Paths of the files, all that a bucket has.
    plan
        What is needed.
    part, parts
        Which of so many parts of the people to read.
    """

    def __init__(
        self, connection: DuckDBPyConnection, files: Sequence[str], plan: Plan, *, part: int = 0, parts: int = 1
    ) -> None:
        self._connection = connection
        self._files = list(files)
        self._plan = plan
        self._part = f"{_PERSON} % {parts} = {part}" if parts > 1 else "true"
        # Files of which every row has its columns are read several times as fast, for JSON is not looked at.
        mixed = {file for (file,) in self._fetch(f"SELECT DISTINCT filename FROM {_FILES} WHERE id_number IS NULL")}
        self._groups = [
            (some, has_columns)
            for has_columns in (True, False)
            if (some := [file for file in self._files if (file in mixed) != has_columns])
        ]

    def rows(self) -> Rows:
        """Return all rows of events that matter."""
        read = [self._rows(files, has_columns=has_columns) for files, has_columns in self._groups]
        if len(read) == 1:
            return read[0]

        def both(column: Callable[[Rows], NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate([column(one) for one in read])

        return Rows(
            both(lambda rows: rows.person),
            both(lambda rows: rows.id),
            both(lambda rows: rows.at),
            both(lambda rows: rows.kind),
            both(lambda rows: rows.message),
            {key: both(partial(_measured, key)) for key in self._plan.measured},
        )

    def _rows(self, files: list[str], *, has_columns: bool) -> Rows:
        property_ = partial(_property, has_columns=has_columns)
        measured = [f", hash({property_(key)}) AS measured_{number}" for number, key in enumerate(self._plan.measured)]
        message = f"hash({property_('campaign')}, coalesce({property_('instance')}, '\"\"'))"
        person, event = ("profile_number", "id_number") if has_columns else (_PERSON, _ID)
        kind = self._kind(has_columns=has_columns)
        found = self._numbers(
            f"""SELECT {person} AS person, {event} AS id, occurred_at AS at, {kind} AS kind
                {f", {message} AS message" if self._plan.messages else ""}{"".join(measured)}
            FROM {_FILES} WHERE {self._part} AND {_is_of(self._plan.types)}""",
            files,
        )
        return Rows(
            found["person"],
            found["id"],
            found["at"].astype("datetime64[ms]").astype(np.int64),
            found["kind"],
            found.get("message", np.zeros(0, np.uint64)),
            {key: found[f"measured_{number}"] for number, key in enumerate(self._plan.measured)},
        )

    def kinds(self) -> dict[int, Told]:
        """Return what filters decide by, by its hash."""
        told: dict[int, Told] = {}
        for files, has_columns in self._groups:
            columns = _kind_columns(self._plan, has_columns=has_columns)
            named = ", ".join(f"any_value({column}) AS column_{number}" for number, column in enumerate(columns))
            found = self._connection.execute(
                f"""SELECT {self._kind(has_columns=has_columns)} AS kind, {named}
                FROM {_FILES} WHERE {_is_of(self._plan.types)} GROUP BY 1""",
                {"files": files},
            ).fetchall()
            for kind, event_type, honeypot, message, readable, *texts in found:
                said = zip(self._plan.keys, texts, strict=True)
                properties = {key: json.loads(text) for key, text in said if text is not None}
                told[kind] = Told(event_type, bool(honeypot), bool(message), readable is not False, properties)
        return told

    def _kind(self, *, has_columns: bool) -> str:
        return f"hash({', '.join(_kind_columns(self._plan, has_columns=has_columns))})"

    def measured_texts(self, key: str) -> Texts:
        """Return what is measured of a property, as JSON."""
        column = _property(key)
        types = _is_of(self._plan.measured[key])
        found = self._fetch(f"SELECT DISTINCT hash({column}), {column} FROM {_FILES} WHERE {self._part} AND {types}")
        return dict(found)

    def statements(self) -> Statements:
        """Return all that was stated of consent, and of the attributes that matter."""
        names = self._plan.attributes
        stated = " OR attributes <> '{}'" if names else ""
        columns = "".join(f", {_hash(_attribute(name))} AS attribute_{n}" for n, name in enumerate(names))
        readable = "(attributes = '{}' OR json_valid(attributes))" if names else "true"
        found = self._numbers(
            f"""SELECT {_PERSON} AS person, coalesce(id_number, md5_number_lower(id)) AS id,
                epoch_ms(occurred_at) AS at, hash(consent) AS consent{columns}, {readable} AS readable
            FROM {_FILES} WHERE {self._part} AND (consent <> '{{}}'{stated})"""
        )
        attributes = {name: found[f"attribute_{number}"] for number, name in enumerate(names)}
        return Statements(found["person"], found["id"], found["at"], found["consent"], attributes, found["readable"])

    def consents(self) -> dict[int, Any]:
        """Return what was stated of consent, by its hash."""
        found = self._fetch(f"SELECT DISTINCT hash(consent), consent FROM {_FILES}")
        return {number: json.loads(text) for number, text in found}

    def attribute_texts(self, name: str) -> Texts:
        """Return what was stated of an attribute, as JSON."""
        column = _attribute(name)
        return dict(
            self._fetch(
                f"""SELECT DISTINCT hash({column}), {column} FROM {_FILES}
                WHERE {self._part} AND attributes <> '{{}}' AND {column} IS NOT NULL"""
            )
        )

    def corrections(self) -> list[Correction]:
        """Return what corrections say; one that names nothing says nothing."""
        found = self._fetch(
            f"""SELECT {_PERSON}, md5_number_lower(id), properties
            FROM {_FILES} WHERE {self._part} AND type = '{CORRECTED}'"""
        )
        said = ((person, own, json.loads(properties)) for person, own, properties in found)
        named = [(person, own, told, told.get("corrects")) for person, own, told in said]
        texts = sorted({corrects for _, _, _, corrects in named if isinstance(corrects, str) and _is_text(corrects)})
        numbers = dict(
            self._connection.execute(
                "SELECT text, md5_number_lower(text) FROM (SELECT unnest($texts::VARCHAR[]) AS text)", {"texts": texts}
            ).fetchall()
        )
        return [
            Correction(person, own, numbers[corrects], told.get("deleted") is True)
            for person, own, told, corrects in named
            if isinstance(corrects, str) and corrects in numbers
        ]

    def hits(self, people: Numbers) -> list[tuple[int, int, int, str, dict[str, Any]]]:
        """Return the opens and clicks of some people: numbers of person and event, when, type and properties."""
        found = self._fetch(
            f"""SELECT {_PERSON}, md5_number_lower(id), epoch_ms(occurred_at), type, properties
            FROM {_FILES} WHERE {_PERSON} IN (SELECT unnest($people::UBIGINT[])) AND {_is_of(HITS)}""",
            people=people.tolist(),
        )
        return [(*rest, json.loads(properties)) for *rest, properties in found]

    def ids(self, people: Numbers | None = None) -> dict[int, str]:
        """Return the ids of some people, or of all, by their numbers."""
        some = f"{_PERSON} IN (SELECT unnest($people::UBIGINT[]))" if people is not None else "true"
        given = {} if people is None else {"people": people.tolist()}
        return dict(
            self._fetch(f"SELECT DISTINCT {_PERSON}, profile_id FROM {_FILES} WHERE {self._part} AND {some}", **given)
        )

    def _numbers(self, query: str, files: list[str] | None = None) -> dict[str, NDArray[Any]]:
        return dict(self._connection.execute(query, {"files": files or self._files}).fetchnumpy())

    def _fetch(self, query: str, **given: object) -> list[Any]:
        return self._connection.execute(query, {"files": self._files, **given}).fetchall()


def _measured(key: str, rows: Rows) -> Numbers:
    return rows.measured[key]


def count(connection: DuckDBPyConnection, files: Sequence[str]) -> int:
    """Return how many rows files have."""
    found = connection.execute("SELECT count(*) FROM read_parquet($files)", {"files": list(files)}).fetchall()
    return int(found[0][0])


_ID: Final = "coalesce(id_number, CASE WHEN json_valid(properties) THEN md5_number_lower(id) ELSE 0 END)"


def _kind_columns(plan: Plan, *, has_columns: bool) -> list[str]:
    """Return the SQL of what filters decide by: as `Told`, the properties at last."""
    of_messages = _WITH_MESSAGES & {*plan.types}
    campaign, instance, position = (
        _property(name, has_columns=has_columns) if of_messages else "NULL::VARCHAR"
        for name in ("campaign", "instance", "position")
    )
    return [
        "type",
        f"(type = '{CLICKED}' AND {position} = '0')",
        f"left({campaign}, 1) = '\"'",
        # What is no text would need Python's way of writing it.
        f"left({instance}, 1) = '\"'",
        *(_property(key, has_columns=has_columns) for key in plan.keys),
    ]


def _property(key: str, *, has_columns: bool = False) -> str:
    """Return the SQL of a property as JSON, null if it is not there or columns cannot tell."""
    if has_columns and key in PROPERTY_COLUMNS:
        return PROPERTY_COLUMNS[key]
    if not _is_text(key):
        # Of such a name there is nothing but in rows that columns cannot tell.
        return "NULL::VARCHAR"
    extracted = _extracted("properties", key)
    return f"""CASE WHEN id_number IS NOT NULL THEN {PROPERTY_COLUMNS.get(key, extracted)}
        WHEN json_valid(properties) THEN {extracted} END"""


def _attribute(name: str) -> str:
    if not _is_text(name):
        return "NULL::VARCHAR"
    return f"CASE WHEN json_valid(attributes) THEN {_extracted('attributes', name)} END"


def _extracted(column: str, key: str) -> str:
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    return f"json_extract({column}, {_quoted(pointer)})::VARCHAR"


def _hash(column: str) -> str:
    return f"CASE WHEN {column} IS NULL THEN 0 ELSE hash({column}) END"


def _is_of(types: Collection[str]) -> str:
    return f"type IN ({', '.join(map(_quoted, sorted(types)))})" if types else "false"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _is_text(text: str) -> bool:
    """Return whether DuckDB can hold a text: half a surrogate pair it cannot."""
    return "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)
