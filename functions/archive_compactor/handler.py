"""Every hour: joins the many small files of days and hours that are over, each row once, none of who was erased."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from mailtailor.aws import clients
from mailtailor.aws.archive_bucket import CONNECTIONS, ArchiveBucket, StoredFile
from mailtailor.aws.archive_joiner import ArchiveJoiner, Changing, Done, Unreadable, due
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.events import archive
from mailtailor.events.joining import JoinedWrong

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

RESERVE: Final = 180_000
"""Milliseconds in which a joining that has begun is finished, before Lambda ends the function."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment; Lambda itself tells how much memory there is."""

    archive_bucket: str
    clock_table: str
    aws_lambda_function_memory_size: int = 2048


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    bucket: ArchiveBucket
    joiner: ArchiveJoiner
    watermark: ArchiveWatermark


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    s3 = clients.s3(connections=CONNECTIONS)
    bucket = ArchiveBucket(client=s3, bucket=settings.archive_bucket)
    joiner = ArchiveJoiner(
        bucket=bucket,
        duckdb=archive.connect(
            memory=f"{settings.aws_lambda_function_memory_size // 2}MiB",
            threads=2,
            folder=Path(tempfile.gettempdir()) / "duckdb",
        ),
        erased=ErasedProfiles(client=s3, bucket=settings.archive_bucket),
    )
    return Dependencies(bucket, joiner, ArchiveWatermark(client=clients.dynamodb(), table=settings.clock_table))


dependencies = prepared(connect)


def compact(given: Dependencies, *, out_of_time: Callable[[], bool]) -> dict[str, Any]:
    """Join what is to be joined, the oldest first, until all is or time runs out; the next run goes on from there."""
    until = given.watermark.read() or 0
    done, finished = Done(), True
    for prefix in archive.DATASETS:
        for folder, files in given.bucket.by_folder(prefix):
            try:
                _, end = archive.span(folder)
            except ValueError:
                logger.warning("This is no folder of the archive.", folder=folder)
                continue
            if end > until:
                continue
            for share in due(files):
                if out_of_time():
                    finished = False
                    break
                done += _joined(given.joiner, folder, share)
    logger.info("Compacted.", files=done.files, rows=done.rows, erased=done.erased, finished=finished)
    return {"files": done.files, "rows": done.rows, "erased": done.erased, "finished": finished}


def _joined(joiner: ArchiveJoiner, folder: str, files: list[StoredFile]) -> Done:
    """Join files; if they cannot be, say so, and let the other folders be joined all the same."""
    try:
        return joiner.join(folder, files)
    except Changing:
        logger.info("Others are at it.", folder=folder)
    except Unreadable as error:
        logger.error(
            "Files of the archive cannot be read; their folder stays as it is.", folder=folder, files=error.keys
        )
        count("FilesUnreadable", len(error.keys))
    except (JoinedWrong, duckdb.OutOfMemoryException) as error:
        logger.error("A folder cannot be joined.", folder=folder, error=type(error).__name__)
        count("FilesUnreadable", len(files))
    return Done()


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(_event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Compact for as long as there is time."""
    return compact(dependencies(), out_of_time=lambda: context.get_remaining_time_in_millis() < RESERVE)
