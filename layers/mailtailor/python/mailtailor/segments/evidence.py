"""Says in plain English what a condition's truth rests on: what the person did and is, as far as it is remembered.

Nothing is judged here. Which event turns a truth by its age is told from the instant up to which the engine says that
it holds.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence as Sequenced
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from mailtailor.instant import FOREVER, Instant
from mailtailor.segments import wording
from mailtailor.segments.definition import (
    MAX_WINDOW,
    AttributeIs,
    Average,
    ClickedShare,
    Condition,
    ConsentIs,
    DateIn,
    Distinct,
    First,
    InBucket,
    LastIs,
    LastOlderThan,
    MailStateIs,
    Near,
    Occurred,
    OpenedShare,
    ScoreIs,
    Sequence,
    Sum,
)
from mailtailor.segments.features import AMOUNT_UNIT, EventFeature, Feature
from mailtailor.segments.person import Person
from mailtailor.segments.person_rules import LATITUDE, LONGITUDE, SCORE, part_of
from mailtailor.segments.streams import MAX_VALUES, Messages, Occurrences, Values
from mailtailor.segments.streams import First as FirstEvent
from mailtailor.segments.windows import Mean, Total
from mailtailor.segments.wording import moment, thing, things, which_last

_SHOWN: Final = 100
"""Characters of an attribute's value."""
_PARTS: Final = 1 << 64
Ages = tuple[Instant, Instant]
Filtered = Occurred | LastOlderThan | Sum | Average | Distinct | Sequence


@dataclass(frozen=True, slots=True)
class Looked:
    """What a condition was looked at with.

    Attributes
    ----------
    person
        Whom it is about.
    features
        The streams that its rule looks at, in its order.
    at, until
        The instant of the verdict, and up to when it holds.
    """

    person: Person
    features: Sequenced[Feature]
    at: Instant
    until: Instant


def evidence(condition: Condition, looked: Looked) -> str:
    """Return what the truth of one condition rests on; nothing for those that join others."""
    return _of_events(condition, looked) or _of_person(condition, looked)


def _of_events(condition: Condition, looked: Looked) -> str:
    found = ""
    match condition:
        case Occurred():
            found = _counted(condition, condition.ages, looked)
        case LastOlderThan():
            found = _counted(condition, (condition.older_than, MAX_WINDOW), looked, last=True)
        case LastIs():
            found = _last_is(condition, looked)
        case First():
            found = _first(condition, looked)
        case Sum() | Average() | Distinct():
            found = _measured(condition, looked)
        case Sequence():
            found = _sequence(condition, looked)
        case MailStateIs():
            found = _mail_state(looked)
        case OpenedShare() | ClickedShare():
            found = _share(condition, looked)
    return found


def _times(looked: Looked, index: int) -> list[Instant]:
    """Return when the events of a rule's stream happened, each once, in order; those that lie ahead, too."""
    stream = looked.person.streams.get(looked.features[index].id)
    match stream:
        case Occurrences() | FirstEvent():
            return [at for at, _ in stream.entries]
        case Values():
            return list({event: at for at, event, _ in stream.entries}.values())
    return []


def _past(times: list[Instant], at: Instant) -> list[Instant]:
    return times[: bisect_right(times, at)]


def _inside(times: list[Instant], ages: Ages, at: Instant) -> list[Instant]:
    return times[bisect_right(times, at - ages[1]) : bisect_right(times, at - ages[0])]


def _is_cut(looked: Looked, inside: list[Instant]) -> bool:
    """Return whether there may have been more events in a window than the stream keeps, which is the last ones."""
    feature = looked.features[0]
    most = feature.keep if isinstance(feature, EventFeature) and feature.kind is Occurrences else MAX_VALUES
    return len(inside) >= most


