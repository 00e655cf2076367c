"""Tells what a rule's truth depends on: the events that keep it fresh, and whether time alone changes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Sequence as Sequenced
from dataclasses import dataclass

from mailtailor.consent.policy import Purpose
from mailtailor.instant import Instant
from mailtailor.segments import wording
from mailtailor.segments.definition import (
    MAX_WINDOW,
    All,
    AnyOf,
    Average,
    ClickedShare,
    Condition,
    DateIn,
    Distinct,
    First,
    LastIs,
    LastOlderThan,
    MailStateIs,
    Not,
    Occurred,
    OpenedShare,
    Sequence,
    Sum,
    conditions,
)
from mailtailor.segments.features import DELIVERED, MessageFeature, Needs
from mailtailor.segments.person import Rule
from mailtailor.segments.rules import compile_condition
from mailtailor.segments.verdict import NEVER

Ages = frozenset[Instant]


@dataclass(frozen=True, slots=True)
class Freshness:
    """What a rule's truth depends on.

    Attributes
    ----------
    events, attributes, segments
        What may change it when it comes, is stated, or is entered or left; in order.
    consent
        The purposes it asks about. Without `personalization` nobody is a member of anything.
    enters_after, leaves_after
        The ages of events at which people enter or leave though nothing happens. Amounts are taken to be positive.
    by_calendar
        Whether people enter and leave at the midnights of their days.
    """

    events: tuple[str, ...]
    attributes: tuple[str, ...]
    segments: tuple[str, ...]
    consent: tuple[Purpose, ...]
    enters_after: tuple[Instant, ...]
    leaves_after: tuple[Instant, ...]
    by_calendar: bool

    @property
    def people_enter_by_time(self) -> bool:
        """Whether time alone makes members."""
        return bool(self.enters_after) or self.by_calendar

    @property
    def people_leave_by_time(self) -> bool:
        """Whether time alone ends memberships."""
        return bool(self.leaves_after) or self.by_calendar


def needs_of(rule: Condition) -> Needs:
    """Return what `rule` looks at. The segments that it refers to need not be known."""
    needs = Needs({})
    compile_condition(rule, needs, defaultdict[str, Rule](lambda: lambda _person, _now: NEVER))
    return needs


def freshened_by(rule: Condition) -> Freshness:
    """Return what keeps `rule` fresh."""
    needs = needs_of(rule)
    events: set[str] = set()
    for feature in needs.features.values():
        events |= {DELIVERED, feature.hit} if isinstance(feature, MessageFeature) else feature.events
    enters, leaves = _turns(rule)
    return Freshness(
        events=tuple(sorted(events)),
        attributes=tuple(sorted(needs.attributes)),
        segments=tuple(sorted(needs.segments)),
        consent=tuple(Purpose) if needs.consent else (Purpose.PERSONALIZATION,),
        enters_after=tuple(sorted(enters)),
        leaves_after=tuple(sorted(leaves)),
        by_calendar=any(isinstance(one, DateIn) for one in conditions(rule)),
    )


def described(freshness: Freshness) -> list[str]:
    """Return sentences that say what keeps a rule fresh, and what time alone does."""
    sources = [
        ("the event", freshness.events),
        ("the attribute", freshness.attributes),
        ("the segment", freshness.segments),
        ("consent to", freshness.consent),
    ]
    kept = "; ".join(_named(kind, names) for kind, names in sources if names)
    return [f"Kept fresh by {kept}.", _by_time(freshness)]


def _named(kind: str, names: Sequenced[str]) -> str:
    several = len(names) > 1 and kind.startswith("the ")
    return f"{kind}{'s' * several} {wording.listed(list(names), 'and')}"


def _by_time(freshness: Freshness) -> str:
    turns = (("enter", freshness.enters_after), ("leave", freshness.leaves_after))
    said = [(verb, _moments(ages, calendar=freshness.by_calendar)) for verb, ages in turns]
    parts = [f"people {verb} {moments}" for verb, moments in said if moments]
    of_others = " but what it changes in those segments" if freshness.segments else ""
    return f"By time alone, {', and '.join(parts)}." if parts else f"Time alone changes nothing{of_others}."


def _moments(ages: Iterable[Instant], *, calendar: bool) -> str:
    said = [f"when an event is {wording.listed(list(map(wording.age, ages)), 'or')} old"] if ages else []
    return " or ".join([*said, *(["at midnight"] * calendar)])


def _turns(rule: Condition) -> tuple[Ages, Ages]:
    """Return the ages of events at which `rule` may become true, and those at which it may become false."""
    match rule:
        case All(all=children) | AnyOf(any=children):
            of_children = [_turns(child) for child in children]
            turns = (
                frozenset().union(*(enters for enters, _ in of_children)),
                frozenset().union(*(leaves for _, leaves in of_children)),
            )
        case Not():
            enters, leaves = _turns(rule.not_)
            turns = leaves, enters
        case Occurred():
            least, most = rule.numbers
            turns = _of_total(rule.ages, rises=least > 0, falls=most is not None)
        case Sum() | Distinct():
            turns = _of_bounds(rule)
        case Average():
            turns = _of_total(rule.ages, rises=True, falls=True)
        case OpenedShare() | ClickedShare():
            turns = _of_total((0, rule.within), rises=True, falls=True)
        case _:
            turns = _of_one(rule)
    return turns


def _of_bounds(rule: Sum | Distinct) -> tuple[Ages, Ages]:
    rises, falls = (rule.at_least, rule.above) != (None, None), (rule.at_most, rule.below) != (None, None)
    counts_against = isinstance(rule, Sum) and bool(rule.minus)
    return _of_total(rule.ages, rises=rises or counts_against, falls=falls or counts_against)


def _of_total(ages: tuple[Instant, Instant], *, rises: bool, falls: bool) -> tuple[Ages, Ages]:
    """Return when a total that must rise to something, or must not rise beyond something, does so by time alone."""
    begins, ends = _ages(ages[0]), _ages(ages[1])
    enters = (begins if rises else _ages()) | (ends if falls else _ages())
    leaves = (ends if rises else _ages()) | (begins if falls else _ages())
    return enters, leaves


def _of_one(rule: Condition) -> tuple[Ages, Ages]:
    """Return when the age of one event turns a condition."""
    enters, leaves = 0, 0
    match rule:
        case LastOlderThan():
            enters, leaves = rule.older_than, MAX_WINDOW
        case LastIs():
            leaves = rule.within
        case First():
            enters, leaves = rule.older_than or 0, rule.within or 0
        case Sequence(not_followed_by=None):
            enters, leaves = rule.ages
        case Sequence():
            enters, leaves = max(rule.ages[0], rule.older_than or 0, rule.step.within or 0), rule.ages[1]
        case MailStateIs():
            leaves = MAX_WINDOW
    return _ages(enters), _ages(leaves)


def _ages(age: Instant = 0) -> Ages:
    return frozenset([age] if age else [])
