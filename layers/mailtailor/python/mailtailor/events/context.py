"""What is kept of the surroundings in which something happened.

Source of the names: Segment, "Spec: Common fields" (context). What is not listed here is left behind: addresses of the
network and of people, device and advertising ids, coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

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
ADDRESSES: Final = frozenset({"url", "referrer", "search"})
STITCH: Final = "mt_stitch"
"""The parameter that says whose click led to the page: it works once, and belongs into no archive."""


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
    if name in ADDRESSES and STITCH in value:
        value = _without_stitch(value)
    return str(without_addresses(value[:MAX_TEXT]))


def _without_stitch(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    query = "&".join(one for one in parts.query.split("&") if not one.startswith(f"{STITCH}="))
    return urlunsplit(parts._replace(query=query))
