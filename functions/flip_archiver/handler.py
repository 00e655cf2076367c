"""SQS trail: writes published flips to S3 as Parquet. A message is done when S3 has all its flips."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailtailor.aws import clients
from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.aws.batches import Failures, PoisonMessage, Record
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.events import archive, flip_files
from mailtailor.events.flips import PastFlip, unpack

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment; Lambda itself tells how much memory there is."""

    archive_bucket: str
    aws_lambda_function_memory_size: int = 512


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    bucket: ArchiveBucket
    duckdb: DuckDBPyConnection
    sqs: SQSClient


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    return Dependencies(
        bucket=ArchiveBucket(client=clients.s3(), bucket=settings.archive_bucket),
        # Half the memory: the batch itself, as messages and as flips, needs the rest.
        duckdb=archive.connect(
            memory=f"{settings.aws_lambda_function_memory_size // 2}MiB",
            threads=1,
            folder=Path(tempfile.gettempdir()) / "duckdb",
        ),
        sqs=clients.sqs(),
    )


dependencies = prepared(connect)


def store(records: Sequence[Record], given: Dependencies) -> dict[str, Any]:
    """Archive the flips of a batch."""
    failures = Failures(records, client=given.sqs)
    batch: dict[str, list[PastFlip]] = {}
    for record in records:
        try:
            batch[record["messageId"]] = unpack(record["body"])
        except (ValueError, RecursionError):
            failures.add(record["messageId"], PoisonMessage("not a message of flips"))
    for part in flip_files.parts(batch):
        try:
            given.bucket.put(part.key, part.parquet(given.duckdb))
        except Exception as error:  # noqa: BLE001 - one file's trouble must not fail messages that have nothing in it
            for message_id in part.messages:
                failures.add(message_id, error)
        else:
            count("FlipsArchived", len(part.rows))
    return failures.response()


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Archive the flips of a batch of messages."""
    return store(event["Records"], dependencies())
