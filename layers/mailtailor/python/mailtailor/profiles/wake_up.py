"""Wake-ups as they travel: many profiles a message, delivered when they are due."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

VERSION: Final = 1
PROFILES_A_MESSAGE: Final = 25
"""Few enough that one message is processed well within a second, so that live events are never held up for long."""


def pack(profile_ids: Sequence[str]) -> Iterator[str]:
    """Yield message bodies that wake `profile_ids`."""
    for start in range(0, len(profile_ids), PROFILES_A_MESSAGE):
        chunk = profile_ids[start : start + PROFILES_A_MESSAGE]
        yield json.dumps({"v": VERSION, "profiles": chunk}, separators=(",", ":"))


def unpack(body: str) -> list[str]:
    """Return the profile ids of a message.

    Raises
    ------
    ValueError
        If the message is not one of ours.
    """
    message = json.loads(body)
    profiles = message.get("profiles") if isinstance(message, dict) and message.get("v") == VERSION else None
    if not isinstance(profiles, list) or not all(isinstance(one, str) for one in profiles):
        raise ValueError(f"not a message of wake-ups of version {VERSION}")
    return profiles
