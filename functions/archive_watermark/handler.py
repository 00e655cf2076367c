"""Every five minutes: moves the archive's watermark to the instant before which all that was received is archived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mailtailor.aws import clients
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.observability import logger, metrics, seconds
from mailtailor.aws.queue_metrics import histories
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.events.watermark import watermark
from mailtailor.instant import HOUR, SECOND, to_iso

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cloudwatch import CloudWatchClient

LOOKBACK: Final = 12 * HOUR
"""A queue whose oldest message is older than this is in trouble, and the watermark waits until it is not."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment."""

    clock_table: str
    events_queue: str
    archive_queue: str
    events_visibility_seconds: int
    archive_visibility_seconds: int


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    settings: Settings
    cloudwatch: CloudWatchClient
    stored: ArchiveWatermark
    clock: Clock


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    return Dependencies(
        settings=settings,
        cloudwatch=clients.cloudwatch(),
        stored=ArchiveWatermark(client=clients.dynamodb(), table=settings.clock_table),
        clock=clock_from_environment(),
    )


dependencies = prepared(connect)


def move(given: Dependencies) -> dict[str, str | None]:
    """Move the watermark as far as the queues allow, and report how far it is behind."""
    settings, now = given.settings, given.clock()
    queues = {
        settings.events_queue: settings.events_visibility_seconds * SECOND,
        settings.archive_queue: settings.archive_visibility_seconds * SECOND,
    }
    found = histories(given.cloudwatch, queues, now=now, lookback=LOOKBACK)
    reached = watermark(now, processing=found[settings.events_queue], archiving=found[settings.archive_queue])
    if reached is not None:
        given.stored.advance(reached)
    stands = given.stored.read()
    if stands is not None:
        seconds("ArchiveLag", (now - stands) / SECOND)
    logger.info(
        "The archive's watermark.",
        reached=None if reached is None else to_iso(reached),
        stands=None if stands is None else to_iso(stands),
    )
    return {"received_until": None if stands is None else to_iso(stands)}


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(_event: Mapping[str, Any], _context: object) -> dict[str, str | None]:
    """Move the watermark once."""
    return move(dependencies())
