"""The archive's watermark of a local system.

On AWS it follows from what CloudWatch has of two queues (`mailtailor.events.watermark`), minutes later. The stand-in
has no such numbers, but counts of its queues that are exact at any moment: if there is nothing in the first queue, and
then nothing in the second one, all that was sent before is in the archive.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.system import System
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.instant import SECOND, Instant

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

EACH: Final = 5.0
"""Seconds between two looks."""
CAPTURE: Final = 2 * SECOND
"""Between an event's receipt and its sending to the first queue; functions here answer within a second."""
_COUNTS: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


@contextlib.contextmanager
def moving(system: System) -> Iterator[None]:
    """Move the watermark for as long as the context lasts."""
    stored = ArchiveWatermark(client=system.client("dynamodb"), table=system.outputs["ClockTable"])
    queues = [system.outputs["EventsQueueUrl"], system.outputs["ArchiveQueueUrl"]]
    ended = threading.Event()

    def move() -> None:
        while not ended.wait(EACH):
            # The stand-in may be going down, or have too much to do: the next look is soon.
            with contextlib.suppress(BotoCoreError, ClientError):
                look(system.client("sqs"), queues, stored, system.now)

    thread = threading.Thread(target=move, name="watermark", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(EACH)


def look(sqs: SQSClient, queues: list[str], stored: ArchiveWatermark, clock: Callable[[], Instant]) -> None:
    """Move the watermark to now, if one queue after the other is empty."""
    now = clock()
    if all(_is_empty(sqs, queue) for queue in queues):
        stored.advance(now - CAPTURE)


def _is_empty(sqs: SQSClient, queue: str) -> bool:
    said = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=list(_COUNTS))["Attributes"]
    return all(int(said.get(name, 0)) == 0 for name in _COUNTS)
