"""Rules over calendar days: how many days ahead a date, or its yearly return, is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from mailtailor.instant import FOREVER, Instant, from_datetime, to_datetime
from mailtailor.segments.verdict import NEVER, Verdict

_DAY: Final = timedelta(days=1)
_DATE: Final = re.compile(r"^\d{4}-\d{2}-\d{2}")


def days_ahead(value: Any, *, yearly: bool, days: tuple[int, int], zone: ZoneInfo, now: Instant) -> Verdict:  # noqa: ANN401
    """Return whether a date is between two numbers of days ahead, by the calendar of a zone, and until when.

    Parameters
    ----------
    value
        The date: an ISO 8601 date, or time, of which the zone tells the date. Anything else is never ahead.
    yearly
        Whether it returns every year.
    """
    day = _date(value, zone)
    if day is None:
        return NEVER
    today = to_datetime(now).astimezone(zone).date()
    for first, last in _spans(day, yearly=yearly, days=days, about=today.year):
        if last < today:
            continue
        if first <= today:
            return True, _midnight(last, zone, days=1)
        return False, _midnight(first, zone)
    return NEVER


def zone_named(name: Any, otherwise: ZoneInfo) -> ZoneInfo:  # noqa: ANN401 - an attribute
    """Return the time zone of a name that may be anything."""
    return _zone(name) or otherwise if isinstance(name, str) else otherwise


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _date(value: object, zone: ZoneInfo) -> date | None:
    if not isinstance(value, str) or not _DATE.match(value):
        return None
    try:
        if len(value) == 10:
            return date.fromisoformat(value)
        moment = datetime.fromisoformat(value)
        return (moment.astimezone(zone) if moment.tzinfo else moment).date()
    except (ValueError, OverflowError):
        return None


def _spans(day: date, *, yearly: bool, days: tuple[int, int], about: int) -> Iterator[tuple[date, date]]:
    """Yield from when to when, both inclusive, it is so many days ahead, in order, beginning before this year."""
    years = range(about - 2, about + 3) if yearly else [day.year]
    for year in years:
        try:
            returns = _in_year(day, year)
            yield returns - days[1] * _DAY, returns - days[0] * _DAY
        except (ValueError, OverflowError):
            # Beyond the calendar of dates.
            continue


def _in_year(day: date, year: int) -> date:
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def _midnight(day: date, zone: ZoneInfo, *, days: int = 0) -> Instant:
    """Return when a day, or so many later, begins. Where clocks skip midnight, that is the moment at which they do."""
    try:
        later = day + days * _DAY
        return from_datetime(datetime(later.year, later.month, later.day, tzinfo=zone).astimezone(UTC))
    except OverflowError:
        return FOREVER
