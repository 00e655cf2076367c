"""Profiles' stream: publishes the flips that writes stored, so that none is lost whatever happened to their writers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mailtailor.aws import clients
from mailtailor.aws.flip_stream import changes
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.queues import Queue
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment."""

    esp_queue_url: str


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    queue: Queue


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    return Dependencies(queue=Queue(client=clients.sqs(), url=settings.esp_queue_url))


dependencies = prepared(connect)


def publish(records: Sequence[Mapping[str, Any]], given: Dependencies) -> dict[str, Any]:
    """Send the flips of a batch; a shard is read in order, so everything from the first failure on comes again.

    What was sent before comes again with it, which changes nothing: a destination drops versions it has.
    """
    bodies: list[str] = []
    failed: str | None = None
    for record in records:
        try:
            bodies += [change.to_json() for change in changes(record)]
        except (KeyError, TypeError, ValueError) as error:
            # Retries end in the function's dead-letter queue and the shard goes on.
            failed = record["dynamodb"]["SequenceNumber"]
            logger.error(
                "A record's flips could not be read.",
                extra={"sequence_number": failed, "error": type(error).__name__},
            )
            break
    given.queue.send_all(bodies)
    count("FlipsPublished", len(bodies))
    return {"batchItemFailures": [{"itemIdentifier": failed}] if failed else []}


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Publish the flips of a batch of stream records."""
    return publish(event["Records"], dependencies())
