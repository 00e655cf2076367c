"""How events travel in queues: many events a message, bounded in size.

Capture functions build events as plain dictionaries (`capture`), for importing pydantic would cost the pixel more
than everything else it does; consumers parse them into `Event`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

VERSION: Final = 1
MAX_MESSAGE_BYTES: Final = 64_000
"""SQS bills each 64 KB, so larger messages save nothing; ten of these hold no more profiles than one call can write."""


def pack(events: Iterable[str]) -> Iterator[str]:
    """Yield message bodies that hold `events`, each given as JSON, in order."""
    batch: list[str] = []
    size = 0
    for event in events:
        length = len(event.encode())
        if batch and size + length > MAX_MESSAGE_BYTES:
            yield _body(batch)
            batch, size = [], 0
        batch.append(event)
        size += length + 1
    if batch:
        yield _body(batch)


def _body(events: list[str]) -> str:
    return f'{{"v":{VERSION},"events":[{",".join(events)}]}}'


def unpack(body: str) -> list[Any]:
    """Return the events of a message, not yet validated.

    Raises
    ------
    ValueError
        If the message is not one of ours.
    """
    try:
        message = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(message, Mapping) or message.get("v") != VERSION or not isinstance(message.get("events"), list):
        raise ValueError(f"not a message of events of version {VERSION}")
    return list(message["events"])
