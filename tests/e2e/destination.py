"""Where a local system delivers membership changes to, changed while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from infra.local.system import System


@contextmanager
def delivering_to(url: str, system: System) -> Iterator[None]:
    """Let the system deliver membership changes to `url` as long as the context lasts."""
    functions = system.client("lambda")
    listed = functions.list_functions(MaxItems=100)["Functions"]
    (function,) = [function for function in listed if "EspSync" in function["FunctionName"]]
    name, variables = function["FunctionName"], function["Environment"]["Variables"]

    def configure(environment: Mapping[str, Any]) -> None:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": environment})

    configure({**variables, "ESP_WEBHOOK_URL": url})
    try:
        yield
    finally:
        configure(variables)
