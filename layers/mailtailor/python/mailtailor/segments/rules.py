"""Compiles conditions into closures, and says which streams they need.

Closures are called for every event, so they look at tuples and numbers only. What is settled for good spares the rest:
a false child that no time changes makes "all" false until an event comes, whatever the others say.
"""

from __future__ import annotations

from collections.abc import Mapping

from mailtailor.instant import Instant
from mailtailor.segments import event_rules, person_rules
from mailtailor.segments.composition import all_of, any_of, negated
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
    InBucket,
    InSegment,
    Near,
    Not,
    OpenedShare,
    ScoreIs,
    Sequence,
    Sum,
)
from mailtailor.segments.features import Needs
from mailtailor.segments.person import Person, Rule
from mailtailor.segments.verdict import Verdict


def compile_condition(condition: Condition, needs: Needs, segments: Mapping[str, Rule]) -> Rule:
    """Return the closure for `condition`, and note in `needs` what it looks at.

    Parameters
    ----------
    segments
        The rules of the segments that it may refer to, compiled before.
    """
    match condition:
        case All():
            return all_of(_compiled(condition.all, needs, segments))
        case AnyOf():
            return any_of(_compiled(condition.any, needs, segments))
        case Not():
            return negated(compile_condition(condition.not_, needs, segments))
        case InSegment():
            needs.segments.add(condition.segment)
            return _in_segment(condition.segment, segments[condition.segment])
        case AttributeIs() | ScoreIs() | DateIn() | Near() | ConsentIs() | InBucket():
            return person_rules.compiled(condition, needs)
        case _:
            return event_rules.compiled(condition, needs)


def _compiled(children: tuple[Condition, ...], needs: Needs, segments: Mapping[str, Rule]) -> list[Rule]:
    """Return the rules of conditions, those that cost least first: what they settle spares the others."""
    return [compile_condition(child, needs, segments) for child in sorted(children, key=cost)]


def cost(condition: Condition) -> int:
    """Return how much a condition costs beside others; it settles nothing but their order."""
    match condition:
        case All():
            return max(map(cost, condition.all))
        case AnyOf():
            return max(map(cost, condition.any))
        case Not():
            return cost(condition.not_)
        case OpenedShare() | ClickedShare() | Sum() | Average() | Distinct() | Sequence() | DateIn() | Near():
            return 2
        case InSegment():
            return 1
        case _:
            return 0


def _in_segment(name: str, rule: Rule) -> Rule:
    def of_segment(person: Person, now: Instant) -> Verdict:
        # Asked by several segments, it is evaluated once; asked by chains of segments, not twice as often a link.
        known = person.verdicts.get(name)
        if known is None:
            known = person.verdicts[name] = rule(person, now)
        return known

    return of_segment
