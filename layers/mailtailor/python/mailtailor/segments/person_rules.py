"""Compiles conditions on who the person is: attributes, dates, places, consent, scores, random parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from hashlib import blake2b
from typing import Any, Final
from zoneinfo import ZoneInfo

from mailtailor.consent.policy import allows
from mailtailor.instant import Instant
from mailtailor.segments import calendar
from mailtailor.segments.definition import AttributeIs, Circle, ConsentIs, DateIn, InBucket, Near, ScoreIs
from mailtailor.segments.features import MAX_AMOUNT, Needs
from mailtailor.segments.filters import passes
from mailtailor.segments.person import Person, Rule
from mailtailor.segments.verdict import ALWAYS, NEVER, Verdict
from mailtailor.segments.windows import bounds

SCORE: Final = "score_"
"""Begins the attributes that hold predicted scores."""
CONSENT: Final = "consent"
LATITUDE: Final = "latitude"
LONGITUDE: Final = "longitude"
_EARTH_KM: Final = 6_371.0088
_PARTS: Final = 1 << 64


def compiled(condition: AttributeIs | ScoreIs | DateIn | Near | ConsentIs | InBucket, needs: Needs) -> Rule:
    """Return the closure for a condition on the person."""
    match condition:
        case AttributeIs():
            needs.attributes.add(condition.attribute)
            return _attribute(condition)
        case ScoreIs():
            needs.attributes.add(SCORE + condition.score)
            return _score(condition)
        case DateIn():
            needs.attributes |= {name for name in (_dated(condition), condition.time_zone_attribute) if name}
            return _date(condition)
        case Near():
            needs.attributes |= {LATITUDE, LONGITUDE}
            return _near(condition.near)
        case ConsentIs():
            needs.consent = True
            purpose, granted = condition.consent, condition.granted
            return lambda person, _: ALWAYS if allows(person.consent, purpose) == granted else NEVER
        case InBucket():
            return _bucket(condition)


def _value(person: Person, name: str) -> Any:  # noqa: ANN401 - JSON
    stated = person.attributes.get(name)
    return stated.value if stated is not None else None


def _attribute(condition: AttributeIs) -> Rule:
    name, test = condition.attribute, passes(condition.is_)

    def rule(person: Person, _now: Instant) -> Verdict:
        value = _value(person, name)
        return ALWAYS if test([] if value is None else [value]) else NEVER

    return rule


def _score(condition: ScoreIs) -> Rule:
    name, holds = SCORE + condition.score, bounds(condition, unit=1)

    def rule(person: Person, _now: Instant) -> Verdict:
        value = _value(person, name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not -MAX_AMOUNT < value < MAX_AMOUNT:
            return NEVER
        # By way of its text, for 0.7 is meant and not the binary fraction next to it.
        top, bottom = Decimal(str(value)).as_integer_ratio()
        return ALWAYS if holds(top, bottom) else NEVER

    return rule


def _dated(condition: DateIn) -> str:
    return condition.date or condition.anniversary or ""


def _date(condition: DateIn) -> Rule:
    name, zone_name = _dated(condition), condition.time_zone_attribute
    yearly, days, otherwise = condition.anniversary is not None, condition.in_days, ZoneInfo(condition.time_zone)

    def rule(person: Person, now: Instant) -> Verdict:
        zone = calendar.zone_named(_value(person, zone_name), otherwise) if zone_name else otherwise
        return calendar.days_ahead(_value(person, name), yearly=yearly, days=days, zone=zone, now=now)

    return rule


def _near(circle: Circle) -> Rule:
    distances = [distance_from(*point) for point in circle.of.values()]

    def rule(person: Person, _now: Instant) -> Verdict:
        latitude, longitude = radians_of(_value(person, LATITUDE), 90), radians_of(_value(person, LONGITUDE), 180)
        if latitude is None or longitude is None:
            return NEVER
        return ALWAYS if any(distance(latitude, longitude) <= circle.km for distance in distances) else NEVER

    return rule


def radians_of(value: object, most: int) -> float | None:
    """Return degrees of at most `most` in radians, None if the value is none."""
    usable = isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most
    return math.radians(value) if usable and isinstance(value, int | float) else None


def distance_from(latitude: float, longitude: float) -> Callable[[float, float], float]:
    """Return the great-circle distance in kilometres from a point, by the haversine formula, given radians."""
    return partial(_distance, math.radians(latitude), math.radians(longitude))


def _distance(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    north, east = (other_latitude - latitude) / 2, (other_longitude - longitude) / 2
    half_chord = math.sin(north) ** 2 + math.cos(latitude) * math.cos(other_latitude) * math.sin(east) ** 2
    return 2 * _EARTH_KM * math.asin(min(1.0, math.sqrt(half_chord)))


def _bucket(condition: InBucket) -> Rule:
    start, end = (math.ceil(Fraction(percent) * _PARTS / 100) for percent in condition.percent)
    name = condition.random

    def rule(person: Person, _now: Instant) -> Verdict:
        return ALWAYS if start <= part_of(name, person.id) < end else NEVER

    return rule


def part_of(split: str, profile_id: str) -> int:
    """Return where in a random split a profile is, from 0 to below 2**64: for ever the same."""
    return int.from_bytes(blake2b(f"{split}\0{profile_id}".encode(), digest_size=8).digest(), "big")
