"""An oracle for the whole language: conditions counted over everything that happened, without state or verdicts.

Written from what the definitions say of themselves, slow and plain, and sharing nothing with the engine but the models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from mailtailor.segments import definition as d
from mailtailor.segments.definition import Condition

MISSING = object()


@dataclass(frozen=True)
class Happened:
    """One event."""

    id: str
    type: str
    at: int
    properties: Mapping[str, Any]


@dataclass
class History:
    """Everything known of a person, who allowed personalization."""

    id: str
    events: dict[str, Happened] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    tracking: bool = True

    def add(self, event: Happened) -> None:
        """Add an event; a repeated one keeps its least instant."""
        known = self.events.get(event.id)
        if known is None or event.at < known.at:
            self.events[event.id] = event


def holds(rule: Condition, person: History, now: int, segments: Mapping[str, Condition]) -> bool:  # noqa: C901, PLR0911, PLR0912
    """Return whether `rule` is true of `person` at `now`."""
    match rule:
        case d.All():
            return all(holds(one, person, now, segments) for one in rule.all)
        case d.AnyOf():
            return any(holds(one, person, now, segments) for one in rule.any)
        case d.Not():
            return not holds(rule.not_, person, now, segments)
        case d.InSegment():
            return holds(segments[rule.segment], person, now, segments)
        case d.Occurred():
            number = len(_in(rule.ages, _matching(rule, person, now), now))
            if rule.exactly is not None:
                return number == rule.exactly
            if rule.at_least is None and rule.at_most is None:
                return number >= 1
            return (rule.at_least or 0) <= number and (rule.at_most is None or number <= rule.at_most)
        case d.LastOlderThan():
            last = max((one.at for one in _matching(rule, person, now)), default=None)
            return last is not None and last + rule.older_than <= now < last + d.MAX_WINDOW
        case d.LastIs():
            matching = _matching(rule, person, now)
            last = max((one.at for one in matching), default=None)
            at_last = [one for one in matching if one.at == last]
            return last is not None and now < last + rule.within and any(_passes(rule.last, one) for one in at_last)
        case d.First():
            first = min((one.at for one in _matching(rule, person, now)), default=None)
            if first is None:
                return False
            return now < first + rule.within if rule.within else now >= first + (rule.older_than or 0)
        case d.Sequence():
            return _sequence(rule, person, now)
        case d.Sum():
            counted = _in(rule.ages, _matching(rule, person, now, types={*rule.event, *rule.minus}), now)
            amounts = [(one, _amount(one, rule.sum)) for one in counted]
            total = sum(
                (-amount if one.type in rule.minus else amount for one, amount in amounts if amount is not None),
                Fraction(0),
            )
            return _bounded(rule, total)
        case d.Average():
            found = [_amount(one, rule.average) for one in _in(rule.ages, _matching(rule, person, now), now)]
            known = [one for one in found if one is not None]
            return bool(known) and _bounded(rule, sum(known, Fraction(0)) / len(known))
        case d.Distinct():
            values = {
                (type(value) is bool, value)
                for one in _in(rule.ages, _matching(rule, person, now), now)
                for value in _at(one.properties, rule.distinct)
                if isinstance(value, str | int | float)
            }
            return _bounded(rule, Fraction(len(values)))
        case d.OpenedShare():
            return _share("email_opened", rule.opened_share, rule, person, now)
        case d.ClickedShare():
            return _share("email_link_clicked", rule.clicked_share, rule, person, now)
        case d.AttributeIs():
            value = person.attributes.get(rule.attribute)
            return _test(rule.is_, [] if value is None else [value])
        case d.ScoreIs():
            value = person.attributes.get(f"score_{rule.score}")
            return isinstance(value, float) and _bounded(rule, Fraction(Decimal(str(value))))
        case d.DateIn():
            return _date(rule, person, now)
        case d.Near():
            return _near(rule.near, person)
        case d.ConsentIs():
            return (person.tracking if rule.consent == "tracking" else True) == rule.granted
        case d.MailStateIs():
            return _mail_state(rule.mail_state, person, now)
        case d.InBucket():
            part = int.from_bytes(blake2b(f"{rule.random}\0{person.id}".encode(), digest_size=8).digest(), "big")
            return Fraction(rule.percent[0]) <= Fraction(part * 100, 1 << 64) < Fraction(rule.percent[1])


def _matching(rule: Any, person: History, now: int, types: Iterable[str] = ()) -> list[Happened]:
    wanted = set(types) or set(rule.event)
    return [
        one
        for one in person.events.values()
        if one.type in wanted
        and one.at <= now
        and _passes(rule.where, one)
        and (rule.include_machine or not one.properties.get("machine") or not one.type.startswith("email_"))
    ]


def _in(ages: tuple[int, int], events: Iterable[Happened], now: int) -> list[Happened]:
    return [one for one in events if one.at + ages[0] <= now < one.at + ages[1]]


def _at(properties: Any, path: str) -> list[Any]:
    """Return the values at a path, through objects and lists."""
    if isinstance(properties, Mapping) and properties.get(path) is not None:
        return [properties[path]]
    head, _, rest = path.partition(".")
    inner = properties.get(head) if isinstance(properties, Mapping) else None
    if not rest or inner is None:
        return []
    return [value for one in (inner if isinstance(inner, list) else [inner]) for value in _at(one, rest)]


def _passes(where: Mapping[str, Any], event: Happened) -> bool:
    return all(_test(wanted, _at(event.properties, path)) for path, wanted in where.items())


def _same(one: Any, other: Any, *, fold: bool = False) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.casefold() == other.casefold() if fold else one == other
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return isinstance(one, int | float) and isinstance(other, int | float) and one == other


def _test(wanted: Any, values: list[Any]) -> bool:
    if not isinstance(wanted, d.Test):
        return any(_same(value, wanted) for value in values)
    fold = wanted.ignore_case
    unwanted = [*(wanted.not_in or ()), *([] if wanted.not_ is None else [wanted.not_])]
    if any(_same(value, one, fold=fold) for value in values for one in unwanted):
        return False
    if wanted.exists is not None and wanted.exists != bool(values):
        return False
    positive = wanted.model_fields_set - {"not_in", "not_", "exists", "ignore_case"}
    return not positive or any(_wanted(wanted, value) for value in values)


def _wanted(wanted: d.Test, value: Any) -> bool:
    fold = wanted.ignore_case
    if wanted.in_ is not None and not any(_same(value, one, fold=fold) for one in wanted.in_):
        return False
    if wanted.is_ is not None and not _same(value, wanted.is_, fold=fold):
        return False
    text = value.casefold() if isinstance(value, str) and fold else value
    for part, test in ((wanted.contains, "in"), (wanted.prefix, "start"), (wanted.suffix, "end")):
        if part is not None:
            sought = part.casefold() if fold else part
            if not isinstance(text, str):
                return False
            place = {
                "in": sought in text,
                "start": text[: len(sought)] == sought,
                "end": text[-len(sought) :] == sought,
            }
            if not place[test]:
                return False
    tests: list[tuple[float | str | None, Callable[[Any, Any], bool]]] = [
        (wanted.at_least, lambda one, other: one >= other),
        (wanted.at_most, lambda one, other: one <= other),
        (wanted.above, lambda one, other: one > other),
        (wanted.below, lambda one, other: one < other),
    ]
    for bound, kept in tests:
        if bound is not None:
            alike = isinstance(value, str) if isinstance(bound, str) else type(value) in {int, float}
            if not alike or not kept(value, bound):
                return False
    return True


def _bounded(rule: Any, value: Fraction) -> bool:
    return (
        (rule.at_least is None or value >= Fraction(rule.at_least))
        and (rule.at_most is None or value <= Fraction(rule.at_most))
        and (rule.above is None or value > Fraction(rule.above))
        and (rule.below is None or value < Fraction(rule.below))
    )


def _amount(event: Happened, path: str) -> Fraction | None:
    numbers = [Fraction(Decimal(str(one))) for one in _at(event.properties, path) if type(one) in {int, float}]
    return sum(numbers, Fraction(0)) if numbers else None


def _share(hit: str, wanted: Decimal, rule: Any, person: History, now: int) -> bool:
    def message(event: Happened) -> object:
        return event.properties.get("campaign")

    past = [one for one in person.events.values() if one.at <= now and message(one)]
    delivered: dict[object, int] = {}
    hits: dict[object, int] = {}
    for one in past:
        if one.type == "email_delivered":
            delivered[message(one)] = max(one.at, delivered.get(message(one), 0))
        if one.type == hit and (rule.include_machine or not one.properties.get("machine")):
            hits[message(one)] = max(one.at, hits.get(message(one), 0))
    counted = [key for key, at in delivered.items() if now < at + rule.within]
    # A hit of an earlier delivery of the same message does not count; clocks may differ by a day.
    hit_since = [key for key in counted if hits.get(key, 0) >= delivered[key] - 24 * 3_600_000]
    return bool(counted) and Fraction(len(hit_since), len(counted)) >= Fraction(wanted)


def _sequence(rule: d.Sequence, person: History, now: int) -> bool:
    step = rule.step
    least, end = rule.ages
    least = max(least, rule.older_than or 0)
    first, second = _matching(rule, person, now), _matching(step, person, now)
    shares_types = bool(set(rule.event) & set(step.event))

    def values(event: Happened) -> set[Any]:
        if step.same is None:
            return {None}
        return {
            (type(one) is bool, one) for one in _at(event.properties, step.same) if isinstance(one, str | int | float)
        }

    def followers(at: int, value: Any) -> list[int]:
        times = [one.at for one in second if value in values(one)]
        return [one for one in times if one > at or (one == at and not shares_types)]

    pairs = [(one.at, value) for one in first for value in values(one)]
    old_enough = [(at, value) for at, value in pairs if at + least <= now < at + end]
    if rule.followed_by is not None:
        limit = step.within if step.within is not None else math.inf
        return any(one < at + limit for at, value in old_enough for one in followers(at, value))
    if step.within is not None:
        return any(
            now >= at + step.within and not any(one < at + step.within for one in followers(at, value))
            for at, value in old_enough
        )
    last: dict[Any, int] = {}
    for at, value in pairs:
        last[value] = max(at, last.get(value, at))
    return any(at + least <= now < at + end and not followers(at, value) for value, at in last.items())


def _date(rule: d.DateIn, person: History, now: int) -> bool:
    name = person.attributes.get(rule.time_zone_attribute) if rule.time_zone_attribute else None
    zone = ZoneInfo(name if name in {"Asia/Tokyo", "America/New_York", "Europe/London"} else rule.time_zone)
    today = datetime.fromtimestamp(now / 1000, zone).date()
    value = person.attributes.get(rule.date or rule.anniversary or "")
    if not isinstance(value, str) or len(value) != 10:
        return False
    day = date.fromisoformat(value)
    ahead = [today + timedelta(days=number) for number in range(rule.in_days[0], rule.in_days[1] + 1)]
    if rule.date:
        return day in ahead

    def returns(on: date) -> bool:
        leap = on.year % 4 == 0 and (on.year % 100 != 0 or on.year % 400 == 0)
        month, number = (2, 28) if (day.month, day.day) == (2, 29) and not leap else (day.month, day.day)
        return (on.month, on.day) == (month, number)

    return any(returns(on) for on in ahead)


def _near(circle: d.Circle, person: History) -> bool:
    latitude, longitude = person.attributes.get("latitude"), person.attributes.get("longitude")
    if not isinstance(latitude, float) or not isinstance(longitude, float):
        return False

    def place(north: float, east: float) -> tuple[float, float, float]:
        north, east = math.radians(north), math.radians(east)
        return math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)

    here = place(latitude, longitude)
    return any(
        6371.0088 * math.acos(max(-1.0, min(1.0, sum(a * b for a, b in zip(here, place(*point), strict=True)))))
        <= circle.km
        for point in circle.of.values()
    )


def _mail_state(state: str, person: History, now: int) -> bool:
    begun = {"unsubscribed": "unsubscribed", "bounced": "email_bounced", "complained": "email_marked_as_spam"}[state]
    ended = {"unsubscribed": "subscribed", "bounced": "email_delivered", "complained": ""}[state]
    past = [one for one in person.events.values() if one.at <= now < one.at + d.MAX_WINDOW]
    last = max((one.at for one in past if one.type == begun), default=None)
    return last is not None and not any(one.type == ended and one.at >= last for one in past)
