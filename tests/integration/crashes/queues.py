"""SQS as functions and event sources meet it, in the world's own time, which moto's queues do not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mailtailor.instant import SECOND

MAX_REQUEST_BYTES = 1_048_576


@dataclass
class Message:
    """A message; it is seen from an instant on, and hidden again whenever somebody receives it."""

    id: str
    body: str
    sent_at: int
    visible_at: int
    receives: int = 0


@dataclass
class Queue:
    """A queue.

    Attributes
    ----------
    visibility, delay
        Seconds for which a message is hidden when it is received, and when it is sent.
    max_receives
        How often one is received before it is a dead letter.
    batch
        How many are received at once.
    """

    name: str
    visibility: int
    delay: int = 0
    max_receives: int = 5
    batch: int = 10
    sent: list[str] = field(default_factory=list)
    """The bodies of all messages there ever were."""
    waiting: list[Message] = field(default_factory=list)
    dead: list[Message] = field(default_factory=list)

    def receive(self, now: int) -> list[Message]:
        """Return messages that can be seen, and hide them."""
        seen = [one for one in self.waiting if one.visible_at <= now][: self.batch]
        for one in list(seen):
            one.receives += 1
            one.visible_at = now + self.visibility * SECOND
            if one.receives > self.max_receives:
                seen.remove(one)
                self.waiting.remove(one)
                self.dead.append(one)
        return seen

    def delete(self, ids: set[str]) -> None:
        """Delete what was done."""
        self.waiting = [one for one in self.waiting if one.id not in ids]

    @property
    def next(self) -> int | None:
        """When something can be seen; None if nothing is there."""
        return min((one.visible_at for one in self.waiting), default=None)


class Queues:
    """All queues, by name; answers what functions ask of SQS.

    Parameters
    ----------
    queues
        The queues.
    clock
        Tells the current instant.
    """

    def __init__(self, queues: list[Queue], clock: Callable[[], int]) -> None:
        self.by_name = {one.name: one for one in queues}
        self._clock = clock
        self._sent = 0

    def url(self, name: str) -> str:
        """Return a queue's address."""
        return f"https://sqs.eu-west-1.amazonaws.com/123456789012/{name}"

    def send(self, name: str, body: str, *, delay: int | None = None) -> str:
        """Send a message, and return its id; a delay that is given counts instead of the queue's, also if it is 0."""
        queue = self.by_name[name]
        delay = queue.delay if delay is None else delay
        assert 0 <= delay <= 900
        self._sent += 1
        visible_at = self._clock() + delay * SECOND
        queue.sent.append(body)
        queue.waiting.append(Message(f"m{self._sent}", body, self._clock(), visible_at))
        return queue.waiting[-1].id

    def __call__(self, operation: str, asked: Any) -> dict[str, Any]:
        """Answer a request."""
        name = asked["QueueUrl"].rpartition("/")[2]
        match operation:
            case "SendMessage":
                return {"MessageId": self.send(name, asked["MessageBody"], delay=asked.get("DelaySeconds"))}
            case "SendMessageBatch":
                entries = asked["Entries"]
                assert 1 <= len(entries) <= 10
                assert sum(len(one["MessageBody"].encode()) for one in entries) <= MAX_REQUEST_BYTES
                sent = [self.send(name, one["MessageBody"], delay=one.get("DelaySeconds")) for one in entries]
                ids = [one["Id"] for one in entries]
                return {"Successful": [{"Id": i, "MessageId": m} for i, m in zip(ids, sent, strict=True)], "Failed": []}
            case "ChangeMessageVisibilityBatch":
                pauses = {one["ReceiptHandle"]: one["VisibilityTimeout"] for one in asked["Entries"]}
                for message in self.by_name[name].waiting:
                    if message.id in pauses:
                        message.visible_at = self._clock() + pauses[message.id] * SECOND
                return {"Successful": [{"Id": one["Id"]} for one in asked["Entries"]], "Failed": []}
            case "GetQueueAttributes":
                seen = sum(one.visible_at <= self._clock() for one in self.by_name[name].waiting)
                return {"Attributes": {"ApproximateNumberOfMessages": str(seen)}}
        raise AssertionError(f"no function asks SQS for {operation}")
