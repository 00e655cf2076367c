"""Every minute: sends the wake-ups of all profiles that are due soon, each timed to the second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mailtailor.aws import clients
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.due_index import ClockTable, DueIndexTable, WakeUps
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.queues import Queue
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.profiles.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment."""

    profiles_table: str
    clock_table: str
    wake_ups_queue_url: str


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    index: DueIndexTable
    cursor: ClockTable
    wake: WakeUps
    clock: Clock


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    dynamodb = clients.dynamodb()
    return Dependencies(
        index=DueIndexTable(client=dynamodb, table=settings.profiles_table),
        cursor=ClockTable(client=dynamodb, table=settings.clock_table),
        wake=WakeUps(Queue(client=clients.sqs(), url=settings.wake_ups_queue_url)),
        clock=clock_from_environment(),
    )


dependencies = prepared(connect)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(_event: Mapping[str, Any], _context: object) -> dict[str, int]:
    """Sweep the due index once."""
    given = dependencies()
    sent = sweep(index=given.index, cursor=given.cursor, wake=given.wake, now=given.clock())
    count("WakeUpsSent", sent)
    return {"sent": sent}
