"""SQS events: updates what segments remember of profiles, stores flips, hands accepted events to the archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import TypeAdapter, ValidationError

from mailtailor.aws import clients, live_definitions
from mailtailor.aws.batches import Failures, PoisonMessage, Record, receive_count
from mailtailor.aws.clock import clock_from_environment
from mailtailor.aws.due_index import WakeUps
from mailtailor.aws.event_queue import EventQueue, LargeEvents
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.profile_table import ProfileTable, pause_after_conflict
from mailtailor.aws.queues import Queue
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.aws.witnessed_clock import WitnessedClock
from mailtailor.events.envelope import Fetch, unpack
from mailtailor.events.event import Event
from mailtailor.instant import SECOND
from mailtailor.profiles import wake_up
from mailtailor.profiles.processing import Processor
from mailtailor.tracking.bursts import BurstSettings, parse_bursts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment."""

    profiles_table: str
    wake_ups_queue_url: str
    archive_queue_url: str
    rebuilds_queue_url: str
    intake_bucket: str
    definitions_table: str
    refresh_seconds: int = 10
    bursts: str = "3/1000 6/10000"
    provisional_seconds: int = 3_600


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    processor: Processor
    sqs: SQSClient
    fetch: Fetch


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    sqs = clients.sqs()
    large = LargeEvents(clients.s3(), settings.intake_bucket)
    rebuilds_queue = Queue(client=sqs, url=settings.rebuilds_queue_url)

    def rebuild(profile_id: str) -> None:
        rebuilds_queue.send_all(wake_up.pack([profile_id]))

    dynamodb = clients.dynamodb()
    clock = clock_from_environment(WitnessedClock(dynamodb))
    bursts = BurstSettings(parse_bursts(settings.bursts), provisional=settings.provisional_seconds * SECOND)
    processor = Processor(
        store=ProfileTable(client=dynamodb, table=settings.profiles_table),
        engine=live_definitions.for_writers(
            dynamodb,
            settings.definitions_table,
            refresh_seconds=settings.refresh_seconds,
            clock=clock,
            bursts=bursts,
        ),
        archive=EventQueue(Queue(client=sqs, url=settings.archive_queue_url), large).send,
        wake=WakeUps(Queue(client=sqs, url=settings.wake_ups_queue_url)),
        rebuild=rebuild,
        clock=clock,
        pause=pause_after_conflict,
    )
    return Dependencies(processor, sqs, large.fetch)


dependencies = prepared(connect)

RESERVE: Final = 15_000
"""Milliseconds in which what has been begun is finished, before Lambda ends the function."""

_EVENT = TypeAdapter(Event)


def parse(body: str, fetch: Fetch) -> tuple[list[Event], PoisonMessage | None]:
    """Return the events of a message that can be used, and the reason if some cannot."""
    try:
        entries = unpack(body, fetch)
    except ValueError as error:
        return [], PoisonMessage(type(error).__name__)
    events, poison = [], None
    for entry in entries:
        try:
            events.append(_EVENT.validate_python(entry))
        except ValidationError as error:
            fields = {".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False)}
            poison = PoisonMessage(f"an event has unusable fields: {', '.join(sorted(fields))[:200]}")
    return events, poison


def process(
    records: Sequence[Record], given: Dependencies, *, out_of_time: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Apply the events of a batch of messages; only messages that failed come again."""
    failures = Failures(records, client=given.sqs)
    batch: dict[str, list[Event]] = {}
    # Those that came before go first, lest a message be the one that time runs out on again and again.
    for record in sorted(records, key=receive_count, reverse=True):
        try:
            events, poison = parse(record["body"], given.fetch)
        except (BotoCoreError, ClientError) as error:
            failures.add(record["messageId"], error)
            continue
        if poison:
            failures.add(record["messageId"], poison)
        if events:
            batch[record["messageId"]] = events
    outcome = given.processor.events(batch, out_of_time=out_of_time)
    for message_id, reason in outcome.failed.items():
        failures.add(message_id, reason)
    count("EventsAccepted", outcome.accepted)
    count("EventsCorrected", outcome.corrected)
    count("EventsWithoutConsent", outcome.refused)
    count("AttributesDropped", outcome.dropped)
    count("Flips", outcome.flips)
    count("WriteConflicts", outcome.conflicts)
    count("IdentityConflicts", outcome.identity_conflicts)
    return failures.response()


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Apply the events of a batch of messages."""

    def out_of_time() -> bool:
        return context.get_remaining_time_in_millis() < RESERVE

    return process(event["Records"], dependencies(), out_of_time=out_of_time)
