"""Says why somebody is, or is not, in a segment: the whole tree of its conditions, and what is stored. Pure.

The truths are the engine's: each condition is compiled by itself, by what compiles whole segments, and looks at the
same streams. So what is told here cannot differ from what makes members.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from mailtailor.consent.policy import Purpose, allows
from mailtailor.instant import FOREVER, Instant, to_iso
from mailtailor.segments import english
from mailtailor.segments.definition import All, AnyOf, Condition, ConsentIs, InSegment, Not
from mailtailor.segments.engine import NOT_A_MEMBER, Engine, Subject
from mailtailor.segments.evidence import Looked, evidence
from mailtailor.segments.person import Person
from mailtailor.segments.verdict import Verdict
from mailtailor.segments.wording import moment

_CONSENTED: Final = ConsentIs(consent=Purpose.PERSONALIZATION)
_ABOVE: Final = "see above"
_BY_ITSELF: Final = "ask for that segment by itself"
_MAX_LINKS: Final = 5
"""Segments that refer to one another and are told in one answer; nobody reads on beyond that."""


class Remembered(Subject, Protocol):
    """What is asked of a profile besides what the engine needs."""

    @property
    def as_of(self) -> Instant:
        """The instant of the last evaluation."""

    @property
    def incomplete(self) -> bool:
        """Whether less may be remembered than the segments need."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A condition's truth.

    Attributes
    ----------
    says
        The condition in plain English.
    holds, until
        Its truth, and up to when if nothing happens.
    evidence
        What it rests on; empty for those that join others.
    children
        The conditions that it joins, or those of the segment that it refers to.
    """

    says: str
    holds: bool
    until: Instant
    evidence: str = ""
    children: tuple[Reason, ...] = ()

    def payload(self) -> dict[str, Any]:
        """Return this as JSON."""
        told: dict[str, Any] = {"says": self.says, "holds": self.holds, "until": _iso(self.until)}
        if self.evidence:
            told["evidence"] = self.evidence
        return told | ({"conditions": [child.payload() for child in self.children]} if self.children else {})


@dataclass(frozen=True, slots=True)
class Stored:
    """What the last evaluation left.

    Attributes
    ----------
    member, since, valid_until
        The verdict, since when it stands (0 if that is not known), and up to when it holds.
    evaluated_at
        The instant of that evaluation.
    current
        Whether these definitions gave it.
    """

    member: bool
    since: Instant
    valid_until: Instant
    evaluated_at: Instant
    current: bool

    def payload(self) -> dict[str, Any]:
        """Return this as JSON."""
        return {
            "member": self.member,
            "since": _iso(self.since),
            "valid_until": _iso(self.valid_until),
            "evaluated_at": _iso(self.evaluated_at),
            "by_these_definitions": self.current,
        }


@dataclass(frozen=True, slots=True)
class Why:
    """Why a profile is, or is not, in a segment at an instant."""

    profile_id: str
    segment: str
    description: str
    at: Instant
    reason: Reason
    stored: Stored
    notes: tuple[str, ...]

    def payload(self) -> dict[str, Any]:
        """Return this as JSON; instants are null where nothing is known, or nothing ends by time."""
        return {
            "profile_id": self.profile_id,
            "segment": self.segment,
            "description": self.description,
            "at": to_iso(self.at),
            "member": self.reason.holds,
            "until": _iso(self.reason.until),
            "condition": self.reason.payload(),
            "stored": self.stored.payload(),
            "notes": list(self.notes),
        }


def explain(subject: Remembered, segment: str, *, engine: Engine, at: Instant) -> Why:
    """Return why `subject` is, or is not, in `segment` at an instant.

    Raises
    ------
    KeyError
        If there is no such segment.
    """
    definition = engine.definition(segment)
    reason = _Tree(engine, engine.person(subject), at).reason(definition.rule)
    if not allows(subject.consent, Purpose.PERSONALIZATION):
        reason = _without_consent(reason, engine, subject, at)
    known = subject.memberships.get(segment, NOT_A_MEMBER)
    current = subject.definitions == engine.fingerprint
    stored = Stored(known.member, known.since, known.valid_until, subject.as_of, current)
    notes = tuple(_notes(subject, stored, reason, at))
    return Why(subject.id, segment, definition.description, at, reason, stored, notes)


def reason_of(subject: Subject, condition: Condition, *, engine: Engine, at: Instant) -> Reason:
    """Return the truth of a condition that is no segment, such as a variant's audience, and what it rests on."""
    return _Tree(engine, engine.person(subject), at).reason(condition)


