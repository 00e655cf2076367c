"""Which faults are played: all of them by night, and a share with every change."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Final

from tests.integration.crashes.story import play
from tests.integration.crashes.wire import Fault, Kind, Outcome, Point

READS: Final = ("BatchGet", "Get", "List", "Query")
"""How requests begin that change nothing, so that whatever goes wrong with them is like dying before the next."""


def by_kind(points: Sequence[Point]) -> dict[Kind, list[Point]]:
    """Return the requests of a run by their kind, in the kinds' order."""
    kinds: dict[Kind, list[Point]] = {}
    for point in points:
        kinds.setdefault(point.kind, []).append(point)
    return dict(sorted(kinds.items()))


def share(points: Sequence[Point]) -> list[tuple[Point, Outcome]]:
    """Return a fault for each kind of request that changes anything: outcomes in turn, requests all over the run."""
    outcomes = list(Outcome)
    changing = [found for kind, found in by_kind(points).items() if not kind.request.startswith(READS)]
    return [(found[number * 7 % len(found)], outcomes[number % len(outcomes)]) for number, found in enumerate(changing)]


def everything(points: Sequence[Point]) -> Iterator[tuple[Point, Outcome]]:
    """Yield every outcome of every request."""
    return ((point, outcome) for point in points for outcome in Outcome)


def failure(point: Point, outcome: Outcome) -> str:
    """Play a fault, and return what is wrong then; nothing if all is well."""
    try:
        with silence():
            play(Fault(point.number, outcome))
    except AssertionError as error:
        return f"{point.kind.function} {outcome}, {point.kind.request} (number {point.number}): {_told(error)}"
    return ""


def _told(error: AssertionError) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{where.line} {error}"


@contextmanager
def silence() -> Iterator[None]:
    """Keep functions' logs and metrics to themselves."""
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def reveals(kind: Kind, outcome: Outcome) -> str:
    """Return what is wrong in the undisturbed hour or with any fault of that sort; nothing if all is well."""
    try:
        with silence():
            points = play(None)
    except AssertionError as error:
        return f"without a fault: {_told(error)}"
    faults = by_kind(points)[kind]
    return next((said for point in faults if (said := failure(point, outcome))), "")
