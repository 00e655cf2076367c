"""A plain interpreter of segments: walks the definition's tree and scans all events, and tells the truth only.

It is what one writes first, and what the engine's time is compared with: no streams, no index, no closures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from mailtailor.instant import DAY, Instant
from mailtailor.segments.definition import (
    All,
    AnyOf,
    Condition,
    Filter,
    LastOlderThan,
    Not,
    Occurred,
    OpenedShare,
    Step,
    Sum,
    Test,
)
from mailtailor.segments.definition import Sequence as InSequence
from tests.bench.people import Happened

_Counted = Occurred | LastOlderThan | Sum | InSequence | Step


def holds(condition: Condition, events: Sequence[Happened], now: Instant) -> bool:
    """Return whether a condition is true of someone who did this, in order of time, all before `now`."""
    match condition:
        case All():
            truth = all(holds(child, events, now) for child in condition.all)
        case AnyOf():
            truth = any(holds(child, events, now) for child in condition.any)
        case Not():
            truth = not holds(condition.not_, events, now)
        case Occurred():
            truth = _occurred(condition, events, now)
        case LastOlderThan():
            last = _last(condition, events)
            truth = last is not None and last + condition.older_than <= now
        case InSequence():
            truth = _unfollowed(condition, events, now)
        case Sum():
            amounts = (event.properties.get(condition.sum, 0) for event in _recent(condition, events, now))
            total = sum(Decimal(str(amount)) for amount in amounts)
            truth = condition.at_least is None or total >= condition.at_least
        case OpenedShare():
            truth = _opened(condition, events, now)
        case _:
            raise NotImplementedError(type(condition).__name__)
    return truth


def _occurred(condition: Occurred, events: Sequence[Happened], now: Instant) -> bool:
    least, most = condition.numbers
    number = 0
    for _ in _recent(condition, events, now):
        number += 1
        if most is None and number >= least:
            return True
    return least <= number and (most is None or number <= most)


def _unfollowed(condition: InSequence, events: Sequence[Happened], now: Instant) -> bool:
    last = _last(condition, events)
    if last is None or not last + (condition.older_than or 0) <= now < last + condition.ages[1]:
        return False
    follower = _last(condition.step, events)
    return follower is None or follower < last


def _opened(condition: OpenedShare, events: Sequence[Happened], now: Instant) -> bool:
    delivered: dict[Any, Instant] = {}
    opened: dict[Any, Instant] = {}
    for event in events:
        if event.type == "email_delivered":
            delivered[event.properties.get("campaign")] = event.at
        elif event.type == "email_opened" and not event.properties.get("machine"):
            opened[event.properties.get("campaign")] = event.at
    counted = {mail: at for mail, at in delivered.items() if now < at + condition.within}
    # A copy that was delivered later is to be opened again; clocks may differ by a day.
    number = sum(opened.get(mail, 0) >= at - DAY for mail, at in counted.items())
    return bool(counted) and number >= condition.opened_share * len(counted)


def _last(condition: _Counted, events: Sequence[Happened]) -> Instant | None:
    return next((event.at for event in reversed(events) if _matches(condition, event)), None)


def _recent(condition: Occurred | Sum, events: Sequence[Happened], now: Instant) -> Iterator[Happened]:
    """Yield what matches, the latest first, as far back as the window goes."""
    since = now - condition.ages[1]
    for event in reversed(events):
        if event.at <= since:
            return
        if _matches(condition, event):
            yield event


def _matches(condition: _Counted, event: Happened) -> bool:
    return (
        event.type in condition.event
        and not event.properties.get("machine")
        and all(_passes(wanted, event.properties, name) for name, wanted in condition.where.items())
    )


def _passes(wanted: Filter, properties: Mapping[str, Any], name: str) -> bool:
    first, _, rest = name.partition(".")
    value = properties.get(first)
    values = [line.get(rest) for line in value or ()] if rest else [value]
    if not isinstance(wanted, Test):
        return wanted in values
    return any(
        one is not None
        and (wanted.in_ is None or one in wanted.in_)
        and (wanted.at_least is None or one >= wanted.at_least)
        for one in values
    )
