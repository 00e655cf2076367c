"""The message that has a run go on with a bucket of the archive; how far it has come is never in it."""

from __future__ import annotations

import json
from typing import Final

from mailtailor.events.archive import BUCKETS

VERSION: Final = 1


def pack(run_id: str, bucket: int) -> str:
    """Return the message."""
    return json.dumps({"v": VERSION, "run": run_id, "bucket": bucket}, separators=(",", ":"))


def unpack(body: str) -> tuple[str, int]:
    """Return run and bucket of a message.

    Raises
    ------
    ValueError
        If the message is not one of ours.
    """
    match json.loads(body):
        case {"v": 1, "run": str(run), "bucket": int(bucket)} if 0 <= bucket < BUCKETS:
            return run, bucket
    raise ValueError(f"not a message about a bucket of version {VERSION}")
