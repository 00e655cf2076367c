"""The paths of opens and clicks, read from whatever arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, unquote_plus

OPEN: Final = "o"
CLICK: Final = "c"
_MAX_LENGTH: Final = 16_384
"""More than API Gateway admits (10,240 bytes for request line and headers); longer paths and queries are not read."""
_MAX_PARAMETERS: Final = 100


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
    if len(raw) > _MAX_LENGTH:
        return TrackedPath("", "")
    segments = [segment for segment in raw.split("/") if segment]
    if not segments or segments[0] != route or len(segments) > 3:
        return TrackedPath("", "")
    subject, recipient = (*map(unquote, segments[1:]), "", "")[:2]
    return TrackedPath(subject, recipient.removesuffix(".gif"))


def click_parameters(raw: str) -> dict[str, str]:
    """Return the parameters of a raw query as a browser's form would have meant them, of each name the first.

    No more than a hundred are read, and nothing raises: what is no UTF-8 becomes the replacement character.
    """
    if not raw or len(raw) > _MAX_LENGTH:
        return {}
    parameters: dict[str, str] = {}
    for one in raw.split("&", _MAX_PARAMETERS)[:_MAX_PARAMETERS]:
        name, _, value = one.partition("=")
        parameters.setdefault(unquote_plus(name), unquote_plus(value))
    return parameters


def open_path(mailing: str, recipient: str) -> str:
    """Return the path of a pixel; tokens, or an ESP's merge tag in place of one."""
    return f"/{OPEN}/{mailing}/{recipient}.gif"


def click_path(link: str, recipient: str) -> str:
    """Return the path of a tracked link; tokens, or an ESP's merge tag in place of one."""
    return f"/{CLICK}/{link}/{recipient}"


def slot_name(number: int) -> str:
    """Return the name of the click's parameter that fills the destination's slot `number`, counted from 1."""
    return f"s{number}"
