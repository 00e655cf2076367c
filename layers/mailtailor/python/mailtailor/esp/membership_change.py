"""A flip on its way to an ESP: one message of the queue `esp`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mailtailor.instant import Instant

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """A profile entered or left a segment.

    Parameters
    ----------
    profile_id, segment
        Whose membership of what.
    entered
        True if the profile is a member now.
    version
        The profile's version by the write that flipped. Of two changes of one profile and segment, the one with the
        higher version is the truth, whichever arrives first.
    at
        When it became true.
    reason
        `event:<event id>`, `time`, `consent`, `definition` or `merge`.
    valid_until
        When time alone may change it again, None if never.
    """

    profile_id: str
    segment: str
    entered: bool
    version: int
    at: Instant
    reason: str
    valid_until: Instant | None

    @property
    def id(self) -> str:
        """The same for every repetition of this change, so that receivers can drop repeats."""
        named = "\n".join((self.profile_id, self.segment, str(self.version)))
        return f"flip_{hashlib.sha256(named.encode()).hexdigest()[:32]}"

    @property
    def crowd(self) -> str:
        """What makes very many flip at once, empty if a person's own doing did."""
        return self.reason if self.reason in {"time", "definition", "rebuild"} else ""

    def to_json(self) -> str:
        """Return the body of the queue's message."""
        return json.dumps(
            {
                "v": VERSION,
                "profile_id": self.profile_id,
                "segment": self.segment,
                "state": "entered" if self.entered else "left",
                "version": self.version,
                "at": self.at,
                "reason": self.reason,
                "valid_until": self.valid_until,
            },
            separators=(",", ":"),
        )


def parse(body: str) -> MembershipChange:
    """Return the change that a message of the queue tells of.

    Raises
    ------
    ValueError
        If the message is not one of ours.
    """
    message = json.loads(body)
    if not isinstance(message, Mapping) or message.get("v") != VERSION:
        raise ValueError(f"not a membership change of version {VERSION}")
    if message.get("state") not in {"entered", "left"}:
        raise ValueError("a membership change enters or leaves")
    return MembershipChange(
        profile_id=_text(message, "profile_id"),
        segment=_text(message, "segment"),
        entered=message["state"] == "entered",
        version=_whole(message, "version"),
        at=_whole(message, "at"),
        reason=_text(message, "reason"),
        valid_until=None if message.get("valid_until") is None else _whole(message, "valid_until"),
    )


def _text(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is not a text")
    return value


def _whole(message: Mapping[str, Any], name: str) -> int:
    value = message.get(name)
    if type(value) is not int:
        raise ValueError(f"{name} is not a whole number")
    return value