def _counted(condition: Occurred | LastOlderThan, ages: Ages, looked: Looked, *, last: bool = False) -> str:
    """Return how many there are in a window, or only the `last` one, and which one turns the truth."""
    times, such = _times(looked, 0), "such " * bool(condition.where)
    one = f"{such}{thing(condition.event)}"
    past, inside = _past(times, looked.at), _inside(times, ages, looked.at)
    if not past:
        said = f"no {one} is remembered"
    elif last or (not inside and ages[1] == MAX_WINDOW):
        said = f"the last {one} was on {moment(past[-1])}"
    elif not inside:
        said = f"no {one} in that time, the last one was on {moment(past[-1])}"
    else:
        said = _number(condition, inside, cut=_is_cut(looked, inside))
    return said + _turning(times, ages, looked)


def _number(condition: Filtered, inside: list[Instant], *, cut: bool) -> str:
    """Return "3 purchases, the last on ..."; if there may be more than are kept, "at least 3 purchases"."""
    such = "such " * bool(condition.where)
    types = (*condition.event, *(condition.minus if isinstance(condition, Sum) else ()))
    if cut and len(inside) == 1:
        return f"the last {such}{thing(types)} was on {moment(inside[-1])}"
    if len(inside) == 1:
        return f"1 {such}{thing(types)}, on {moment(inside[-1])}"
    return f"{'at least ' * cut}{len(inside):,} {such}{things(types)}, the last on {moment(inside[-1])}"


def _turning(times: list[Instant], ages: Ages, looked: Looked) -> str:
    """Return which event turns the truth by its age, if one does: "; the third last leaves the window on ..."."""
    if looked.until >= FOREVER:
        return ""
    past = _past(times, looked.at)
    for age, does in ((ages[1], "leaves the window"), (ages[0], "is old enough")):
        at = looked.until - age
        found = bisect_left(past, at)
        if found < len(past) and past[found] == at:
            which = "it" if len(past) == 1 else which_last(len(past) - found)
            return f"; {which} {does} on {moment(looked.until)}"
    return f"; one that lies ahead counts from {moment(looked.until)}" if looked.until in times else ""


def _last_is(condition: LastIs, looked: Looked) -> str:
    such = "such " * bool(condition.where)
    any_time, wanted = _past(_times(looked, 0), looked.at), _times(looked, -1)
    passing = _past(wanted, looked.at)
    if not any_time:
        return f"no {such}{thing(condition.event)} is remembered"
    said = f"the last {such}{thing(condition.event)} was on {moment(any_time[-1])}"
    if passing[-1:] == any_time[-1:]:
        return f"{said}, and it is as wanted{_turning(wanted, (0, condition.within), looked)}"
    return f"{said}, and is not as wanted; " + (
        f"the last that was, on {moment(passing[-1])}" if passing else "none that was is remembered"
    )


def _first(condition: First, looked: Looked) -> str:
    one = f"{'such ' * bool(condition.where)}{thing(condition.event)}"
    times = _times(looked, 0)
    if not times:
        return f"no {one} is remembered"
    ages = (condition.older_than or 0, condition.within or FOREVER)
    return f"the first {one} was on {moment(times[0])}{_turning(times, ages, looked)}"


def _measured(condition: Sum | Average | Distinct, looked: Looked) -> str:
    stream, times = looked.person.streams.get(looked.features[0].id), _times(looked, 0)
    inside = _inside(times, condition.ages, looked.at)
    entries = stream.entries if isinstance(stream, Values) else []
    end, least = condition.ages[1], condition.ages[0]
    values = [value for at, _, value in entries if at + least <= looked.at < at + end]
    total = _total(condition, values)
    if not inside:
        types = (*condition.event, *(condition.minus if isinstance(condition, Sum) else ()))
        of = f"no {'such ' * bool(condition.where)}{thing(types)} in that time"
    else:
        of = _number(condition, inside, cut=len(values) >= MAX_VALUES)
    return f"{total}{of}{_turning(times, condition.ages, looked)}"


