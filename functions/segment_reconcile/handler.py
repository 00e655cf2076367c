"""Each day: begins a reconciliation. SQS reconcile: compares everybody in a bucket of the archive, for some minutes.

It may read profiles and archive, and write neither. Invoked with `{"asked": true}` it begins one at once.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
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
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.aws.queues import Queue
from mailtailor.aws.recompute_runs import RecomputeRuns
from mailtailor.aws.reconcile_bucket import BucketReconciler
from mailtailor.aws.reconciliations import Reconciliations
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.events import archive
from mailtailor.instant import SECOND
from mailtailor.profiles.reconcile import Findings, Reconciler
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
    clock_table: str
    definitions_table: str
    archive_bucket: str
    reconcile_queue_url: str
    refresh_seconds: int = 10
    bursts: str = "3/1000 6/10000"
    provisional_seconds: int = 3_600
    aws_lambda_function_memory_size: int = 2048


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    bucket: BucketReconciler
    sqs: SQSClient


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings, sqs, dynamodb = from_environment(Settings), clients.sqs(), clients.dynamodb()
    s3, clock = clients.s3(connections=CONNECTIONS), clock_from_environment()
    profiles = ProfileTable(client=dynamodb, table=settings.profiles_table)
    bursts = BurstSettings(parse_bursts(settings.bursts), provisional=settings.provisional_seconds * SECOND)
    engines = live_definitions.for_writers(
        dynamodb, settings.definitions_table, refresh_seconds=settings.refresh_seconds, clock=clock, bursts=bursts
    )
    queue = Queue(client=sqs, url=settings.reconcile_queue_url)
    bucket = BucketReconciler(
        people=ArchivePeople(
            bucket=ArchiveBucket(client=s3, bucket=settings.archive_bucket),
            duckdb=archive.connect(
                memory=f"{settings.aws_lambda_function_memory_size // 2}MiB",
                threads=2,
                folder=Path(tempfile.gettempdir()) / "duckdb",
            ),
            erased=ErasedProfiles(client=s3, bucket=settings.archive_bucket),
            profiles=profiles,
        ),
        reconciler=Reconciler(store=profiles, clock=clock),
        reconciliations=Reconciliations(client=dynamodb, table=settings.clock_table),
        recomputes=RecomputeRuns(client=dynamodb, table=settings.clock_table),
        watermark=ArchiveWatermark(client=dynamodb, table=settings.clock_table),
        view=engines.fresh,
        send=lambda run, number: queue.send(pack(run.id, number)),
        told=tell,
        clock=clock,
    )
    return Dependencies(bucket, sqs)


dependencies = prepared(connect)


def tell(found: Findings) -> None:
    """Log and count what was found in some people, before it is noted that they are done."""
    for profile_id, segment, wrong in found.examples:
        logger.error("Somebody is not as they should be.", profile_id=profile_id, segment=segment, wrong=wrong)
    count("ProfilesReconciled", found.compared)
    count("MembershipMismatches", sum(found.mismatches.values()))
    count("OverdueWakeUps", found.overdue)
    metrics.flush_metrics()


def begin(given: Dependencies, *, asked: bool) -> dict[str, str]:
    """Begin a reconciliation, unless there is a reason not to, and return both."""
    run = secrets.token_hex(8)
    refused = given.bucket.begin(run, asked=asked)
    logger.info("A reconciliation.", run=run, refused=refused)
    return {"run": run, "refused": refused}


def process(
    records: Sequence[Record], given: Dependencies, *, out_of_time: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Go on with the buckets of a batch of messages; only messages that failed come again."""

    def reconcile(body: str, _record: Record) -> None:
        try:
            run, bucket = unpack(body)
        except (ValueError, RecursionError) as error:
            raise PoisonMessage(type(error).__name__) from error
        try:
            ended = given.bucket.work(run, bucket, out_of_time=out_of_time)
        except UnreadableFile as error:
            logger.error("A file of the archive cannot be read.", bucket=bucket, file=str(error))
            count("FilesUnreadable")
            raise
        count("ReconciliationsFinished", int(ended))

    return process_each(records, reconcile, client=given.sqs)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Begin a reconciliation, or go on with the buckets of a batch of messages."""
    if "Records" not in event:
        return begin(dependencies(), asked=event.get("asked") is True)
    return process(
        event["Records"], dependencies(), out_of_time=lambda: context.get_remaining_time_in_millis() < RESERVE
    )
