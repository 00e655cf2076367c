"""What it takes to evaluate everybody from the archive: truth and next turn by columns, beside truth alone in SQL.

Both read the files that the system itself leaves, each day and bucket joined into one, in one run and on two threads.
`python -m tests.bench.everybody 1000000 FOLDER` does it for a million people, whose files stay in the folder; making
these takes a quarter of an hour and 4 GB of memory.
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailtailor.events import archive
from mailtailor.profiles.estimate import estimate
from mailtailor.segments.files import load_segments
from tests.bench.archived import write_archive
from tests.bench.population import CATEGORIES, END
from tests.demonstration import SEGMENTS

_CATEGORIES: Final = ", ".join(f"'\"{one}\"'" for one in CATEGORIES)
_FILES: Final = "read_parquet($files, union_by_name = true, hive_partitioning = false)"
_AT: Final = f"make_timestamp_ms({END})"
_TRUTH_SQL: Final = {
    "browse_abandoners": f"""
        SELECT count(*) FROM (
            SELECT profile_number FROM {_FILES} WHERE occurred_at > {_AT} - INTERVAL 48 HOURS GROUP BY ALL
            HAVING bool_or(type IN ('product_viewed', 'email_link_clicked') AND property_category IN ({_CATEGORIES})
                AND property_machine IS NULL)
            AND NOT bool_or(type IN ('product_added', 'order_completed')))""",
    "browse_abandoners_sql": f"""
        SELECT count(*) FROM (
            SELECT profile_number FROM {_FILES}
            WHERE type IN ('product_viewed', 'email_link_clicked', 'order_completed') GROUP BY ALL
            HAVING max(occurred_at) FILTER (type <> 'order_completed' AND property_category = '"Lighting"'
                AND property_machine IS NULL) <= {_AT} - INTERVAL 2 DAYS
            AND coalesce(max(occurred_at) FILTER (type = 'order_completed') <= {_AT} - INTERVAL 7 DAYS, true))""",
    "high_engagement": f"""
        WITH clickers AS (
            SELECT profile_number FROM {_FILES}
            WHERE type = 'email_link_clicked' AND occurred_at > {_AT} - INTERVAL 30 DAYS AND property_machine IS NULL
            GROUP BY ALL HAVING count(DISTINCT id_number) >= 3
        ), messages AS (
            SELECT profile_number, max(occurred_at) FILTER (type = 'email_delivered') AS delivered,
                max(occurred_at) FILTER (type = 'email_opened') AS opened
            FROM {_FILES} SEMI JOIN clickers USING (profile_number)
            WHERE type IN ('email_delivered', 'email_opened') AND property_machine IS NULL
            GROUP BY profile_number, property_campaign, property_instance
        )
        SELECT count(*) FROM (
            SELECT profile_number FROM messages WHERE delivered > {_AT} - INTERVAL 30 DAYS GROUP BY ALL
            HAVING avg((coalesce(opened >= delivered - INTERVAL 1 DAY, false))::INTEGER) >= 0.7)""",
    "recent_purchasers": f"""
        SELECT count(DISTINCT profile_number) FROM {_FILES}
        WHERE type = 'order_completed' AND occurred_at > {_AT} - INTERVAL 7 DAYS""",
}
"""What the repository's segments say, written by hand for the columns of joined files."""


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes
    ----------
    people, events
        Of the archive.
    seconds, work
        That columns take for truth and next turn of all segments: by the clock, and of all cores together. On a machine
        that others use as well, half the latter is what two cores of one's own would take.
    by_sql, sql_work
        That DuckDB takes for the truth of each segment alone, together.
    """

    people: int
    events: int
    seconds: float
    work: float
    by_sql: float
    sql_work: float


def measure(people: int, folder: Path) -> Measured:
    """Return what so many people take; raise `AssertionError` if columns and SQL count other members."""
    files = write_archive(people, folder)
    connection = archive.connect(memory="1GiB", threads=2, folder=folder / "duckdb")
    connection.execute("SET enable_progress_bar = false")
    started = _Watch()
    estimated = estimate(connection, files, load_segments(SEGMENTS), END)
    by_columns = started.stopped()
    started = _Watch()
    members = {name: connection.execute(sql, {"files": files}).fetchall()[0][0] for name, sql in _TRUTH_SQL.items()}
    by_sql = started.stopped()
    known = {name: one.members for name, one in estimated.segments.items()}
    if members != known:
        raise AssertionError(f"SQL counts {members}, columns {known}")
    return Measured(estimated.people, estimated.events, *by_columns, *by_sql)


class _Watch:
    def __init__(self) -> None:
        self._clock, self._work = time.perf_counter(), time.process_time()

    def stopped(self) -> tuple[float, float]:
        """Return the seconds since then, by the clock and of all cores."""
        return time.perf_counter() - self._clock, time.process_time() - self._work


if __name__ == "__main__":
    measured = measure(int(sys.argv[1]), Path(sys.argv[2]))
    print(measured, f"{measured.work / measured.sql_work:.1f} x the work of SQL")  # noqa: T201 - the answer
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")  # noqa: T201