def _total(condition: Sum | Average | Distinct, values: list[int]) -> str:
    if isinstance(condition, Distinct):
        different = len(set(values))
        return f"{different:,} different value{'s' * (different != 1)}: "
    tally: Total | Mean = Total() if isinstance(condition, Sum) else Mean()
    for value in values:
        tally.enter(value)
    if not tally.weight:
        return "no average: "
    amount = (Decimal(tally.total) / AMOUNT_UNIT / tally.weight).quantize(Decimal("0.0001"))
    return f"{'a sum' if isinstance(condition, Sum) else 'an average'} of {wording.number(amount)}: "


def _sequence(condition: Sequence, looked: Looked) -> str:
    step = condition.step
    least, end = condition.ages
    if condition.not_followed_by is not None:
        least = max(least, condition.older_than or 0, step.within or 0)
    first, second = _times(looked, 0), _past(_times(looked, -1), looked.at)
    inside, past = _inside(first, condition.ages, looked.at), _past(first, looked.at)
    one, other = (f"{'such ' * bool(each.where)}{thing(each.event)}" for each in (condition, step))
    if not past:
        said = f"no {one} is remembered"
    elif not inside:
        said = f"no {one} in that time, the last one was on {moment(past[-1])}"
    else:
        said = _number(condition, inside, cut=_is_cut(looked, inside))
    follows = f"the last {other} was on {moment(second[-1])}" if second else f"no {other} is remembered"
    return f"{said}{_turning(first, (least, end), looked)}; {follows}"


def _mail_state(looked: Looked) -> str:
    said = []
    for index, feature in enumerate(looked.features):
        past = _past(_times(looked, index), looked.at)
        one = thing(sorted(feature.events)) if isinstance(feature, EventFeature) else ""
        said.append(f"the last {one} was on {moment(past[-1])}" if past else f"no {one} is remembered")
    return "; ".join(said) + _turning(_times(looked, 0), (0, MAX_WINDOW), looked)


def _share(condition: OpenedShare | ClickedShare, looked: Looked) -> str:
    stream = looked.person.streams.get(looked.features[0].id)
    if not isinstance(stream, Messages):
        return "no mail was delivered in that time"
    timeline = stream.timeline()
    first, past = (bisect_right(timeline.delivered, looked.at - age) for age in (condition.within, 0))
    if first == past:
        return "no mail was delivered in that time"
    hits, mails = timeline.hits[past] - timeline.hits[first], past - first
    verb = "opened" if isinstance(condition, OpenedShare) else "clicked in"
    rounded = Decimal(f"{100 * hits / mails:.1f}")
    said = f"{hits:,} of {mails:,} delivered were {verb}, {wording.number(rounded)} %"
    if looked.until - condition.within in timeline.delivered:
        delivered = moment(looked.until - condition.within)
        said += f"; what was delivered on {delivered} leaves the window on {moment(looked.until)}"
    return said


def _of_person(condition: Condition, looked: Looked) -> str:
    found, person = "", looked.person
    match condition:
        case AttributeIs():
            found = _stated(person, condition.attribute)
        case ScoreIs():
            found = _stated(person, SCORE + condition.score)
        case DateIn():
            named = (condition.date or condition.anniversary or "", condition.time_zone_attribute)
            found = "; ".join(_stated(person, name) for name in named if name)
        case Near():
            # About a kilometre is enough to see why, and does not tell the house.
            found = "; ".join(_stated(person, name, decimals=2) for name in (LATITUDE, LONGITUDE))
        case ConsentIs():
            known = person.consent.get(condition.consent)
            said = "allowed" if known is not None and known.granted else "refused"
            found = f"they {said} it on {moment(known.at)}" if known is not None else "they said nothing of it"
        case InBucket():
            place = Decimal(part_of(condition.random, person.id) * 100) / _PARTS
            found = f"their place is {place.quantize(Decimal('0.0001'), ROUND_FLOOR)} %"
    return found


def _stated(person: Person, name: str, *, decimals: int | None = None) -> str:
    known = person.attributes.get(name)
    if known is None or known.value is None:
        return f"their {name} is not known"
    value = known.value
    if decimals is not None and isinstance(value, float):
        value = round(value, decimals)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return f"their {name} is {f'“{short}”' if isinstance(value, str) else short}, stated on {moment(known.at)}"
