"""What became of a campaign: counted from the archive's mail rows, exactly, when somebody asks.

Counters that are added to as events come count a repeated event twice, and cannot take back an open that turns out a
day later to be a machine's. Rows with ids can: each event counts once, at the least of its times, and as a machine's
if it says so itself or any correction names it.

What is unique is counted by message, which is campaign, instance and profile together: a person who opens two sends of
a repeated mailing opened two messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from mailtailor.instant import Instant, to_iso

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

By = Literal["link", "hour"]

# Thousands of small files cost more to open than to count, so each is read once, for all questions.
_READ_SQL: Final = """\
CREATE TEMP TABLE mail AS
SELECT id, type, profile_id || instance AS message, position, url, occurred_at, machine, corrects
FROM read_parquet($files, hive_partitioning = false)
WHERE campaign = $campaign OR type = 'event_corrected'
"""

_EVENTS_SQL: Final = """\
CREATE TEMP TABLE events AS
SELECT occurred_at, message, position, url,
       type = 'email_delivered' AS delivered,
       type = 'email_opened' AS opened,
       type = 'email_link_clicked' AS clicked,
       -- Nobody sees the link of position 0.
       machine OR coalesce(position = 0, false) OR id IN (SELECT corrects FROM mail) AS machine
FROM (
    SELECT id, min(occurred_at) AS occurred_at, bool_or(machine <> '') AS machine, any_value(type) AS type,
           any_value(message) AS message, any_value(position) AS position, any_value(url) AS url
    FROM mail
    WHERE type <> 'event_corrected'
    GROUP BY id
)
WHERE occurred_at >= make_timestamp_ms($since)
"""

_COUNTS_SQL: Final = """\
       count(DISTINCT message) FILTER (delivered),
       count(*) FILTER (opened AND NOT machine), count(DISTINCT message) FILTER (opened AND NOT machine),
       count(*) FILTER (opened AND machine), count(DISTINCT message) FILTER (opened AND machine),
       count(*) FILTER (clicked AND NOT machine), count(DISTINCT message) FILTER (clicked AND NOT machine),
       count(*) FILTER (clicked AND machine), count(DISTINCT message) FILTER (clicked AND machine)
FROM events
"""

_TOTALS_SQL: Final = f"SELECT {_COUNTS_SQL}"

_BY_HOUR_SQL: Final = f"""\
SELECT epoch_ms(date_trunc('hour', occurred_at)) AS hour, {_COUNTS_SQL}
GROUP BY hour ORDER BY hour
"""

# An ESP may report a click with the link's address alone.
_BY_LINK_SQL: Final = f"""\
SELECT position, max(url) AS address, {_COUNTS_SQL}
WHERE clicked
GROUP BY position, CASE WHEN position IS NULL THEN url END
ORDER BY position NULLS LAST, address
"""

_CAMPAIGNS_SQL: Final = """\
SELECT campaign, epoch_ms(min(occurred_at)), epoch_ms(max(occurred_at)), count(*)
FROM (
    SELECT campaign, id, min(occurred_at) AS occurred_at
    FROM read_parquet($files, hive_partitioning = false)
    WHERE type <> 'event_corrected'
    GROUP BY campaign, id
)
WHERE occurred_at >= make_timestamp_ms($since)
GROUP BY campaign ORDER BY max(occurred_at) DESC, campaign
LIMIT $most
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of deliveries, opens and clicks.

    `delivered` and everything unique are messages, the rest are events.
    """

    delivered: int = 0
    human_opens: int = 0
    human_unique_opens: int = 0
    machine_opens: int = 0
    machine_unique_opens: int = 0
    human_clicks: int = 0
    human_unique_clicks: int = 0
    machine_clicks: int = 0
    machine_unique_clicks: int = 0

    @property
    def open_rate(self) -> float | None:
        """Messages that a person opened, of those delivered; None if none was."""
        return _share(self.human_unique_opens, self.delivered)

    @property
    def click_rate(self) -> float | None:
        """Messages in which a person clicked, of those delivered; None if none was."""
        return _share(self.human_unique_clicks, self.delivered)

    @property
    def click_to_open_rate(self) -> float | None:
        """Messages in which a person clicked, of those a person opened; None if none was."""
        return _share(self.human_unique_clicks, self.human_unique_opens)

    def payload(self) -> dict[str, int | float | None]:
        """Return numbers and rates as JSON carries them."""
        return {
            **asdict(self),
            "open_rate": self.open_rate,
            "click_rate": self.click_rate,
            "click_to_open_rate": self.click_to_open_rate,
        }


@dataclass(frozen=True, slots=True)
class LinkRow:
    """The clicks on one link; an ESP that knows no positions leaves the address to tell links apart."""

    position: int | None
    url: str
    counts: Counts

    def payload(self) -> dict[str, Any]:
        """Return the row as JSON carries it."""
        clicks = {name: number for name, number in asdict(self.counts).items() if name.endswith("_clicks")}
        return {"position": self.position, "url": self.url, **clicks}


@dataclass(frozen=True, slots=True)
class HourRow:
    """What happened in the hour that began at `hour`, UTC; a message opened in two hours is unique in both."""

    hour: Instant
    counts: Counts

    def payload(self) -> dict[str, Any]:
        """Return the row as JSON carries it."""
        return {"hour": to_iso(self.hour), **asdict(self.counts)}


@dataclass(frozen=True, slots=True)
class Report:
    """A campaign's counts, as a whole and in rows."""

    totals: Counts
    rows: tuple[LinkRow | HourRow, ...]


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign that something happened to: when first and last, and how many events."""

    name: str
    first: Instant
    last: Instant
    events: int

    def payload(self) -> dict[str, Any]:
        """Return the campaign as JSON carries it."""
        return {"campaign": self.name, "first": to_iso(self.first), "last": to_iso(self.last), "events": self.events}


def counts(
    connection: DuckDBPyConnection, files: Sequence[str], campaign: str, *, since: Instant = 0, by: By = "link"
) -> Report:
    """Count what happened to a campaign at or after `since`.

    Parameters
    ----------
    connection, files
        DuckDB, and the mail files to read: all that were received since then.
    campaign, since, by
        What to count, and by what to divide it.
    """
    if not files:
        return Report(Counts(), ())
    # The tables live and die with the cursor.
    with connection.cursor() as cursor:
        cursor.execute(_READ_SQL, {"files": list(files), "campaign": campaign})
        cursor.execute(_EVENTS_SQL, {"since": since})
        (totals,) = cursor.execute(_TOTALS_SQL).fetchall()
        found = cursor.execute(_BY_LINK_SQL if by == "link" else _BY_HOUR_SQL).fetchall()
    rows: tuple[LinkRow | HourRow, ...]
    if by == "link":
        rows = tuple(LinkRow(position, url, Counts(*numbers)) for position, url, *numbers in found)
    else:
        rows = tuple(HourRow(hour, Counts(*numbers)) for hour, *numbers in found)
    return Report(Counts(*totals), rows)


def campaigns(
    connection: DuckDBPyConnection, files: Sequence[str], *, since: Instant = 0, most: int = 100
) -> list[Campaign]:
    """Return the campaigns that something happened to at or after `since`, the latest first."""
    if not files:
        return []
    given = {"files": list(files), "since": since, "most": most}
    return [Campaign(*row) for row in connection.execute(_CAMPAIGNS_SQL, given).fetchall()]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
