"""Composes rules, exact in truth and in time.

A true "all" holds until its first child may turn; a false one as long as one of its false children stays false, which
is until the last of them may turn. "Any" is the dual. What is settled for good spares the rest: a false child that no
time changes makes "all" false until an event comes, whatever the others say.

Comparing by hand is on purpose: `min` and `max` would take a third of the time of all.
"""

from __future__ import annotations

from mailtailor.instant import FOREVER, Instant
from mailtailor.segments.person import Person, Rule
from mailtailor.segments.verdict import ALWAYS, NEVER, Verdict


def all_of(rules: list[Rule]) -> Rule:
    """Return the rule of "all of them"."""
    if len(rules) == 1:
        return rules[0]

    def rule(person: Person, now: Instant) -> Verdict:
        first_to_turn, last_to_turn = FOREVER, -1
        for one in rules:
            truth, until = one(person, now)
            if truth:
                if until < first_to_turn:  # noqa: PLR1730 - see above
                    first_to_turn = until
            elif until == FOREVER:
                return NEVER
            elif until > last_to_turn:
                last_to_turn = until
        return (True, first_to_turn) if last_to_turn < 0 else (False, last_to_turn)

    return rule


def any_of(rules: list[Rule]) -> Rule:
    """Return the rule of "at least one of them"."""
    if len(rules) == 1:
        return rules[0]

    def rule(person: Person, now: Instant) -> Verdict:
        first_to_turn, last_to_turn = FOREVER, -1
        for one in rules:
            truth, until = one(person, now)
            if not truth:
                if until < first_to_turn:  # noqa: PLR1730 - see above
                    first_to_turn = until
            elif until == FOREVER:
                return ALWAYS
            elif until > last_to_turn:
                last_to_turn = until
        return (False, first_to_turn) if last_to_turn < 0 else (True, last_to_turn)

    return rule


def negated(rule: Rule) -> Rule:
    """Return the rule of "not": the opposite truth, for just as long."""

    def opposite(person: Person, now: Instant) -> Verdict:
        truth, until = rule(person, now)
        return not truth, until

    return opposite
