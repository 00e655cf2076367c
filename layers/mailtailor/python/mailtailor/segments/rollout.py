"""How definitions replace others while events go on. Pure: who stores it and who does it is elsewhere.

1. `WAITING`: another version is staged. Whoever processes events remembers what both need, and still evaluates by the
   active one. What was received before everybody did so has to reach the archive.
2. `BACKFILLING`: everybody is united with their archived events and evaluated by the staged one. That write switches
   a profile: its stored fingerprint says from then on which of both evaluates it.
3. `CLOSING`: the staged version is the active one now. Who was not switched, because all that is known of them was
   remembered since it was staged, is evaluated by it. When a staged version was abandoned, whoever was switched to it
   comes back in the same way.
4. `SETTLED`: one version rules.

Each step is a state of its own, stored on the condition that nobody else took another meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mailtailor.instant import Instant


class Phase(StrEnum):
    """Where it stands."""

    SETTLED = "settled"
    WAITING = "waiting"
    BACKFILLING = "backfilling"
    CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class Rollout:
    """Which version rules, and how far another one has come.

    Attributes
    ----------
    active, staged
        Numbers of versions; nothing is staged while it is None.
    latest
        The highest number that a version has.
    phase, since
        Where it stands, and since when.
    staged_at
        When the last change began.
    heard_at
        An instant at which everybody knows of this phase; None until somebody has looked at it after it was stored.
    run, attempt
        The recomputation of this phase, and the how manieth it is; none yet if empty.
    sent
        Whether the messages of that recomputation were sent.
    skip_unreadable
        Whether files of the archive that cannot be read are left out.
    people, entered, left
        How many people the backfill evaluated, and how many of them it let enter and leave segments, by name.
    revision
        Counts how often this was stored.
    """

    active: int = 0
    staged: int | None = None
    latest: int = 0
    phase: Phase = Phase.SETTLED
    since: Instant = 0
    staged_at: Instant = 0
    heard_at: Instant | None = None
    run: str = ""
    attempt: int = 0
    sent: bool = False
    skip_unreadable: bool = False
    people: int = 0
    entered: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)
    revision: int = 0

    @property
    def under_way(self) -> bool:
        """Whether somebody may not be evaluated by the active version yet."""
        return self.phase is not Phase.SETTLED

    @property
    def ruling(self) -> int:
        """The version by which everybody is evaluated in the end."""
        return self.active if self.staged is None else self.staged

    def stage(self, number: int, *, at: Instant, skip_unreadable: bool = False) -> Rollout:
        """Return the state in which a version is to replace the active one, and whatever was to do so before."""
        begun = self._in(Phase.WAITING, at)
        return replace(
            begun,
            staged=number,
            latest=max(self.latest, number),
            staged_at=at,
            skip_unreadable=skip_unreadable,
            people=0,
            entered={},
            left={},
        )

    def adopt(self, number: int, *, at: Instant) -> Rollout:
        """Return the state in which a version rules that has the members of the active one."""
        return replace(self, active=number, latest=max(self.latest, number), staged_at=at)

    def abandon(self, *, at: Instant) -> Rollout:
        """Return the state in which the active version goes on, and whoever was switched comes back."""
        return replace(self._in(Phase.CLOSING, at), staged=None)

    def heard(self, by: Instant) -> Rollout:
        """Return the state with the instant at which everybody knows of it."""
        return replace(self, heard_at=by)

    def backfill(self, *, at: Instant) -> Rollout:
        """Return the state in which everybody is switched."""
        return replace(self._in(Phase.BACKFILLING, at), heard_at=at)

    def recompute(self, run: str) -> Rollout:
        """Return the state with another recomputation."""
        return replace(self, run=run, attempt=self.attempt + 1, sent=False)

    def activate(
        self,
        *,
        at: Instant,
        people: int = 0,
        entered: Mapping[str, int] | None = None,
        left: Mapping[str, int] | None = None,
    ) -> Rollout:
        """Return the state in which the staged version is the active one, with what the backfill did."""
        closing = replace(self._in(Phase.CLOSING, at), active=self.ruling, staged=None)
        return replace(closing, people=people, entered=entered or {}, left=left or {})

    def settle(self, *, at: Instant) -> Rollout:
        """Return the state in which all is done."""
        return self._in(Phase.SETTLED, at)

    def _in(self, phase: Phase, at: Instant) -> Rollout:
        return replace(self, phase=phase, since=at, heard_at=None, run="", attempt=0, sent=False)
