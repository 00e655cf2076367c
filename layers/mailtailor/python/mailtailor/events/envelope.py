"""How events travel in queues: many events a message, bounded in size.

Capture functions build events as plain dictionaries (`capture`), for importing pydantic would cost the pixel more
than everything else it does; consumers parse them into `Event`.

An event too large for a message is stored first, and its message says where: `{"v": 1, "stored": "<key>"}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

VERSION: Final = 1
MAX_MESSAGE_BYTES: Final = 64_000
"""SQS bills each 64 KB, so larger messages save nothing; ten of these hold no more profiles than one call can write."""
MAX_INLINE_BYTES: Final = 900_000
"""A larger event is stored: SQS takes 1 MiB, and ten such messages would not fit into one call of a function (6 MB)
if they were many; a request of SQS holds one."""

Store = Callable[[str], str]
"""Stores the JSON of an event durably and returns its key."""
Fetch = Callable[[str], str]
"""Returns the JSON stored under a key."""


def pack(events: Iterable[str], store: Store) -> Iterator[str]:
    """Yield message bodies that hold `events`, each given as JSON, in order; what is too large goes through `store`."""
    batch: list[str] = []
    size = 0
    for event in events:
        length = len(event.encode())
        if batch and size + length > MAX_MESSAGE_BYTES:
            yield _body(batch)
            batch, size = [], 0
        if length > MAX_INLINE_BYTES:
            yield json.dumps({"v": VERSION, "stored": store(event)}, separators=(",", ":"))
            continue
        batch.append(event)
        size += length + 1
    if batch:
        yield _body(batch)


def nowhere(_event: str) -> str:
    """Store nothing: for those who send only events of their own making, which are small."""
    raise ValueError("the event is larger than a message")


def message(event: str) -> str:
    """Return the body of a message that holds one small event, given as JSON."""
    return _body([event])


def _body(events: list[str]) -> str:
    return f'{{"v":{VERSION},"events":[{",".join(events)}]}}'


def unpack(body: str, fetch: Fetch) -> list[Any]:
    """Return the events of a message, not yet validated.

    Raises
    ------
    ValueError
        If the message is not one of ours.
    """
    try:
        read = json.loads(body)
        if isinstance(read, Mapping) and read.get("v") == VERSION and isinstance(read.get("stored"), str):
            return [json.loads(fetch(read["stored"]))]
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(read, Mapping) or read.get("v") != VERSION or not isinstance(read.get("events"), list):
        raise ValueError(f"not a message of events of version {VERSION}")
    return list(read["events"])
