"""Decisions' stream: writes what blocks showed to S3 as Parquet, for the messages whose decisions are logged."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailtailor.aws import clients
from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.decision_stream import logged
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.events import archive, decision_files
from mailtailor.events.decision_files import LoggedDecision

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


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
    clock: Clock


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    return Dependencies(
        bucket=ArchiveBucket(client=clients.s3(), bucket=settings.archive_bucket),
        # Half the memory: the batch itself needs the rest.
        duckdb=archive.connect(
            memory=f"{settings.aws_lambda_function_memory_size // 2}MiB",
            threads=1,
            folder=Path(tempfile.gettempdir()) / "duckdb",
        ),
        clock=clock_from_environment(),
    )


dependencies = prepared(connect)


def store(records: Sequence[Mapping[str, Any]], given: Dependencies) -> dict[str, Any]:
    """Archive the decisions of a batch; a shard is read in order, so everything from a failure on comes again.

    If S3 takes a file and not the next, the whole batch comes again; readers take each decision once.
    """
    decisions: list[LoggedDecision] = []
    failed: str | None = None
    for record in records:
        try:
            decisions += logged(record)
        except (KeyError, TypeError, ValueError) as error:
            # Retries end in the function's dead-letter queue and the shard goes on.
            failed = record["dynamodb"]["SequenceNumber"]
            logger.error(
                "A record's decisions could not be read.",
                extra={"sequence_number": failed, "error": type(error).__name__},
            )
            break
    for part in decision_files.parts(decisions, received_at=given.clock()):
        given.bucket.put(part.key, part.parquet(given.duckdb))
        count("DecisionsArchived", len(part.rows))
    return {"batchItemFailures": [{"itemIdentifier": failed}] if failed else []}


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Archive the decisions of a batch of stream records."""
    return store(event["Records"], dependencies())
