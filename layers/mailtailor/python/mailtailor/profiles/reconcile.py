"""Compares what is stored of people with what their archived events say, and changes nothing.

A difference is an incident: something was lost, doubled or made up. So whatever may differ in good health is left out
and counted: who was written since the archive was complete, waits for a rebuild, or is just being changed by others.
Of all others, three verdicts of every segment have to agree at this instant, and until when they hold: the one that
what is remembered gives, the one that it gives when it is united with the archive, and that of the archive alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final

from mailtailor.consent.policy import Consent, Purpose
from mailtailor.events.event import Event
from mailtailor.instant import FOREVER, MINUTE, Instant
from mailtailor.profiles import rebuild
from mailtailor.profiles.processing import PROFILES_AT_ONCE
from mailtailor.profiles.profile import Profile
from mailtailor.profiles.projection import MAX_IDENTITIES
from mailtailor.profiles.recompute import Person
from mailtailor.profiles.store import Loaded, ProfileStore
from mailtailor.segments.engine import NOT_A_MEMBER, Engine
from mailtailor.segments.memory import Memory
from mailtailor.segments.streams import First, Messages, Occurrences, Provisional, Streams, Values
from mailtailor.segments.verdict import Verdict

OVERDUE: Final = 15 * MINUTE
"""A verdict that ran out so long ago should have been renewed: wake-ups come within seconds, stragglers in minutes."""
MAX_EXAMPLES: Final = 20

STORED: Final = "what is stored is not what is remembered"
LOST: Final = "the archive knows more"
EXTRA: Final = "the archive knows less"
"""How a membership is wrong."""

UNKNOWN: Final = "no profile"
UNREADABLE: Final = "unreadable"
OTHER_DEFINITIONS: Final = "other definitions"
WAITING: Final = "waiting for a rebuild"
RECENT: Final = "written since the archive was complete"
UNCORRECTED: Final = "machine hits to correct"
BEYOND: Final = "remember more than the archive has"
"""Why somebody is not, or not wholly, compared. The last ones' archived events were erased, or they have more ids than
their profile knows."""


@dataclass(slots=True)
class Findings:
    """What comparing found.

    Attributes
    ----------
    profiles
        How many were looked at.
    compared, alone
        How many of them were compared with the archive, and with the archive alone.
    skipped
        How many were not, by the reason.
    wrong
        How many have a wrong membership.
    mismatches
        How many memberships are wrong, by segment.
    overdue
        How many have a verdict that ran out long ago, or will and nobody is to wake them.
    examples
        The first of the wrong and overdue ones: profile, segment (empty if it is the wake-up) and what is wrong.
    """

    profiles: int = 0
    compared: int = 0
    alone: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    wrong: int = 0
    mismatches: dict[str, int] = field(default_factory=dict)
    overdue: int = 0
    examples: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, other: Findings) -> None:
        """Add what was found elsewhere."""
        for name in (one.name for one in fields(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                for key, number in theirs.items():
                    mine[key] = mine.get(key, 0) + number
            elif isinstance(mine, list):
                mine += theirs[: MAX_EXAMPLES - len(mine)]
            else:
                setattr(self, name, mine + theirs)

    def skip(self, reason: str) -> None:
        """Count somebody who is not compared."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1


class Reconciler:
    """Compares people.

    Parameters
    ----------
    store
        The profiles; they are read only.
    clock
        Tells the current instant.
    """

    def __init__(self, *, store: ProfileStore, clock: Callable[[], Instant]) -> None:
        self._store = store
        self._clock = clock

    def compare(self, people: Sequence[Person], *, engine: Engine, until: Instant) -> Findings:
        """Compare some people.

        Parameters
        ----------
        people
            With their archived events.
        engine
            By which they are judged; who was evaluated by others is left out.
        until
            The archive's watermark: it has all that was received before.
        """
        findings = Findings()
        # Who has events under several ids is met several times.
        counted = [person for person in people if person.counted]
        for start in range(0, len(counted), PROFILES_AT_ONCE):
            some = counted[start : start + PROFILES_AT_ONCE]
            loaded = self._store.load(person.id for person in some)
            for person in some:
                self._one(loaded[person.id], person, engine, until, findings)
        return findings

    def _one(self, loaded: Loaded, person: Person, engine: Engine, until: Instant, findings: Findings) -> None:
        profile, now = loaded.profile, self._clock()
        if loaded.error is not None or not profile.version or profile.merged_into:
            findings.skip(UNREADABLE if loaded.error is not None else WAITING if profile.merged_into else UNKNOWN)
            return
        findings.profiles += 1
        if late := _overdue(profile, now):
            findings.overdue += 1
            _give(findings, profile.id, "", late)
        if profile.definitions != engine.fingerprint:
            findings.skip(OTHER_DEFINITIONS)
            return
        short = engine.memory.prune(profile.streams, now)
        remembered = engine.evaluate(profile, now)
        wrong = dict.fromkeys(_unlike_remembered(profile, remembered, now), STORED)
        if reason := _skipped(profile, person, until, short=short):
            findings.skip(reason)
        else:
            events = [event for event in person.events if event.received_at < until]
            wrong |= _unlike_archived(profile, events, remembered, engine=engine, now=now, findings=findings)
        findings.wrong += bool(wrong)
        for segment, how in sorted(wrong.items()):
            findings.mismatches[segment] = findings.mismatches.get(segment, 0) + 1
            _give(findings, profile.id, segment, how)


