"""Whom a variant is for: people, by the language of segments, and fetches, by what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from mailtailor.content.block import Variant
from mailtailor.instant import Instant
from mailtailor.segments.definition import Condition
from mailtailor.segments.engine import BadReference
from mailtailor.segments.filters import matcher
from mailtailor.segments.person import Person, Rule

RuleOf = Callable[[Condition], Rule]
"""Compiles an audience, as `mailtailor.segments.engine.Engine.audience` does."""

AUDIENCE: Final = "audience"
CONTEXT: Final = "context"
UNKNOWN_AUDIENCE: Final = "audience_unknown"
"""Why a variant is not for somebody; the last one is a fault: it asks for a segment that is not deployed."""


class Audience:
    """Whom one variant is for, compiled.

    Parameters
    ----------
    variant
        The variant.
    rule_of
        Compiles its condition.
    """

    def __init__(self, variant: Variant, rule_of: RuleOf) -> None:
        self._matches = matcher(variant.when.items())
        self._rule: Rule | None = None
        self._unknown = False
        if variant.audience is not None:
            try:
                self._rule = rule_of(variant.audience)
            except BadReference:
                self._unknown = True

    def unfit(self, person: Person | None, context: Mapping[str, Any], now: Instant) -> str:
        """Return why the variant is not for a person and a fetch, empty if it is.

        Parameters
        ----------
        person
            What the rules look at; None for somebody of whom nothing may be known.
        context
            What `when` looks at, by the names in `mailtailor.content.block.CONTEXTS`.
        now
            The instant at which the mail is sent.
        """
        if self._unknown:
            return UNKNOWN_AUDIENCE
        try:
            if self._rule is not None and (person is None or not self._rule(person, now)[0]):
                return AUDIENCE
        except BadReference:
            # Definitions change while blocks are kept, and a rule may be compiled only when it is asked.
            return UNKNOWN_AUDIENCE
        return "" if self._matches(context) else CONTEXT


def nobody(_condition: Condition) -> Rule:
    """Refuse every audience: what is compiled without segments is for nobody in particular."""
    raise BadReference("there are no segments here")
