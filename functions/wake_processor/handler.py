"""SQS wake_ups: evaluates the profiles that are due, so that members leave and enter by time, to the second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mailtailor.aws import clients, live_definitions
from mailtailor.aws.batches import PoisonMessage, Record, process_each, receive_count
from mailtailor.aws.clock import clock_from_environment
from mailtailor.aws.due_index import WakeUps
from mailtailor.aws.observability import count, logger, metrics, seconds
from mailtailor.aws.profile_table import ProfileTable, pause_after_conflict
from mailtailor.aws.queues import Queue
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.aws.witnessed_clock import WitnessedClock
from mailtailor.instant import SECOND
from mailtailor.profiles.processing import WakeUpProcessor
from mailtailor.profiles.wake_up import pack, unpack
from mailtailor.tracking.bursts import BurstSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment."""

    profiles_table: str
    definitions_table: str
    wake_ups_queue_url: str
    rebuilds_queue_url: str
    refresh_seconds: int = 10
    provisional_seconds: int = 3_600


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    processor: WakeUpProcessor
    sqs: SQSClient


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    sqs, dynamodb = clients.sqs(), clients.dynamodb()
    clock = clock_from_environment(WitnessedClock(dynamodb))
    rebuilds = Queue(client=sqs, url=settings.rebuilds_queue_url)
    processor = WakeUpProcessor(
        store=ProfileTable(client=dynamodb, table=settings.profiles_table),
        engine=live_definitions.for_writers(
            dynamodb,
            settings.definitions_table,
            refresh_seconds=settings.refresh_seconds,
            clock=clock,
            bursts=BurstSettings(provisional=settings.provisional_seconds * SECOND),
        ),
        wake=WakeUps(Queue(client=sqs, url=settings.wake_ups_queue_url)),
        rebuild=lambda profile_id: rebuilds.send_all(pack([profile_id])),
        clock=clock,
        pause=pause_after_conflict,
    )
    return Dependencies(processor, sqs)


dependencies = prepared(connect)


RESERVE: Final = 15_000
"""Milliseconds in which what has been begun is finished, before Lambda ends the function."""


def process(
    records: Sequence[Record], given: Dependencies, *, out_of_time: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Evaluate the profiles of a batch of messages; only messages that failed come again."""

    def wake(body: str, _record: Record) -> None:
        try:
            profile_ids = unpack(body)
        except ValueError as error:
            raise PoisonMessage(type(error).__name__) from error
        outcome = given.processor.wake_ups(profile_ids, out_of_time=out_of_time)
        count("Flips", outcome.flips)
        count("WriteConflicts", outcome.conflicts)
        if outcome.lateness is not None:
            seconds("WakeUpLateness", outcome.lateness / SECOND)
        if outcome.failed:
            # The message comes again; profiles that were done find nothing due.
            raise next(iter(outcome.failed.values()))

    # Those that came before go first, lest a message be the one that time runs out on again and again.
    return process_each(sorted(records, key=receive_count, reverse=True), wake, client=given.sqs)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Evaluate the profiles of a batch of messages."""

    def out_of_time() -> bool:
        return context.get_remaining_time_in_millis() < RESERVE

    return process(event["Records"], dependencies(), out_of_time=out_of_time)
