"""SQS recompute: recomputes everybody in a bucket of the archive, for some minutes, then sends itself the rest."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mailtailor.aws import clients, live_definitions
from mailtailor.aws.archive_bucket import CONNECTIONS, ArchiveBucket, UnreadableFile
from mailtailor.aws.archive_people import ArchivePeople
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.batches import PoisonMessage, Record, process_each
from mailtailor.aws.bucket_message import pack, unpack
from mailtailor.aws.clock import clock_from_environment
from mailtailor.aws.definition_versions import DefinitionVersions
from mailtailor.aws.due_index import WakeUps
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.profile_table import ProfileTable, pause_after_conflict
from mailtailor.aws.queues import Queue
from mailtailor.aws.recompute_bucket import BucketRecomputer
from mailtailor.aws.recompute_engine import RunEngines
from mailtailor.aws.recompute_runs import RecomputeRuns
from mailtailor.aws.rest_people import RestPeople
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.aws.witnessed_clock import WitnessedClock
from mailtailor.events import archive
from mailtailor.events.envelope import nowhere
from mailtailor.events.envelope import pack as pack_events
from mailtailor.events.event import Event
from mailtailor.instant import SECOND
from mailtailor.profiles.recompute import Recomputer
from mailtailor.profiles.wake_up import pack as pack_profiles
from mailtailor.tracking.bursts import BurstSettings, parse_bursts

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sqs import SQSClient

RESERVE: Final = 60_000
"""Milliseconds in which a chunk that has begun is finished, before Lambda ends the function."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment; Lambda itself tells how much memory there is."""

    profiles_table: str
    definitions_table: str
    clock_table: str
    archive_bucket: str
    archive_queue_url: str
    wake_ups_queue_url: str
    rebuilds_queue_url: str
    recompute_queue_url: str
    refresh_seconds: int = 10
    bursts: str = "3/1000 6/10000"
    provisional_seconds: int = 3_600
    aws_lambda_function_memory_size: int = 2048


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    bucket: BucketRecomputer
    sqs: SQSClient


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    sqs, dynamodb = clients.sqs(), clients.dynamodb()
    s3 = clients.s3(connections=CONNECTIONS)
    archive_queue = Queue(client=sqs, url=settings.archive_queue_url)
    rebuilds = Queue(client=sqs, url=settings.rebuilds_queue_url)
    profiles = ProfileTable(client=dynamodb, table=settings.profiles_table)
    clock = clock_from_environment(WitnessedClock(dynamodb))

    def send(events: Iterable[Event]) -> None:
        archive_queue.send_all(pack_events((event.model_dump_json(exclude_defaults=True) for event in events), nowhere))

    bursts = BurstSettings(parse_bursts(settings.bursts), provisional=settings.provisional_seconds * SECOND)
    engines = live_definitions.for_writers(
        dynamodb, settings.definitions_table, refresh_seconds=settings.refresh_seconds, clock=clock, bursts=bursts
    )
    recomputer = Recomputer(
        store=profiles,
        engine=engines,
        archive=send,
        wake=WakeUps(Queue(client=sqs, url=settings.wake_ups_queue_url)),
        rebuild=lambda profile_id: rebuilds.send_all(pack_profiles([profile_id])),
        clock=clock,
        pause=pause_after_conflict,
        failed=_tell,
    )
    people = ArchivePeople(
        bucket=ArchiveBucket(client=s3, bucket=settings.archive_bucket),
        duckdb=archive.connect(
            memory=f"{settings.aws_lambda_function_memory_size // 2}MiB",
            threads=2,
            folder=Path(tempfile.gettempdir()) / "duckdb",
        ),
        erased=ErasedProfiles(client=s3, bucket=settings.archive_bucket),
        profiles=profiles,
    )
    queue = Queue(client=sqs, url=settings.recompute_queue_url)
    bucket = BucketRecomputer(
        people=people,
        rest=RestPeople(profiles=profiles, fingerprint=lambda: engines.fresh().active.fingerprint),
        recomputer=recomputer,
        engine=RunEngines(
            engines, DefinitionVersions(client=dynamodb, table=settings.definitions_table), bursts=bursts
        ),
        runs=RecomputeRuns(client=dynamodb, table=settings.clock_table),
        watermark=ArchiveWatermark(client=dynamodb, table=settings.clock_table),
        again=lambda run, number: queue.send(pack(run.id, number)),
        clock=clock,
    )
    return Dependencies(bucket, sqs)


dependencies = prepared(connect)


def process(
    records: Sequence[Record], given: Dependencies, *, out_of_time: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Go on with the buckets of a batch of messages; only messages that failed come again."""

    def recompute(body: str, _record: Record) -> None:
        try:
            run, bucket = unpack(body)
        except (ValueError, RecursionError) as error:
            raise PoisonMessage(type(error).__name__) from error
        try:
            tally = given.bucket.work(run, bucket, out_of_time=out_of_time)
        except UnreadableFile as error:
            logger.error("A file of the archive cannot be read.", bucket=bucket, file=str(error))
            count("FilesUnreadable")
            raise
        count("ProfilesRecomputed", tally.profiles)
        count("ProfilesNotRecomputed", tally.failed)
        count("EventsCorrected", tally.corrected)
        count("Flips", tally.flips)
        count("WriteConflicts", tally.conflicts)

    return process_each(records, recompute, client=given.sqs)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Go on with the buckets of a batch of messages."""
    return process(
        event["Records"], dependencies(), out_of_time=lambda: context.get_remaining_time_in_millis() < RESERVE
    )


def _tell(profile_id: str, error: Exception) -> None:
    logger.error("A profile was left out.", profile_id=profile_id, error=type(error).__name__)
