"""The paths of opens and clicks, read from whatever arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

OPEN: Final = "o"
CLICK: Final = "c"
_MAX_PATH: Final = 16_384
"""Twice what API Gateway admits; longer paths are refused unread."""


@dataclass(frozen=True, slots=True)
class TrackedPath:
    """The two tokens of a path, not verified: what was sent (mailing or link) and to whom; empty where missing."""

    subject: str
    recipient: str


def tracked_path(raw: str, route: str) -> TrackedPath:
    """Return the tokens of `/{route}/{subject}/{recipient}`, `.gif` at the end not counted.

    Gateways, proxies and mail clients double slashes, add one at the end and percent-encode, so all of that is
    forgiven. What is no such path gives empty tokens, which no keyring accepts; nothing raises.
    """
    if len(raw) > _MAX_PATH:
        return TrackedPath("", "")
    segments = [segment for segment in raw.split("/") if segment]
    if not segments or segments[0] != route or len(segments) > 3:
        return TrackedPath("", "")
    subject, recipient = (*map(unquote, segments[1:]), "", "")[:2]
    return TrackedPath(subject, recipient.removesuffix(".gif"))


def open_path(mailing: str, recipient: str) -> str:
    """Return the path of a pixel; tokens, or an ESP's merge tag in place of one."""
    return f"/{OPEN}/{mailing}/{recipient}.gif"


def click_path(link: str, recipient: str) -> str:
    """Return the path of a tracked link; tokens, or an ESP's merge tag in place of one."""
    return f"/{CLICK}/{link}/{recipient}"


def slot_name(number: int) -> str:
    """Return the name of the click's parameter that fills the destination's slot `number`, counted from 1."""
    return f"s{number}"
