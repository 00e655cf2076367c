"""SQS archive: writes accepted events to S3 as Parquet. A message is done when S3 has all its events."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from mailtailor.aws import clients
from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.aws.batches import Failures, PoisonMessage, Record
from mailtailor.aws.event_queue import LargeEvents
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.events import archive
from mailtailor.events.envelope import Fetch, unpack
from mailtailor.events.event import Event

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment; Lambda itself tells how much memory there is."""

    archive_bucket: str
    intake_bucket: str
    aws_lambda_function_memory_size: int = 1024


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    bucket: ArchiveBucket
    duckdb: DuckDBPyConnection
    sqs: SQSClient
    fetch: Fetch


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings, s3 = from_environment(Settings), clients.s3()
    return Dependencies(
        bucket=ArchiveBucket(client=s3, bucket=settings.archive_bucket),
        # Half the memory: the batch itself, as messages and as events, needs the rest.
        duckdb=archive.connect(
            memory=f"{settings.aws_lambda_function_memory_size // 2}MiB",
            threads=1,
            folder=Path(tempfile.gettempdir()) / "duckdb",
        ),
        sqs=clients.sqs(),
        fetch=LargeEvents(s3, settings.intake_bucket).fetch,
    )


dependencies = prepared(connect)


def parse(body: str, fetch: Fetch) -> tuple[list[Event], PoisonMessage | None]:
    """Return the events of a message that can be archived, and the reason if some cannot."""
    try:
        entries = unpack(body, fetch)
    except ValueError:
        return [], PoisonMessage("not a message of events")
    events, unusable = [], 0
    for entry in entries:
        try:
            event = Event.model_validate(entry)
            archive.prefix(event)
        except (ValidationError, ValueError):
            unusable += 1
        else:
            events.append(event)
    return events, PoisonMessage(f"{unusable} of {len(entries)} events are malformed") if unusable else None


def store(records: Sequence[Record], given: Dependencies) -> dict[str, Any]:
    """Archive the events of a batch."""
    failures = Failures(records, client=given.sqs)
    batch: dict[str, list[Event]] = {}
    for record in records:
        message_id = record["messageId"]
        try:
            batch[message_id], poison = parse(record["body"], given.fetch)
        except (BotoCoreError, ClientError) as error:
            failures.add(message_id, error)
            continue
        if poison:
            failures.add(message_id, poison)
    for part in archive.parts(batch):
        try:
            given.bucket.put(part.key, part.parquet(given.duckdb))
        except Exception as error:  # noqa: BLE001 - one file's trouble must not fail messages that have nothing in it
            for message_id in part.messages:
                failures.add(message_id, error)
        else:
            count("EventsArchived", 0 if part.mail else len(part.rows))
    return failures.response()


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Archive the events of a batch of messages."""
    return store(event["Records"], dependencies())
