"""The watermark of a local system moves only while both queues are empty, the first one first."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local.watermark import CAPTURE, look

NOW = 1_790_000_000_000


class Queues:
    """Two queues and the watermark."""

    def __init__(self, **messages: dict[str, str]) -> None:
        self.messages = messages
        self.asked: list[str] = []
        self.stands = 0

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:  # noqa: N803
        assert len(AttributeNames) == 3
        self.asked.append(QueueUrl)
        return {"Attributes": self.messages.get(QueueUrl, {})}

    def advance(self, to: int) -> None:
        self.stands = to

    def look(self) -> int:
        world: Any = self
        look(world, ["events", "archive"], world, lambda: NOW)
        return self.stands


def test_it_moves_to_now_if_nothing_is_on_its_way() -> None:
    queues = Queues()
    assert queues.look() == NOW - CAPTURE
    assert queues.asked == ["events", "archive"]


@pytest.mark.parametrize("queue", ["events", "archive"])
@pytest.mark.parametrize("where", ["", "NotVisible", "Delayed"])
def test_it_stands_while_a_message_is_anywhere(queue: str, where: str) -> None:
    assert Queues(**{queue: {f"ApproximateNumberOfMessages{where}": "1"}}).look() == 0
