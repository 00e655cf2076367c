"""Which faults are played: all of them by night, and a share with every change."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Final

from tests.integration.crashes.story import PLANS, play
from tests.integration.crashes.wire import Fault, Kind, Outcome, Point

READS: Final = ("BatchGet", "Get", "List", "Query")
"""How requests begin that change nothing, so that whatever goes wrong with them is like dying before the next."""


def by_kind(points: Sequence[Point]) -> dict[Kind, list[Point]]:
    """Return the requests of a run by their kind, in the kinds' order."""
    kinds: dict[Kind, list[Point]] = {}
    for point in points:
        kinds.setdefault(point.kind, []).append(point)
    return dict(sorted(kinds.items()))


@dataclass(frozen=True)
class Played:
    """A fault in one of the hours.

    Attributes
    ----------
    plan
        The hour's name.
    point, outcome
        Where, and what goes wrong.
    """

    plan: str
    point: Point
    outcome: Outcome


def requests(plan: str) -> list[Point]:
    """Return the requests of an undisturbed hour.

    Raises
    ------
    AssertionError
        If something is wrong without a fault.
    """
    with silence():
        return play(PLANS[plan], None)


def share(hours: Mapping[str, Sequence[Point]]) -> list[Played]:
    """Return a fault for each kind of request that changes anything: outcomes in turn, requests all over the hour.

    Parameters
    ----------
    hours
        The requests of each hour, by its name.
    """
    first = {kind: plan for plan, points in reversed(list(hours.items())) for kind in by_kind(points)}
    changing = sorted(kind for kind in first if not kind.request.startswith(READS))
    outcomes = list(Outcome)
    faults = []
    for number, kind in enumerate(changing):
        found = by_kind(hours[first[kind]])[kind]
        faults.append(Played(first[kind], found[number * 7 % len(found)], outcomes[number % len(outcomes)]))
    return faults


def everything(hours: Mapping[str, Sequence[Point]]) -> list[Played]:
    """Return every outcome of every request."""
    return [Played(plan, point, outcome) for plan, points in hours.items() for point in points for outcome in Outcome]


def failure(fault: Played) -> str:
    """Play a fault, and return what is wrong then; nothing if all is well."""
    try:
        with silence():
            play(PLANS[fault.plan], Fault(fault.point.number, fault.outcome))
    except AssertionError as error:
        function, request = fault.point.kind
        return f"{fault.plan}: {function} {fault.outcome}, {request} (number {fault.point.number}): {_told(error)}"
    return ""


def _told(error: AssertionError) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{where.line} {error}"


def reveals(kind: Kind, outcome: Outcome) -> str:
    """Return what is wrong in an undisturbed hour or with any fault of that sort; nothing if all is well."""
    for plan in PLANS:
        try:
            points = requests(plan)
        except AssertionError as error:
            return f"without a fault: {_told(error)}"
        faults = (Played(plan, point, outcome) for point in by_kind(points).get(kind, ()))
        if said := next(filter(None, map(failure, faults)), ""):
            return said
    return ""


@contextmanager
def silence() -> Iterator[None]:
    """Keep functions' logs and metrics to themselves."""
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