def _without_consent(reason: Reason, engine: Engine, subject: Remembered, at: Instant) -> Reason:
    """Return why nobody is in any segment without consent for personalization, whatever the conditions say."""
    consent = _Tree(engine, engine.person(subject), at).reason(_CONSENTED)
    says = english.headline(All(all=(_CONSENTED, _CONSENTED)))
    return Reason(says, holds=False, until=FOREVER, children=(consent, reason))


def _notes(subject: Remembered, stored: Stored, reason: Reason, at: Instant) -> Iterator[str]:
    late = at < subject.as_of
    ran_out = stored.valid_until <= at
    if late:
        yield (
            f"The profile was evaluated on {moment(subject.as_of)}, after the instant asked for: what had left all "
            "windows by then is forgotten, and attributes and consent are those of now."
        )
    if subject.incomplete:
        yield "A correction left less than segments may need: the profile is about to be rebuilt from the archive."
    if not stored.current:
        yield "Other definitions gave what is stored: the next event or wake-up evaluates it anew, readers do at once."
    elif ran_out:
        yield f"What is stored ran out on {moment(stored.valid_until)}: whoever reads it evaluates it anew."
    elif stored.member != reason.holds and not late and not subject.incomplete:
        yield "What is stored is not what the conditions say, though it has not run out. That should never be."


@dataclass(slots=True)
class _Tree:
    """Looks at conditions of one person at one instant."""

    engine: Engine
    person: Person
    at: Instant
    shown: set[str] = field(default_factory=set)
    """Segments whose conditions are told already: of several references to one, the first tells them."""
    links: int = 0
    """References that lead to what is told now."""

    def reason(self, condition: Condition, *, negated: bool = False) -> Reason:
        match condition:
            case Not():
                return self.reason(condition.not_, negated=not negated)
            case All(all=children) | AnyOf(any=children) if len(children) == 1:
                return self.reason(children[0], negated=negated)
            case All(all=children) | AnyOf(any=children):
                return self._joined(condition, children, negated=negated)
            case _:
                return self._single(condition, negated=negated)

    def _joined(self, condition: Condition, children: tuple[Condition, ...], *, negated: bool) -> Reason:
        rule, _ = self.engine.examined(condition)
        holds, until = _turned(rule(self.person, self.at), negated=negated)
        says = english.headline(condition, negated=negated)
        return Reason(says, holds, until, children=tuple(self.reason(child) for child in children))

    def _single(self, condition: Condition, *, negated: bool) -> Reason:
        rule, features = self.engine.examined(condition)
        verdict = rule(self.person, self.at)
        holds, until = _turned(verdict, negated=negated)
        says = english.headline(condition, negated=negated)
        if isinstance(condition, InSegment):
            return self._referring(condition.segment, Reason(says, holds, until))
        found = evidence(condition, Looked(self.person, features, self.at, until))
        return Reason(says, holds, until, found)

    def _referring(self, segment: str, reason: Reason) -> Reason:
        if segment in self.shown:
            return replace(reason, evidence=_ABOVE)
        if self.links == _MAX_LINKS:
            return replace(reason, evidence=_BY_ITSELF)
        self.shown.add(segment)
        self.links += 1
        of_it = self.reason(self.engine.definition(segment).rule)
        self.links -= 1
        return replace(reason, children=(of_it,))


def _turned(verdict: Verdict, *, negated: bool) -> Verdict:
    return verdict[0] is not negated, verdict[1]


def _iso(instant: Instant) -> str | None:
    return to_iso(instant) if 0 < instant < FOREVER else None