def _give(findings: Findings, profile_id: str, segment: str, how: str) -> None:
    if len(findings.examples) < MAX_EXAMPLES:
        findings.examples.append((profile_id, segment, how))


def _overdue(profile: Profile, now: Instant) -> str:
    """Return what is wrong with a profile's wake-up; empty if nothing is."""
    least = min((known.valid_until for known in profile.memberships.values()), default=FOREVER)
    if least <= now - OVERDUE:
        return "a verdict ran out and nobody came"
    if least < FOREVER and (profile.due_at is None or profile.due_at > least):
        return "a verdict will run out and nobody is to come"
    return ""


def _unlike_remembered(profile: Profile, remembered: Mapping[str, Verdict], now: Instant) -> Iterator[str]:
    """Yield the segments whose stored verdict still holds and is another one than what is remembered gives."""
    for segment in remembered.keys() | profile.memberships.keys():
        stored = profile.memberships.get(segment, NOT_A_MEMBER)
        truth, _ = remembered.get(segment, (False, FOREVER))
        if now < stored.valid_until and stored.member != truth:
            yield segment


def _skipped(profile: Profile, person: Person, until: Instant, *, short: bool) -> str:
    """Return why somebody cannot be compared with the archive; empty if they can."""
    if profile.incomplete or short or not profile.identities <= person.ids:
        return WAITING
    # Whatever was written later may rest on what the archive does not have yet.
    return RECENT if profile.as_of >= until else ""


def _unlike_archived(
    profile: Profile,
    events: Sequence[Event],
    remembered: Mapping[str, Verdict],
    *,
    engine: Engine,
    now: Instant,
    findings: Findings,
) -> dict[str, str]:
    """Return the segments of which the archive says something else, and how."""
    beyond = len(profile.identities) >= MAX_IDENTITIES or _oldest(profile.streams) < min(
        (event.occurred_at for event in events), default=FOREVER
    )
    alone = _alone(profile, events, engine.memory, now)
    if rebuild.unite(profile, events, memory=engine.memory, now=now) or alone is None:
        # The next recompute, or event, corrects them.
        findings.skip(UNCORRECTED)
        return {}
    findings.compared += 1
    engine.memory.prune(profile.streams, now)
    wrong = dict.fromkeys(_differing(remembered, engine.evaluate(profile, now)), LOST)
    if beyond:
        findings.skip(BEYOND)
        return wrong
    findings.alone += 1
    return dict.fromkeys(_differing(remembered, engine.evaluate(alone, now)), EXTRA) | wrong


def _alone(profile: Profile, events: Iterable[Event], memory: Memory, now: Instant) -> Profile | None:
    """Return the profile as it would be if all was forgotten but the archive; None if that finds a machine's hits."""
    # What is archived was allowed when it happened, and is remembered though it may be refused now.
    tracked = {**profile.consent, Purpose.TRACKING: Consent(granted=True, at=now)}
    alone = replace(profile, streams={}, memberships={}, consent=tracked)
    found = rebuild.unite(alone, events, memory=memory, now=now)
    memory.prune(alone.streams, now)
    return None if found else replace(alone, consent=profile.consent)


def _differing(some: Mapping[str, Verdict], others: Mapping[str, Verdict]) -> Iterator[str]:
    return (segment for segment, verdict in some.items() if others[segment] != verdict)


def _oldest(streams: Streams) -> Instant:
    """Return the instant of the oldest event that is remembered for segments."""
    oldest = FOREVER
    for stream in streams.values():
        match stream:
            case Occurrences() | Values() | First():
                times = [stream.entries[0][0]] if stream.entries else []
            case Messages():
                times = [at for known in stream.entries.values() for at in known if at]
            case Provisional():
                times = [hit.at for hit in stream.entries.values() if not hit.machine]
            case _:
                times = []
        oldest = min(oldest, *times) if times else oldest
    return oldest
