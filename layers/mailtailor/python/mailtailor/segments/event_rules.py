"""Compiles conditions on what happened."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Final

from mailtailor.instant import FOREVER, Instant
from mailtailor.segments import sequences, windows
from mailtailor.segments.composition import all_of, negated
from mailtailor.segments.definition import (
    MAX_WINDOW,
    Average,
    ClickedShare,
    Distinct,
    Filter,
    First,
    LastIs,
    LastOlderThan,
    MailStateIs,
    Occurred,
    OpenedShare,
    Sequence,
    Step,
    Sum,
)
from mailtailor.segments.features import (
    CLICKED,
    CLICKED_MESSAGES,
    CLICKED_MESSAGES_WITH_MACHINES,
    DELIVERED,
    MESSAGES,
    MESSAGES_WITH_MACHINES,
    OPENED,
    MessageFeature,
    Needs,
    need,
)
from mailtailor.segments.person import Person, Rule
from mailtailor.segments.streams import First as FirstEvent
from mailtailor.segments.streams import Messages, Occurrences, Values
from mailtailor.segments.verdict import ALWAYS, NEVER, Verdict, once

Filtered = Occurred | LastOlderThan | LastIs | First | Sequence | Step | Sum | Average | Distinct
OfEvents = (
    Occurred
    | LastOlderThan
    | LastIs
    | First
    | Sequence
    | Sum
    | Average
    | Distinct
    | OpenedShare
    | ClickedShare
    | MailStateIs
)
_LATEST: Final = 1 << 64
"""Greater than any id in a stream: with it, bisecting finds all entries up to and including an instant."""


def compiled(condition: OfEvents, needs: Needs) -> Rule:
    """Return the closure for a condition on events."""
    match condition:
        case Occurred():
            rule = _occurred(condition, needs)
        case LastOlderThan():
            rule = _last_older_than(_last(condition, needs), condition.older_than)
        case LastIs():
            rule = _last_is(condition, needs)
        case First():
            rule = _first(condition, needs)
        case Sequence():
            rule = _sequence(condition, needs)
        case Sum() | Average() | Distinct():
            rule = _measured(condition, needs)
        case OpenedShare() | ClickedShare():
            rule = _share(condition, needs)
        case MailStateIs():
            rule = compiled(mail_state(condition), needs)
    return rule


def _where(condition: Filtered) -> tuple[tuple[str, Filter], ...]:
    return tuple(condition.where.items())


def _occurred(condition: Occurred, needs: Needs) -> Rule:
    (age, end), (least, most) = condition.ages, condition.numbers
    if age:
        # Younger events come between, so that the last n are not enough.
        stream = needs.event(Values, condition.event, _where(condition), machines=condition.include_machine, window=end)
        holds = windows.between(least, most)
        return lambda person, now: windows.measured(_values(person, stream), (age, end), windows.Count, holds, now)
    keep = least if most is None else most + 1
    stream = needs.event(
        Occurrences,
        condition.event,
        _where(condition),
        machines=condition.include_machine,
        keep=max(1, keep),
        window=end,
    )
    rules = [_at_least(stream, least, end)] if least else []
    if most is not None:
        rules.append(negated(_at_least(stream, most + 1, end)))
    return all_of(rules) if rules else lambda _person, _now: ALWAYS


def _at_least(stream: int, least: int, within: int) -> Rule:
    def rule(person: Person, now: Instant) -> Verdict:
        known = person.streams.get(stream)
        if type(known) is not Occurrences or not known.entries:
            return NEVER
        entries = known.entries
        past, upcoming = len(entries), FOREVER
        if entries[-1][0] > now:
            past = bisect_right(entries, (now, _LATEST))
            upcoming = entries[past][0]
        if past >= least and (leaves := entries[past - least][0] + within) > now:
            return True, leaves
        return False, upcoming

    return rule


def _last(condition: LastOlderThan | LastIs | Sequence | Step, needs: Needs) -> int:
    return needs.event(Occurrences, condition.event, _where(condition), machines=condition.include_machine)


def _last_older_than(stream: int, age: int) -> Rule:
    def rule(person: Person, now: Instant) -> Verdict:
        at, upcoming = _last_at(person, stream, now)
        return (False, upcoming) if at is None else once(at + age, at + MAX_WINDOW, now, upcoming)

    return rule


def _last_at(person: Person, stream: int, now: Instant) -> tuple[Instant | None, Instant]:
    """Return when the last event was, and when the next one that lies ahead begins to count.

    Entries can lie ahead by the few milliseconds that two machines' clocks differ.
    """
    known = person.streams.get(stream)
    if type(known) is not Occurrences or not known.entries:
        return None, FOREVER
    entries = known.entries
    if entries[-1][0] <= now:
        return entries[-1][0], FOREVER
    past = bisect_right(entries, (now, _LATEST))
    return (entries[past - 1][0] if past else None), entries[past][0]


def _last_is(condition: LastIs, needs: Needs) -> Rule:
    any_stream = _last(condition, needs)
    wanted = (*condition.where.items(), *condition.last.items())
    stream = needs.event(Occurrences, condition.event, wanted, machines=condition.include_machine)
    within = condition.within

    def rule(person: Person, now: Instant) -> Verdict:
        at, upcoming = _last_at(person, any_stream, now)
        if at is None or _last_at(person, stream, now)[0] != at:
            return False, upcoming
        return once(at, at + within, now, upcoming)

    return rule


def _first(condition: First, needs: Needs) -> Rule:
    stream = needs.event(FirstEvent, condition.event, _where(condition), machines=condition.include_machine)
    within, age = condition.within or FOREVER, condition.older_than or 0

    def rule(person: Person, now: Instant) -> Verdict:
        known = person.streams.get(stream)
        if type(known) is not FirstEvent or not known.entries:
            return NEVER
        at = known.entries[0][0]
        return once(at + age, min(at + within, FOREVER), now)

    return rule


def _values(person: Person, stream: int) -> list[windows.Entry]:
    known = person.streams.get(stream)
    return known.entries if type(known) is Values else []


def _measured(condition: Sum | Average | Distinct, needs: Needs) -> Rule:
    tally: Callable[[], windows.Tally] = windows.Different
    match condition:
        case Sum():
            tally, holds = windows.Total, windows.bounds(condition)
        case Average():
            tally, holds = windows.Mean, windows.bounds(condition)
        case Distinct():
            holds = windows.bounds(condition, unit=1)
    ages = condition.ages
    stream = needs.event(
        Values,
        condition.event,
        _where(condition),
        machines=condition.include_machine,
        window=ages[1],
        measure="value" if isinstance(condition, Distinct) else "amount",
        of=_measured_property(condition),
        minus=condition.minus if isinstance(condition, Sum) else (),
    )
    return lambda person, now: windows.measured(_values(person, stream), ages, tally, holds, now)


def _measured_property(condition: Sum | Average | Distinct) -> str:
    match condition:
        case Sum():
            return condition.sum
        case Average():
            return condition.average
        case Distinct():
            return condition.distinct


def _sequence(condition: Sequence, needs: Needs) -> Rule:
    step = condition.step
    later = not set(condition.event).isdisjoint(step.event)
    if condition.not_followed_by is None:
        return _pairs(condition, needs, followed=True, later=later)
    if step.within is not None:
        return _pairs(condition, needs, followed=False, later=later)
    return (
        _not_since(condition, needs, later=later) if step.same is None else _none_since(condition, needs, later=later)
    )


def _least_and_end(condition: Sequence) -> tuple[int, int]:
    least, end = condition.ages
    return max(least, condition.older_than or 0), end


def _both(condition: Sequence, needs: Needs) -> tuple[int, int]:
    """Return the streams of both events, kept for the whole window."""
    step, end = condition.step, condition.ages[1]
    first, second = (
        needs.event(
            Values,
            one.event,
            _where(one),
            machines=one.include_machine,
            window=end,
            measure="value" if step.same else "",
            of=step.same or "",
        )
        for one in (condition, step)
    )
    return first, second


def _pairs(condition: Sequence, needs: Needs, *, followed: bool, later: bool) -> Rule:
    (first, second), ages, within = _both(condition, needs), _least_and_end(condition), condition.step.within

    def rule(person: Person, now: Instant) -> Verdict:
        one = sequences.by_value(_values(person, first))
        if not one:
            return NEVER
        other = sequences.by_value(_values(person, second))
        if followed:
            return sequences.followed(one, other, ages=ages, within=within, later=later, now=now)
        return sequences.not_followed(one, other, ages=ages, within=within or 0, later=later, now=now)

    return rule


def _not_since(condition: Sequence, needs: Needs, *, later: bool) -> Rule:
    first, second = _last(condition, needs), _last(condition.step, needs)
    least, end = _least_and_end(condition)

    def rule(person: Person, now: Instant) -> Verdict:
        at, upcoming = _last_at(person, first, now)
        if at is None:
            return False, upcoming
        follower, next_follower = _last_at(person, second, now)
        if follower is not None and (follower > at if later else follower >= at):
            return False, upcoming
        return once(at + least, at + end, now, min(upcoming, next_follower))

    return rule


def _none_since(condition: Sequence, needs: Needs, *, later: bool) -> Rule:
    """Return the rule of "there is no B of the same value since the last A of it", for at least one value."""
    (first, second), ages = _both(condition, needs), _least_and_end(condition)

    def rule(person: Person, now: Instant) -> Verdict:
        one, other = _values(person, first), _values(person, second)
        return sequences.none_since(one, other, ages=ages, later=later, now=now)

    return rule


def mail_state(condition: MailStateIs) -> Occurred | Sequence:
    """Return what a mail state is short for."""
    match condition.mail_state:
        case "unsubscribed":
            return Sequence(event=("unsubscribed",), not_followed_by=Step(event=("subscribed",)))
        case "bounced":
            return Sequence(event=("email_bounced",), not_followed_by=Step(event=(DELIVERED,)))
        case "complained":
            return Occurred(event=("email_marked_as_spam",))


def _share(condition: OpenedShare | ClickedShare, needs: Needs) -> Rule:
    machines, within = condition.include_machine, condition.within
    match condition:
        case OpenedShare():
            hit, wanted, stream = OPENED, condition.opened_share, MESSAGES_WITH_MACHINES if machines else MESSAGES
        case ClickedShare():
            hit, wanted = CLICKED, condition.clicked_share
            stream = CLICKED_MESSAGES_WITH_MACHINES if machines else CLICKED_MESSAGES
    asked = stream, wanted.as_integer_ratio(), within
    needs.streams.add(need(needs.features, MessageFeature(stream, hit, within, machines)))

    def rule(person: Person, now: Instant) -> Verdict:
        known = person.streams.get(stream)
        return windows.share(known.timeline(), asked[1], within, now) if type(known) is Messages else NEVER

    return _asked_once(asked, rule)


def _asked_once(asked: object, rule: Rule) -> Rule:
    """Return a rule that many segments may ask, but that is evaluated once for a person and an instant."""

    def known_rule(person: Person, now: Instant) -> Verdict:
        verdict = person.verdicts.get(asked)
        if verdict is None:
            verdict = person.verdicts[asked] = rule(person, now)
        return verdict

    return known_rule
