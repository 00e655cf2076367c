"""What is kept of the surroundings in which something happened.

Source of the names: Segment, "Spec: Common fields" (context). What is not listed here is left behind: addresses of the
network and of people, device and advertising ids, coordinates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from mailtailor.events.untrusted import without_addresses

KEPT: Final[Mapping[str, tuple[str, ...]]] = {
    "page": ("path", "title", "url", "referrer", "search"),
    "campaign": ("name", "source", "medium", "term", "content", "id"),
    "library": ("name", "version"),
    "app": ("name", "version", "build"),
    "os": ("name", "version"),
    "device": ("type", "manufacturer", "model"),
}
TEXTS: Final = {"locale": "locale", "timezone": "timezone", "userAgent": "user_agent"}
MAX_TEXT: Final = 200
MAX_READ: Final = 2_000
"""Of a longer text only so much is looked at."""
ADDRESSES: Final = frozenset({"url", "referrer", "search"})
STITCH: Final = "mt_stitch"
"""The parameter that says whose click led to the page: it works once, and belongs into no archive."""
_STITCHED: Final = re.compile(
    rf"(?P<before>[?&#]){STITCH}=[\w-]*(?P<after>&?)"
    rf"|(?P<encoded_before>%3F|%26|%23){STITCH}%3D[\w-]*(?P<encoded_after>(?:%26)?)",
    re.IGNORECASE,
)
"""Encoded it is where a page's address is a parameter of another's."""


def kept(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a call's context: short texts under known names; all else counts as absent."""
    found: dict[str, Any] = {}
    for name, ours in TEXTS.items():
        if value := _text(context.get(name), name):
            found[ours] = value
    for name, fields in KEPT.items():
        group = context.get(name)
        if isinstance(group, dict):
            told = {field: value for field in fields if (value := _text(group.get(field), field))}
            if told:
                found[name] = told
    return found


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        return ""
    value = value[:MAX_READ]
    # Cut at last: half an address would not be known for one.
    return str(without_addresses(without_stitch(value) if name in ADDRESSES else value)[:MAX_TEXT])


def without_stitch(address: str) -> str:
    """Return the address of a page, or its query, without the stitch token; empty if it cannot be taken out."""
    if STITCH not in address:
        return address
    clear = _STITCHED.sub(_rest, address)
    return "" if STITCH in clear else clear


def _rest(found: re.Match[str]) -> str:
    before, after, encoded_before, encoded_after = found.groups()
    if before:
        return before if after else ""
    return encoded_before if encoded_after else ""
