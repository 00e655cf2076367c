"""Sending to SQS: in tens, and never half unnoticed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

MAX_ENTRIES: Final = 10
MAX_REQUEST_BYTES: Final = 1_000_000
"""SQS admits 1 MiB for all messages of one request."""


class SendFailed(Exception):
    """Some messages were not accepted by the queue."""


class Queue:
    """A queue that messages are sent to.

    Parameters
    ----------
    client
        SQS.
    url
        The queue's URL.
    """

    def __init__(self, *, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, body: str) -> None:
        """Send one message."""
        self._client.send_message(QueueUrl=self._url, MessageBody=body)

    def send_all(self, bodies: Iterable[str], *, group: str = "") -> None:
        """Send many messages, in as few requests as SQS allows.

        Parameters
        ----------
        bodies
            What they say.
        group
            What may send very many at once: while its messages are most of those in progress, others are delivered
            before them (AWS, "Amazon SQS fair queues").

        Raises
        ------
        SendFailed
            If the queue refused any; the others may have been sent, so the caller's retry repeats them.
        """
        named = {"MessageGroupId": group} if group else {}
        self._send((body, named) for body in bodies)

    def send_delayed(self, messages: Iterable[tuple[str, int | None]]) -> None:
        """Send many messages, each to be delivered after so many seconds (0 to 900), None for the queue's own delay.

        Raises
        ------
        SendFailed
            See `send_all`.
        """
        # Not 0 for none: it would overrule the queue's.
        self._send((body, {} if delay is None else {"DelaySeconds": delay}) for body, delay in messages)

    def _send(self, messages: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        entries: list[SendMessageBatchRequestEntryTypeDef] = []
        size = 0
        for body, named in messages:
            length = len(body.encode())
            if entries and (len(entries) == MAX_ENTRIES or size + length > MAX_REQUEST_BYTES):
                self._send_batch(entries)
                entries, size = [], 0
            entry: Any = {"Id": str(len(entries)), "MessageBody": body, **named}
            entries.append(entry)
            size += length
        if entries:
            self._send_batch(entries)

    def visible(self) -> int:
        """Return about how many messages wait to be delivered now; it is up to a minute old."""
        asked = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(asked["Attributes"]["ApproximateNumberOfMessages"])

    def _send_batch(self, entries: list[SendMessageBatchRequestEntryTypeDef]) -> None:
        failed = self._client.send_message_batch(QueueUrl=self._url, Entries=entries).get("Failed", [])
        if failed:
            raise SendFailed(f"{len(failed)} of {len(entries)} messages were refused: {failed[0].get('Code')}")
