"""Where a local system delivers membership changes to, changed while it runs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from infra.local.system import System

REST: Final = 10
"""Seconds that what earlier tests caused may take to be delivered; what is tried again later may take longer."""


@contextmanager
def delivering_to(url: str, system: System) -> Iterator[None]:
    """Let the system deliver membership changes to `url` as long as the context lasts."""
    functions = system.client("lambda")
    listed = functions.list_functions(MaxItems=100)["Functions"]
    (function,) = [function for function in listed if "EspSync" in function["FunctionName"]]
    name, variables = function["FunctionName"], function["Environment"]["Variables"]

    def configure(environment: Mapping[str, Any]) -> None:
        # The stand-in ends what it runs of a function when its settings change, which AWS does not; messages that it
        # was at come again after minutes.
        _await_rest(system)
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": environment})

    configure({**variables, "ESP_WEBHOOK_URL": url})
    try:
        yield
    finally:
        configure(variables)


def _await_rest(system: System) -> None:
    """Wait until the function is at no message."""
    sqs, deadline = system.client("sqs"), time.monotonic() + REST
    waiting = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    while time.monotonic() < deadline:
        told = sqs.get_queue_attributes(QueueUrl=system.outputs["EspQueueUrl"], AttributeNames=waiting)["Attributes"]
        if not any(map(int, told.values())):
            return
        time.sleep(0.1)
