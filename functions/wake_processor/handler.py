"""Evaluates the profiles that are due, so that members leave and enter by time, to the second."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from mailtailor.aws import clients, definitions
from mailtailor.aws.batches import PoisonMessage, Record, process_each
from mailtailor.aws.clock import clock_from_environment
from mailtailor.aws.due_index import WakeUps
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.aws.queues import Queue
from mailtailor.aws.settings import from_environment
from mailtailor.profiles.processing import WakeUpProcessor
from mailtailor.profiles.wake_up import unpack
from mailtailor.segments.engine import Engine

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment."""

    profiles_table: str
    wake_ups_queue_url: str


@cache
def processor() -> WakeUpProcessor:
    """Compose the processor, once a container."""
    settings = from_environment(Settings)
    return WakeUpProcessor(
        store=ProfileTable(client=clients.dynamodb(), table=settings.profiles_table),
        engine=Engine(definitions.segments()),
        wake=WakeUps(Queue(client=clients.sqs(), url=settings.wake_ups_queue_url)),
        clock=clock_from_environment(),
    )


def wake(body: str, _record: Record) -> None:
    """Evaluate the profiles of one message."""
    try:
        profile_ids = unpack(body)
    except ValueError as error:
        raise PoisonMessage(type(error).__name__) from error
    outcome = processor().wake_ups(profile_ids)
    count("Flips", outcome.flips)
    count("WriteConflicts", outcome.conflicts)
    if outcome.failed:
        # The message comes again; profiles that were done find nothing due.
        raise next(iter(outcome.failed.values()))


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Process a batch of messages of wake-ups."""
    return process_each(event["Records"], wake, client=clients.sqs())
