"""Says in plain English what a rule means, for people who do not write rules.

Each condition becomes a clause of its own about "them", positive or negated; those of several become bullets.
"""

from __future__ import annotations

from typing import Final

from mailtailor.consent.policy import Purpose
from mailtailor.instant import Instant
from mailtailor.segments import wording
from mailtailor.segments.definition import (
    All,
    AnyOf,
    AttributeIs,
    Average,
    ClickedShare,
    Condition,
    ConsentIs,
    DateIn,
    Distinct,
    First,
    InBucket,
    InSegment,
    LastIs,
    LastOlderThan,
    MailStateIs,
    Near,
    Not,
    Occurred,
    OpenedShare,
    ScoreIs,
    Sequence,
    Step,
    Sum,
    Test,
)
from mailtailor.segments.wording import age_below, age_from, done, span, thing, things, times, where, window

_BOUNDS: Final = ("at_least", "at_most", "above", "below")
_OPPOSITE: Final = {"at_least": "below", "below": "at_least", "at_most": "above", "above": "at_most"}
_ALLOWED: Final = {
    Purpose.TRACKING: "that what they do is recorded",
    Purpose.PERSONALIZATION: "personal content",
}
_MAIL_STATES: Final = {
    "unsubscribed": ("they have unsubscribed", "they have not unsubscribed"),
    "bounced": ("mails to them bounce", "mails to them do not bounce"),
    "complained": ("they have marked a mail as spam", "they have never marked a mail as spam"),
}


def explain(rule: Condition) -> str:
    """Return what `rule` means: one sentence, or a list of indented bullets."""
    lines = _lines(rule, negated=False)
    if len(lines) == 1:
        return f"People are members while {lines[0]}."
    return "\n".join([f"People are members while {lines[0]}", *lines[1:]])


def headline(rule: Condition, *, negated: bool = False) -> str:
    """Return the first line of what a rule, or its negation, means: a clause, or what is said of several conditions."""
    return _lines(rule, negated=negated)[0]


def _lines(rule: Condition, *, negated: bool) -> list[str]:
    match rule:
        case Not():
            return _lines(rule.not_, negated=not negated)
        case All(all=children) | AnyOf(any=children) if len(children) == 1:
            return _lines(children[0], negated=negated)
        case All():
            return [f"{'not all' if negated else 'all'} of these are true:", *_bullets(rule.all)]
        case AnyOf():
            return [f"{'none' if negated else 'at least one'} of these is true:", *_bullets(rule.any)]
        case _:
            return [_clause(rule, negated=negated)]


def _bullets(children: tuple[Condition, ...]) -> list[str]:
    found = []
    for child in children:
        first, *rest = _lines(child, negated=False)
        found += [f"- {first}", *(f"  {line}" for line in rest)]
    return found


def _clause(rule: Condition, *, negated: bool) -> str:
    clause = _of_events(rule, negated=negated) or _of_person(rule, negated=negated)
    if clause is None:
        positive = _positive(rule)
        clause = f"it is not true that {positive}" if negated else positive
    counted = [rule, rule.step] if isinstance(rule, Sequence) else [rule]
    machines = any(getattr(one, "include_machine", False) for one in counted)
    return f"{clause} (opens and clicks by machines count too)" if machines else clause


def _of_events(rule: Condition, *, negated: bool) -> str | None:
    match rule:
        case Occurred():
            return _occurred(rule, negated=negated)
        case LastOlderThan():
            return _last_older_than(rule, negated=negated)
        case First():
            return _first(rule, negated=negated)
        case Sum() | Distinct():
            return _total(rule, negated=negated)
        case OpenedShare() | ClickedShare():
            return _share(rule, negated=negated)
    return None


def _of_person(rule: Condition, *, negated: bool) -> str | None:
    found, is_not = None, "not " * negated
    match rule:
        case ConsentIs():
            found = f"they {'allow' if rule.granted is not negated else 'do not allow'} {_ALLOWED[rule.consent]}"
        case MailStateIs():
            found = _MAIL_STATES[rule.mail_state][negated]
        case InSegment():
            found = f"they are {is_not}in the segment {rule.segment}"
        case InBucket():
            first, end = (wording.number(one) for one in rule.percent)
            found = f"they are {is_not}in the part from {first} % to {end} % of the random split {rule.random}"
        case Near():
            found = _near(rule, negated=negated)
        case AttributeIs(is_=wanted) if negated and not isinstance(wanted, Test):
            found = f"their {rule.attribute} {wording.passing(Test(not_=wanted))}"
    return found


def _positive(rule: Condition) -> str:
    """Return the clause of a condition whose negation has no shorter form than "it is not true that"."""
    match rule:
        case LastIs():
            last = " and ".join(f"its {name} {wording.passing(wanted)}" for name, wanted in rule.last.items())
            return f"their last {thing(rule.event)}{where(rule.where)} was {window((0, rule.within))}, and {last}"
        case Sequence():
            return _sequence(rule)
        case Average():
            of = f"their {things(rule.event)}{where(rule.where)} {window(rule.ages)}"
            return f"the average {rule.average} of {of} is {_compared(rule)}"
        case AttributeIs():
            return f"their {rule.attribute} {wording.passing(rule.is_)}"
        case ScoreIs():
            return f"their predicted score {rule.score} is {_compared(rule)}"
        case DateIn():
            return _date(rule)
    raise TypeError(f"no words for {type(rule).__name__}")


