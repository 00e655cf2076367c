"""Queues of events, and the bucket in which events too large for a message travel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mailtailor.aws.queues import Queue
from mailtailor.events import envelope
from mailtailor.events.event import Event

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGE: Final = "large/"


@dataclass(frozen=True, slots=True)
class LargeEvents:
    """Where events wait that are larger than a message; the bucket deletes them long after any message about them.

    Parameters
    ----------
    client, bucket
        S3 and the bucket's name.
    """

    client: S3Client
    bucket: str

    def store(self, event: str) -> str:
        """Store the JSON of an event under the hash of it, so that a repetition overwrites itself; return the key."""
        body = event.encode()
        key = f"{LARGE}{hashlib.sha256(body).hexdigest()}.json"
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/json")
        return key

    def fetch(self, key: str) -> str:
        """Return what is stored under `key`.

        Raises
        ------
        ValueError
            If such a key is none of ours.
        ClientError
            If it cannot be read.
        """
        if not key.startswith(LARGE):
            raise ValueError("not a key of a stored event")
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode()


@dataclass(frozen=True, slots=True)
class EventQueue:
    """A queue that events are sent to.

    Parameters
    ----------
    queue
        The queue.
    large
        Where its large events wait.
    """

    queue: Queue
    large: LargeEvents

    def send(self, events: Iterable[Event]) -> None:
        """Send events, many a message; all are in the queue when this returns.

        Raises
        ------
        SendFailed, ClientError, BotoCoreError
            If any may not be; sending all again does no harm.
        """
        serialized = (event.model_dump_json(exclude_defaults=True) for event in events)
        self.queue.send_all(envelope.pack(serialized, self.large.store))

    def unpack(self, body: str) -> list[Any]:
        """Return the events of a message of this queue, not yet validated; raises as `envelope.unpack` and `fetch`."""
        return envelope.unpack(body, self.large.fetch)
