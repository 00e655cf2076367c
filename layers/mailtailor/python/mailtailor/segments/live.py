"""The engines of whatever version rules now: one, or two while definitions change.

A function that runs for hours asks every few seconds what rules, and reads a version only if it is another one. Whoever
writes profiles must know it for certain: what everybody remembers is what a change of definitions rests on
(`segments.rollout`). Whoever only reads may go on with what was known last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mailtailor.instant import SECOND, Instant
from mailtailor.segments.definition import Condition, SegmentDefinition
from mailtailor.segments.engine import DEFAULT_BURSTS, Engine
from mailtailor.segments.person import Person, Rule
from mailtailor.segments.rollout import Phase, Rollout
from mailtailor.segments.verdict import Verdict
from mailtailor.segments.versions import Version
from mailtailor.tracking.bursts import BurstSettings

REFRESH: Final = 10 * SECOND
LEASE: Final = 60 * SECOND
"""Whoever writes profiles and could not ask for so long stops; their messages come again."""
MAX_COMPILED: Final = 4
"""Of an audience; more definitions than two do not rule at once."""
RETRY: Final = SECOND
"""After a failure."""


class DefinitionsUnknown(Exception):
    """Nobody knows which definitions rule; whatever asks is for a later try."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where definitions come from.

    Attributes
    ----------
    rollout
        Reads what rules, strongly consistent; None before anything was applied.
    version
        Reads a version.
    deployed
        Returns the segments that rule until then.
    """

    rollout: Callable[[], Rollout | None]
    version: Callable[[int], Version]
    deployed: Callable[[], tuple[SegmentDefinition, ...]]


@dataclass(frozen=True, slots=True)
class View:
    """What rules.

    Attributes
    ----------
    active, staged
        The engines; both remember what either needs.
    rollout
        What it was made from; None if nothing was applied.
    """

    active: Engine
    staged: Engine | None
    rollout: Rollout | None

    @property
    def versions(self) -> tuple[int, int | None] | None:
        """The numbers of both; None if nothing was applied."""
        return None if self.rollout is None else (self.rollout.active, self.rollout.staged)


def _at_once(ask: Callable[[], None]) -> None:
    ask()


class LiveEngines:
    """The engines of whatever rules now.

    Parameters
    ----------
    sources
        Where definitions come from.
    clock
        Tells the current instant.
    bursts
        Of all engines.
    refresh
        Milliseconds after which is asked again.
    lease
        Milliseconds for which what was known last is good if that fails; None for ever.
    failed
        Told each failure.
    run
        Asks again: at once, or beside whoever waits for an answer; always at once if what is known is old.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        clock: Callable[[], Instant],
        bursts: BurstSettings = DEFAULT_BURSTS,
        refresh: int = REFRESH,
        lease: int | None = LEASE,
        failed: Callable[[Exception], None] = lambda _error: None,
        run: Callable[[Callable[[], None]], object] = _at_once,
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._bursts = bursts
        self._refresh = refresh
        self._lease = lease
        self._failed = failed
        self._run = run
        self._view: View | None = None
        self._known_at: Instant = 0
        self._ask_at: Instant = 0
        self._asking = False

    @property
    def known(self) -> bool:
        """Whether it was ever known what rules."""
        return self._view is not None

    def of(self, *evaluated_by: str) -> Engine:
        """Return the engine of a profile; see `Engines.of`.

        The staged one has to have all of somebody's history, so of several profiles it must be that of each that has
        been evaluated at all.

        Raises
        ------
        DefinitionsUnknown
            If it is not known what rules.
        """
        view = self.view()
        if view.staged is None:
            return view.active
        switched = {one for one in evaluated_by if one} == {view.staged.fingerprint}
        return view.staged if switched else view.active

    def of_whole(self) -> Engine:
        """Return the engine of a profile that is united with its archived events; see `Engines.of_whole`.

        Raises
        ------
        DefinitionsUnknown
            If it is not known what rules.
        """
        view = self.view()
        backfilling = view.rollout is not None and view.rollout.phase is Phase.BACKFILLING
        return view.staged if view.staged is not None and backfilling else view.active

    def audience(self, condition: Condition) -> Rule:
        """Return the rule of an audience for people whom either engine looks at; see `Engine.audience`.

        It is compiled when it is first asked, so it is the rule that raises `BadReference`.
        """
        compiled: dict[str, Rule] = {}

        def rule(person: Person, now: Instant) -> Verdict:
            known = compiled.get(person.definitions)
            if known is None:
                if len(compiled) >= MAX_COMPILED:
                    compiled.clear()
                known = compiled[person.definitions] = self.of(person.definitions).audience(condition)
            return known(person, now)

        return rule

    def view(self) -> View:
        """Return what rules.

        Raises
        ------
        DefinitionsUnknown
            If it could not be asked for longer than the lease.
        """
        now = self._clock()
        if self._view is None:
            self._ask()
        # A clock that was set back must not keep what is known for longer.
        elif (now >= self._ask_at or self._ask_at - now > self._refresh) and not self._asking:
            self._asking = True
            # Whoever slept for an hour waits: what ruled then may be forgotten by profiles.
            run = self._run if abs(now - self._known_at) < LEASE else _at_once
            run(self._ask)
        if self._view is None or (self._lease is not None and abs(self._clock() - self._known_at) >= self._lease):
            raise DefinitionsUnknown
        return self._view

    def fresh(self) -> View:
        """Return what rules in this moment; whatever fails, fails."""
        began = self._clock()
        self._view = self._read()
        self._known_at, self._ask_at = began, began + self._refresh
        return self._view

    def _ask(self) -> None:
        try:
            self.fresh()
        except Exception as error:  # noqa: BLE001 - whatever fails, what was known last serves for a while
            self._failed(error)
            self._ask_at = self._clock() + min(RETRY, self._refresh)
        finally:
            self._asking = False

    def _read(self) -> View:
        rollout, known = self._sources.rollout(), self._view
        if rollout is None:
            if known is not None and known.rollout is None:
                return known
            return View(Engine(self._sources.deployed(), bursts=self._bursts), None, None)
        if known is not None and known.versions == (rollout.active, rollout.staged):
            return View(known.active, known.staged, rollout)
        active = self._sources.version(rollout.active)
        staged = None if rollout.staged is None else self._sources.version(rollout.staged)
        if staged is None:
            return View(self._engine(active, None), None, rollout)
        return View(self._engine(active, staged), self._engine(staged, active), rollout)

    def _engine(self, one: Version, other: Version | None) -> Engine:
        also = other.segments if other is not None else ()
        return Engine(one.segments, bursts=self._bursts, also=also, mark=one.mark)
