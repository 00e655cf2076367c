"""A profile: everything we know of one person, in one small item."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from mailtailor.consent.policy import Consent, Purpose
from mailtailor.instant import MINUTE, Instant
from mailtailor.segments.engine import Membership
from mailtailor.segments.streams import Streams

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]

NEAR = 3 * MINUTE
"""Wake-ups due within this time are sent by whoever writes the profile; the clock's sweep finds the rest."""


class Attribute(NamedTuple):
    """A trait and the instant of the event that stated it."""

    value: JsonValue
    at: Instant


class Stitch(NamedTuple):
    """The browser that used a stitch token, by its anonymous identity, and when the token expires."""

    identity: str
    expires_at: Instant


@dataclass(frozen=True, slots=True)
class Flip:
    """A change of membership, published from the stream of the write that stored it.

    `reason` is `event:<event id>`, `time`, `consent`, `definition`, `merge` or `rebuild`.
    """

    segment: str
    entered: bool
    at: Instant
    reason: str
    valid_until: Instant


@dataclass(slots=True)
class Profile:
    """What we know of a person.

    Attributes
    ----------
    id
        The pseudonym of the identity it was first seen by.
    version
        Counts writes; 0 is a profile that was never written.
    epoch
        Revocation epoch of content and manage tokens.
    identities
        Ids of other identities that point here.
    streams, memberships, definitions
        What segments remember and said last, and the fingerprint of the definitions that said it.
    as_of
        The instant of the last evaluation; never moves back, though clocks of two machines may.
    due_at
        When the clock wakes this profile; may be earlier than needed, never later.
    incomplete
        A correction left less than segments may need; the profile is to be rebuilt from the archive.
    stitches
        Stitch tokens used lately, by their nonce.
    merged_into
        Set on the pointer that remains of a profile that became part of another.
    """

    id: str
    version: int = 0
    epoch: int = 0
    attributes: dict[str, Attribute] = field(default_factory=dict)
    consent: dict[Purpose, Consent] = field(default_factory=dict)
    identities: frozenset[str] = frozenset()
    streams: Streams = field(default_factory=dict)
    memberships: dict[str, Membership] = field(default_factory=dict)
    definitions: str = ""
    as_of: Instant = 0
    due_at: Instant | None = None
    incomplete: bool = False
    stitches: dict[str, Stitch] = field(default_factory=dict)
    merged_into: str | None = None

    @property
    def blank(self) -> bool:
        """Whether this is a stranger of whom nothing is known: no trace is kept of what consent did not admit."""
        return not (self.version or self.attributes or self.consent or self.identities or self.streams)

    def attribute(self, name: str) -> JsonValue:
        """Return the value of an attribute, None if unknown."""
        attribute = self.attributes.get(name)
        return attribute.value if attribute else None
