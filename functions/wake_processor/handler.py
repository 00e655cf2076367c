"""SQS wake_ups: evaluates the profiles that are due, so that members leave and enter by time, to the second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mailtailor.aws import clients, definitions
from mailtailor.aws.batches import PoisonMessage, Record, process_each
from mailtailor.aws.clock import clock_from_environment
from mailtailor.aws.due_index import WakeUps
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.profile_table import ProfileTable, pause_after_conflict
from mailtailor.aws.queues import Queue
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.instant import SECOND
from mailtailor.profiles.processing import WakeUpProcessor
from mailtailor.profiles.wake_up import unpack
from mailtailor.segments.engine import Engine
from mailtailor.tracking.bursts import BurstSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment."""

    profiles_table: str
    wake_ups_queue_url: str
    provisional_seconds: int = 3_600


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    processor: WakeUpProcessor
    sqs: SQSClient


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    sqs = clients.sqs()
    processor = WakeUpProcessor(
        store=ProfileTable(client=clients.dynamodb(), table=settings.profiles_table),
        engine=Engine(definitions.segments(), bursts=BurstSettings(provisional=settings.provisional_seconds * SECOND)),
        wake=WakeUps(Queue(client=sqs, url=settings.wake_ups_queue_url)),
        clock=clock_from_environment(),
        pause=pause_after_conflict,
    )
    return Dependencies(processor, sqs)


dependencies = prepared(connect)


def process(records: Sequence[Record], given: Dependencies) -> dict[str, Any]:
    """Evaluate the profiles of a batch of messages; only messages that failed come again."""

    def wake(body: str, _record: Record) -> None:
        try:
            profile_ids = unpack(body)
        except ValueError as error:
            raise PoisonMessage(type(error).__name__) from error
        outcome = given.processor.wake_ups(profile_ids)
        count("Flips", outcome.flips)
        count("WriteConflicts", outcome.conflicts)
        if outcome.failed:
            # The message comes again; profiles that were done find nothing due.
            raise next(iter(outcome.failed.values()))

    return process_each(records, wake, client=given.sqs)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Evaluate the profiles of a batch of messages."""
    return process(event["Records"], dependencies())
