"""Every minute, and whenever the command line asks: takes a change of the definitions a step further."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from mailtailor.aws import clients, definitions
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.bucket_message import pack
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.definition_versions import DefinitionVersions
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.queues import Queue
from mailtailor.aws.recompute_runs import RecomputeRuns, Run
from mailtailor.aws.rollout_driver import RolloutDriver
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.instant import HOUR, SECOND
from mailtailor.segments.versions import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

STUCK: Final = 6 * HOUR
"""Longer than waiting for the archive and recomputing millions of people take."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment."""

    definitions_table: str
    clock_table: str
    recompute_queue_url: str
    settle_seconds: int


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    versions: DefinitionVersions
    driver: RolloutDriver
    clock: Clock


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings, dynamodb, clock = from_environment(Settings), clients.dynamodb(), clock_from_environment()
    queue = Queue(client=clients.sqs(), url=settings.recompute_queue_url)
    versions = DefinitionVersions(client=dynamodb, table=settings.definitions_table)

    def send(run: Run, buckets: Iterable[int]) -> None:
        queue.send_all(pack(run.id, bucket) for bucket in buckets)

    driver = RolloutDriver(
        versions=versions,
        runs=RecomputeRuns(client=dynamodb, table=settings.clock_table),
        watermark=ArchiveWatermark(client=dynamodb, table=settings.clock_table),
        send=send,
        clock=clock,
        new_id=lambda: secrets.token_hex(8),
        settle=settings.settle_seconds * SECOND,
    )
    return Dependencies(versions, driver, clock)


dependencies = prepared(connect)


def drive(given: Dependencies) -> dict[str, Any] | None:
    """Go on with whatever is under way, and return where it stands; before anything was, note what is deployed."""
    rollout, now = given.driver.drive(), given.clock()
    if rollout is None:
        given.versions.note_deployed(Version(0, definitions.segments(), applied_at=now, note="Deployed."))
        return None
    if rollout.under_way:
        logger.info("Definitions are changing.", phase=rollout.phase, active=rollout.active, staged=rollout.staged)
        count("RolloutStuck", int(now - rollout.staged_at > STUCK))
    return asdict(rollout)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(_event: Mapping[str, Any], _context: object) -> dict[str, Any] | None:
    """Look once."""
    return drive(dependencies())
