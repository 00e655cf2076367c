"""SQS rebuilds: rebuilds from the archive the profiles that a correction left with less than segments need."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from mailtailor.aws import clients, live_definitions
from mailtailor.aws.archive_bucket import CONNECTIONS, ArchiveBucket, UnreadableFile
from mailtailor.aws.archive_history import ArchiveHistory
from mailtailor.aws.batches import PoisonMessage, Record, process_each
from mailtailor.aws.clock import clock_from_environment
from mailtailor.aws.due_index import WakeUps
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.profile_table import ProfileTable, pause_after_conflict
from mailtailor.aws.queues import Queue
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.aws.witnessed_clock import WitnessedClock
from mailtailor.events import archive
from mailtailor.events.envelope import nowhere, pack
from mailtailor.events.event import Event
from mailtailor.instant import SECOND
from mailtailor.profiles.rebuild import Rebuilder
from mailtailor.profiles.wake_up import unpack
from mailtailor.tracking.bursts import BurstSettings, parse_bursts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment; Lambda itself tells how much memory there is."""

    profiles_table: str
    definitions_table: str
    archive_bucket: str
    archive_queue_url: str
    wake_ups_queue_url: str
    refresh_seconds: int = 10
    bursts: str = "3/1000 6/10000"
    provisional_seconds: int = 3_600
    aws_lambda_function_memory_size: int = 2048


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    rebuilder: Rebuilder
    sqs: SQSClient


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    sqs, dynamodb = clients.sqs(), clients.dynamodb()
    clock = clock_from_environment(WitnessedClock(dynamodb))
    archive_queue = Queue(client=sqs, url=settings.archive_queue_url)

    def send(events: Iterable[Event]) -> None:
        archive_queue.send_all(pack((event.model_dump_json(exclude_defaults=True) for event in events), nowhere))

    s3 = clients.s3(connections=CONNECTIONS)
    bursts = BurstSettings(parse_bursts(settings.bursts), provisional=settings.provisional_seconds * SECOND)
    rebuilder = Rebuilder(
        store=ProfileTable(client=dynamodb, table=settings.profiles_table),
        engine=live_definitions.for_writers(
            dynamodb,
            settings.definitions_table,
            refresh_seconds=settings.refresh_seconds,
            clock=clock,
            bursts=bursts,
        ),
        history=ArchiveHistory(
            bucket=ArchiveBucket(client=s3, bucket=settings.archive_bucket),
            duckdb=archive.connect(
                memory=f"{settings.aws_lambda_function_memory_size // 2}MiB",
                threads=2,
                folder=Path(tempfile.gettempdir()) / "duckdb",
            ),
            erased=ErasedProfiles(client=s3, bucket=settings.archive_bucket),
        ),
        archive=send,
        wake=WakeUps(Queue(client=sqs, url=settings.wake_ups_queue_url)),
        clock=clock,
        pause=pause_after_conflict,
    )
    return Dependencies(rebuilder, sqs)


dependencies = prepared(connect)


def process(records: Sequence[Record], given: Dependencies) -> dict[str, Any]:
    """Rebuild the profiles of a batch of messages; only messages that failed come again."""

    def rebuild(body: str, _record: Record) -> None:
        try:
            profile_ids = unpack(body)
        except ValueError as error:
            raise PoisonMessage(type(error).__name__) from error
        for profile_id in profile_ids:
            try:
                rebuilt = given.rebuilder.rebuild(profile_id)
            except (duckdb.Error, UnreadableFile) as error:
                logger.error("A file of the archive cannot be read.", profile_id=profile_id, file=str(error))
                raise
            count("ProfilesRebuilt")
            count("EventsCorrected", rebuilt.corrected)
            count("Flips", rebuilt.flips)
            count("WriteConflicts", rebuilt.conflicts)

    return process_each(records, rebuild, client=given.sqs)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Rebuild the profiles of a batch of messages."""
    return process(event["Records"], dependencies())
