"""Invoked by `mailtailor segments estimate`: how many of a bucket would be in segments, by columns; writes nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailtailor.aws import clients
from mailtailor.aws.archive_bucket import CONNECTIONS, ArchiveBucket, UnreadableFile
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.estimate_bucket import BucketEstimator
from mailtailor.aws.estimate_message import unpack
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.errors import BadInput
from mailtailor.events import archive
from mailtailor.instant import SECOND
from mailtailor.segments.engine import BadReference
from mailtailor.tracking.bursts import BurstSettings, parse_bursts

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment; Lambda itself tells how much memory there is."""

    archive_bucket: str
    bursts: str = "3/1000 6/10000"
    provisional_seconds: int = 3_600
    aws_lambda_function_memory_size: int = 3538


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    estimator: BucketEstimator


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    s3 = clients.s3(connections=CONNECTIONS)
    return Dependencies(
        BucketEstimator(
            bucket=ArchiveBucket(client=s3, bucket=settings.archive_bucket),
            duckdb=archive.connect(
                # What columns are computed in takes as much again.
                memory=f"{settings.aws_lambda_function_memory_size // 3}MiB",
                threads=2,
                folder=Path(tempfile.gettempdir()) / "duckdb",
            ),
            erased=ErasedProfiles(client=s3, bucket=settings.archive_bucket),
            bursts=BurstSettings(parse_bursts(settings.bursts), provisional=settings.provisional_seconds * SECOND),
        )
    )


dependencies = prepared(connect)


def answer(message: Mapping[str, Any], given: Dependencies) -> dict[str, Any]:
    """Return what a bucket tells.

    Returns
    -------
    `estimates`, one for each set of definitions, and the names of the files left out, `unreadable`. If a file cannot be
    read and is not to be left out, its name alone. Of what cannot be used, one sentence as `error`.
    """
    try:
        asked = unpack(message)
        found = given.estimator.estimate(asked)
    except BadInput as error:
        return {"error": str(error)}
    except BadReference as error:
        return {"error": f"The definitions cannot be used: {error}."}
    except UnreadableFile as error:
        logger.error("A file of the archive cannot be read.", bucket=asked.bucket, file=str(error))
        count("FilesUnreadable")
        return {"unreadable": [str(error)]}
    people = found.estimates[0].people
    count("PeopleEstimated", people)
    logger.info("Estimated.", bucket=asked.bucket, people=people, by_engine=found.estimates[0].by_engine)
    return {"estimates": [one.payload() for one in found.estimates], "unreadable": found.unreadable}


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Answer for one bucket."""
    return answer(event, dependencies())
