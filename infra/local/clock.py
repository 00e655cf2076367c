"""The clock of the local system: an offset in a file that every function reads, so that time can be moved forward."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mailtailor.aws.clock import system_clock
from mailtailor.errors import BadInput
from mailtailor.instant import Instant

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


def offset(file: Path) -> int:
    """Return by how many milliseconds the local clock is ahead of the machine's."""
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def now(file: Path) -> Instant:
    """Return the local system's current instant."""
    return system_clock() + offset(file)


def move(file: Path, milliseconds: int) -> None:
    """Move the clock forward by `milliseconds`.

    Raises
    ------
    BadInput
        If `milliseconds` is negative: membership is a function of the events up to now, and some would lie ahead.
    """
    if milliseconds < 0:
        raise BadInput("Time can only be moved forward.", "Start the system again with a clean state to go back.")
    moved = offset(file) + milliseconds
    file.parent.mkdir(parents=True, exist_ok=True)
    # Functions read the file at any moment, so it is replaced whole, never half written.
    fresh = file.with_suffix(".new")
    fresh.write_text(str(moved))
    fresh.replace(file)


def reset(file: Path) -> None:
    """Let the local clock agree with the machine's again."""
    file.unlink(missing_ok=True)


def sweep(functions: LambdaClient, segment_clock: str) -> None:
    """Run the segment clock once, so that wake-ups that a moved clock made due fire now, not at the next minute."""
    functions.invoke(FunctionName=segment_clock, Payload=b"{}")
