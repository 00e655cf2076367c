"""Profiles' stream: publishes the flips that writes stored, so that none is lost whatever happened to their writers.

Each goes to the ESP's queue, and to that of the archive, where they stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mailtailor.aws import clients
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.flip_stream import changes, past_flips
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.queues import Queue
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.events.flips import PastFlip, pack


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment."""

    esp_queue_url: str
    trail_queue_url: str


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    esp: Queue
    trail: Queue
    clock: Clock


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings, sqs = from_environment(Settings), clients.sqs()
    return Dependencies(
        esp=Queue(client=sqs, url=settings.esp_queue_url),
        trail=Queue(client=sqs, url=settings.trail_queue_url),
        clock=clock_from_environment(),
    )


dependencies = prepared(connect)


def publish(records: Sequence[Mapping[str, Any]], given: Dependencies) -> dict[str, Any]:
    """Send the flips of a batch; a shard is read in order, so everything from the first failure on comes again.

    What was sent before comes again with it, which changes nothing: a destination drops versions it has, and the
    archive's readers take each flip once. The ESP's queue comes first, for somebody waits for it.
    """
    bodies: defaultdict[str, list[str]] = defaultdict(list)
    kept: list[PastFlip] = []
    failed: str | None = None
    published_at = given.clock()
    for record in records:
        try:
            said = changes(record)
            kept += past_flips(record, published_at=published_at)
        except (KeyError, TypeError, ValueError) as error:
            # Retries end in the function's dead-letter queue and the shard goes on.
            failed = record["dynamodb"]["SequenceNumber"]
            logger.error(
                "A record's flips could not be read.",
                extra={"sequence_number": failed, "error": type(error).__name__},
            )
            break
        for change in said:
            bodies[change.crowd].append(change.to_json())
    # Who does something does not wait for crowds, here or in the queue.
    for crowd in sorted(bodies):
        given.esp.send_all(bodies[crowd], group=crowd)
    given.trail.send_all(pack(kept))
    count("FlipsPublished", sum(map(len, bodies.values())))
    return {"batchItemFailures": [{"itemIdentifier": failed}] if failed else []}


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Publish the flips of a batch of stream records."""
    return publish(event["Records"], dependencies())
