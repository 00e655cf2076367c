"""By which definitions a run recomputes."""

from __future__ import annotations

from mailtailor.aws.definition_versions import CANDIDATE, DefinitionVersions
from mailtailor.aws.recompute_bucket import Superseded
from mailtailor.aws.recompute_runs import Purpose, Run
from mailtailor.segments.engine import Engine
from mailtailor.segments.live import LiveEngines
from mailtailor.segments.rollout import Phase
from mailtailor.tracking.bursts import BurstSettings

_PHASES = {Purpose.SWITCH: Phase.BACKFILLING, Purpose.REST: Phase.CLOSING}


class RunEngines:
    """Finds the engine of a run.

    Parameters
    ----------
    engines
        Those of the versions that rule.
    versions
        Has what is only tried.
    bursts
        Of the engine that is only tried.
    """

    def __init__(self, engines: LiveEngines, versions: DefinitionVersions, *, bursts: BurstSettings) -> None:
        self._engines = engines
        self._versions = versions
        self._bursts = bursts
        self._tried: tuple[str, Engine] | None = None

    def __call__(self, run: Run) -> Engine | None:
        """Return what evaluates everybody in a run; None if each is evaluated by what does so anyway.

        Raises
        ------
        Superseded
            If it is a rollout's run that another one has taken the place of.
        """
        match run.purpose:
            case Purpose.RECOMPUTE:
                return None
            case Purpose.TRY:
                return self._of_candidate(run)
            case _:
                return self._of_rollout(run)

    def _of_candidate(self, run: Run) -> Engine:
        if self._tried is None or self._tried[0] != run.id:
            candidate = self._versions.version(CANDIDATE)
            if candidate.note != run.id:
                raise Superseded(run.id)
            self._tried = run.id, Engine(candidate.segments, bursts=self._bursts)
        return self._tried[1]

    def _of_rollout(self, run: Run) -> Engine:
        view = self._engines.fresh()
        rollout = view.rollout
        if rollout is None or rollout.run != run.id or rollout.phase is not _PHASES[run.purpose]:
            raise Superseded(run.id)
        return view.active if view.staged is None else view.staged