def _occurred(rule: Occurred, *, negated: bool) -> str:
    what = f"{done(rule.event)}{where(rule.where)}"
    when = window(rule.ages)
    least, most = rule.numbers
    match (least, most):
        case (1, None):
            return f"they have {'not ' * negated}{what} {when}"
        case (0, 0):
            return f"they have {'not ' * (not negated)}{what} {when}"
        case (0, None):
            return f"they have {what} any number of times, even none, {when} ({'never' if negated else 'always'} true)"
    # Between two ages, two numbers would meet.
    return f"they have {what} {_often(least, most, negated=negated)}{',' * bool(rule.ages[0])} {when}"


def _often(least: int, most: int | None, *, negated: bool) -> str:
    if most is None:
        return f"{'fewer than' if negated else 'at least'} {times(least)}"
    if least == 0:
        return f"{'more than' if negated else 'at most'} {times(most)}"
    if least == most:
        return f"{'not ' * negated}exactly {times(least)}"
    return f"fewer than {times(least)} or more than {times(most)}" if negated else f"{least:,} to {most:,} times"


def _last_older_than(rule: LastOlderThan, *, negated: bool) -> str:
    what = f"{done(rule.event)}{where(rule.where)}"
    if negated:
        return f"they never {what}, or last did so {age_below(rule.older_than)} ago"
    return f"they last {what} {age_from(rule.older_than)} ago"


def _first(rule: First, *, negated: bool) -> str:
    what = f"{done(rule.event)}{where(rule.where)}"
    age: Instant = rule.within or rule.older_than or 0
    young, old = window((0, age)), f"{age_from(age)} ago"
    is_young = rule.within is not None
    if negated:
        return f"they never {what}, or first did so {old if is_young else f'{age_below(age)} ago'}"
    return f"they first {what} {young if is_young else old}"


def _total(rule: Sum | Distinct, *, negated: bool) -> str:
    of = f"their {things(rule.event)}{where(rule.where)} {window(rule.ages)}"
    compared = _compared(rule)
    if negated and (opposite := _opposite(rule)) is None:
        return f"it is not true that {_total(rule, negated=False)}"
    if negated and opposite:
        compared = opposite
    if isinstance(rule, Distinct):
        return f"the number of different values of {rule.distinct} in {of} is {compared}"
    less = f", less that of their {things(rule.minus)}," if rule.minus else ""
    return f"the sum of {rule.sum} over {of}{less} is {compared}"


def _opposite(rule: Sum | Distinct) -> str | None:
    """Return what a total compares as if the rule is not true; None if that takes more than one comparison."""
    given = [(name, bound) for name in _BOUNDS if (bound := getattr(rule, name)) is not None]
    return wording.comparison([(_OPPOSITE[name], bound) for name, bound in given]) if len(given) == 1 else None


def _share(rule: OpenedShare | ClickedShare, *, negated: bool) -> str:
    verb, share = ("opened", rule.opened_share) if isinstance(rule, OpenedShare) else ("clicked in", rule.clicked_share)
    mails = f"the mails delivered to them {window((0, rule.within))}"
    if negated:
        return f"they {verb} less than {wording.percent(share)} of {mails}, or none was delivered"
    return f"they {verb} at least {wording.percent(share)} of {mails}"


def _sequence(rule: Sequence) -> str:
    step = rule.step
    first, second = f"{done(rule.event)}{where(rule.where)}", f"{done(step.event)}{where(step.where)}"
    same = f" (the same {step.same})" if step.same else ""
    if rule.followed_by is not None:
        return f"they have {first} {window(rule.ages)}, and {second}{same} {_after(step)}"
    if step.within is not None:
        least = max(rule.ages[0], step.within)
        return (
            f"they have {first} {window((least, rule.ages[1]))}, and not {second}{same} within {span(step.within)} "
            f"after that"
        )
    ages = (max(rule.ages[0], rule.older_than or 0), rule.ages[1])
    of = f", for at least one {step.same}" if step.same else ""
    return f"they last {first} {window(ages)}, and have not {second} since{of}"


def _after(step: Step) -> str:
    return f"within {span(step.within)} after that" if step.within is not None else "at any time after that"


def _compared(rule: Sum | Average | Distinct | ScoreIs) -> str:
    return wording.comparison((name, getattr(rule, name)) for name in _BOUNDS)


def _near(rule: Near, *, negated: bool) -> str:
    places = list(rule.near.of)
    where_to = places[0] if len(places) == 1 else f"one of {len(places):,} places: {wording.listed(places, 'or')}"
    near = f"within {rule.near.km:,g} km of {where_to}"
    return f"they are not {near}, or it is not known where they are" if negated else f"they are {near}"


def _date(rule: DateIn) -> str:
    day = f"their {rule.date}" if rule.date is not None else f"the anniversary of their {rule.anniversary}"
    zone = f"by the calendar of {rule.time_zone}"
    if rule.time_zone_attribute is not None:
        zone = f"by the calendar of the time zone in their {rule.time_zone_attribute}, else of {rule.time_zone}"
    return f"{day} is {_days(*rule.in_days)} ({zone})"


def _days(first: int, last: int) -> str:
    if first == last:
        return _day(first)
    if first == 0:
        return f"today or in the next {_count(last)}"
    if last == 0:
        return f"today or in the {_count(-first)} before"
    if first > 0:
        return f"{first} to {_count(last)} from today"
    if last < 0:
        return f"{-last} to {_count(-first)} ago"
    return f"between {_count(-first)} ago and {_count(last)} from today"


def _day(days: int) -> str:
    if abs(days) <= 1:
        return ("yesterday", "today", "tomorrow")[days + 1]
    return f"in {_count(days)}" if days > 0 else f"{_count(-days)} ago"


def _count(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"
