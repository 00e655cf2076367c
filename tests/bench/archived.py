"""An archive of a population, in files as the system leaves them: each day and bucket joined into one.

A person's first row identifies them and states what they allow, so all that segments look at is in the archive. What
happens to nobody known, and what came late or twice, is there as it came.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mailtailor.events import archive, joining
from tests.bench.population import START, write

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

AT_ONCE: Final = 25_000
"""People made together."""
_TEXTS: Final = ("campaign", "category", "coupon", "currency", "payment_method", "product_id")
_OTHERS: Final = ("position", "price", "quantity", "total")
_QUOTED: Final = {name: f"""'"' || {name} || '"'""" for name in _TEXTS}
_WRITTEN: Final = {
    **_QUOTED,
    **{name: f"{name}::VARCHAR" for name in _OTHERS},
    "machine": "CASE WHEN machine THEN 'true' END",
    "products": "to_json(products)::VARCHAR",
}
_PROPERTIES: Final = ", ".join(f"""'"{name}":' || {value}""" for name, value in sorted(_WRITTEN.items()))
"""As `archive` writes them: the names in their order, without spaces."""

_ROWS: Final = f"""
COPY (
    WITH told AS (
        SELECT id, type, lpad(person::VARCHAR, 22, '0') AS profile_id, occurred_at, received_at,
            '{{' || array_to_string(list_filter([{_PROPERTIES}], lambda one: one IS NOT NULL), ',') || '}}'
                AS properties,
            '{{}}' AS attributes, '{{}}' AS consent,
            CASE WHEN type LIKE 'email_delivered' OR type LIKE 'email_bounced' THEN 'legitimate_interests'
                 WHEN type LIKE 'order_%' THEN 'contract' ELSE 'consent' END AS basis
        FROM '$folder/events.parquet'
        UNION ALL BY NAME
        SELECT md5('identified ' || person)::UUID::VARCHAR AS id, 'identified' AS type,
            lpad(person::VARCHAR, 22, '0') AS profile_id, {START} + person % 3600000 AS occurred_at,
            occurred_at + 40 AS received_at, '{{}}' AS properties,
            '{{"birthday":"' || birthday || '","country":"' || country || '","plan":"' || plan || '"}}' AS attributes,
            '{{"personalization":true,"tracking":true}}' AS consent, 'legitimate_interests' AS basis
        FROM '$folder/people.parquet'
    )
    SELECT id, type, 'bench' AS source, profile_id, make_timestamp_ms(occurred_at)::TIMESTAMP_MS AS occurred_at,
        make_timestamp_ms(received_at)::TIMESTAMP_MS AS received_at, properties, attributes, consent,
        '{{}}' AS context, basis, 1 AS version,
        strftime(make_timestamp_ms(received_at), '%Y-%m-%d') AS received, bucket
    FROM told JOIN buckets USING (profile_id)
    ORDER BY received, bucket, profile_id, occurred_at, id
) TO '$target' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (received, bucket), OVERWRITE_OR_IGNORE)
"""


def write_archive(people: int, folder: Path, told: Callable[[int], None] = lambda _: None) -> list[str]:
    """Write the joined files of so many people, unless they are there, and return their paths.

    Parameters
    ----------
    told
        Called with how many people are done.
    """
    done = folder / f"archive-{people}"
    if not done.exists():
        parts = folder / f"parts-{people}"
        for first in range(0, people, AT_ONCE):
            write_part(first, min(AT_ONCE, people - first), folder, parts / f"{first:09}")
            told(first)
        join(parts, folder / "unfinished")
        (folder / "unfinished").rename(done)
        shutil.rmtree(parts)
    return sorted(str(path) for path in done.glob("*/*/*.parquet"))


def write_part(first: int, people: int, folder: Path, target: Path) -> None:
    """Write the files of some people, as they come; beside them lie what `population.write` writes."""
    if target.exists():
        return
    write(people, folder, first=first)
    connection = archive.connect(memory="4GiB", threads=2, folder=folder / "duckdb")
    connection.execute("SET enable_progress_bar = false")
    ids = [f"{number:022}" for number in range(first, first + people)]
    connection.execute("CREATE TABLE buckets (profile_id VARCHAR, bucket VARCHAR)")
    connection.execute(
        "INSERT INTO buckets SELECT unnest($ids), unnest($buckets)",
        {"ids": ids, "buckets": [f"{archive.bucket(one):02}" for one in ids]},
    )
    unfinished = target.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    connection.execute(_ROWS.replace("$folder", str(folder)).replace("$target", str(unfinished)))
    connection.close()
    unfinished.rename(target)


def join(parts: Path, target: Path) -> None:
    """Join the files of each day and bucket."""
    connection = archive.connect(memory="2GiB", threads=2, folder=target / "duckdb")
    folders: dict[str, list[str]] = {}
    for path in sorted(parts.glob("*/*/*/*.parquet")):
        folders.setdefault(str(path.parent.relative_to(path.parents[3] / path.parents[2].name)), []).append(str(path))
    for name, files in folders.items():
        _join(connection, name, files, target / name)


def _join(connection: DuckDBPyConnection, name: str, files: list[str], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    joining.join(connection, files, target / "joined-000001.parquet", folder=f"{archive.EVENTS}{name}/", erasures=())
