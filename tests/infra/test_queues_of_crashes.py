"""The queues of the tests in which functions die are those that are deployed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.template import Template, reference
from tests.integration.crashes.cloud import QUEUES


def deployed(everything: Template) -> dict[str, dict[str, Any]]:
    """Return each function's event source, and the queue that it reads, by the function's name."""
    names = {function.id: name for name, function in everything.functions().items()}
    queues = {queue.id: queue.properties for queue in everything.of_type("AWS::SQS::Queue")}
    return {
        names[reference(source.properties["FunctionName"])]: {**source.properties, **queues[queue]}
        for source in everything.of_type("AWS::Lambda::EventSourceMapping")
        if (queue := reference(source.properties["EventSourceArn"])) in queues
    }


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.function)
def test_a_queue_delays_hides_and_gives_up_as_the_deployed_one_does(everything: Template, queue: Any) -> None:
    # given
    there = deployed(everything)[queue.function]
    # then
    assert queue.visibility == there["VisibilityTimeout"]
    assert queue.max_receives == there["RedrivePolicy"]["maxReceiveCount"]
    assert queue.batch == there["BatchSize"]
    # What waits for its batch to fill is late by that, as if it were delayed.
    assert queue.delay == there.get("DelaySeconds", 0) + there.get("MaximumBatchingWindowInSeconds", 0)
