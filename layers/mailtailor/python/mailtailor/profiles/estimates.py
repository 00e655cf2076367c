"""What segments would be like, in numbers that can be added up and sent: how many members, and how many time moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

DAYS: Final = 7


@dataclass(slots=True)
class Estimate:
    """What a segment would be like.

    Attributes
    ----------
    members
        How many people are in it.
    entering, leaving
        How many people time alone brings in and takes out, if nothing else happens: of each of the next days, the first
        being the 24 hours from now. Each person counts once, at the next turn.
    """

    members: int = 0
    entering: list[int] = field(default_factory=lambda: [0] * DAYS)
    leaving: list[int] = field(default_factory=lambda: [0] * DAYS)

    def add(self, other: Estimate) -> None:
        """Add what is known of other people."""
        self.members += other.members
        for mine, theirs in ((self.entering, other.entering), (self.leaving, other.leaving)):
            mine[:] = [one + another for one, another in zip(mine, theirs, strict=True)]


@dataclass(slots=True)
class Estimates:
    """What segments would be like.

    Attributes
    ----------
    segments
        By name.
    people, events
        Who allows personalization, and how many rows were read for them.
    by_engine
        How many of them the engine had to evaluate by itself.
    """

    segments: dict[str, Estimate] = field(default_factory=dict)
    people: int = 0
    events: int = 0
    by_engine: int = 0

    def add(self, other: Estimates) -> None:
        """Add what is known of other people."""
        for name, estimate in other.segments.items():
            self.segments.setdefault(name, Estimate()).add(estimate)
        self.people += other.people
        self.events += other.events
        self.by_engine += other.by_engine

    def payload(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def of_payload(cls, told: Mapping[str, Any]) -> Estimates:
        """Return what `payload` was made of."""
        return cls(**{**told, "segments": {name: Estimate(**one) for name, one in told["segments"].items()}})
