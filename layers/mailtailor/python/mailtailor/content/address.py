"""The path of a content block: `/content/{block}`, with `.html`, `.json` or `.txt` at the end."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import unquote

CONTENT: Final = "content"
_MAX_PATH: Final = 16_384


class Shape(StrEnum):
    """How an answer is packed."""

    HTML = "html"
    JSON = "json"
    TEXT = "txt"


class Address(NamedTuple):
    """Which block, and how it is wanted; the block is empty if the path names none."""

    block: str
    shape: Shape


def read(raw: str) -> Address:
    """Return what an undecoded path asks for; doubled and trailing slashes and percent-encoding are forgiven."""
    parts = [unquote(part) for part in raw.split("/") if part] if len(raw) <= _MAX_PATH else []
    if len(parts) != 2 or parts[0] != CONTENT:
        return Address("", Shape.HTML)
    block, dot, suffix = parts[1].rpartition(".")
    if dot and suffix in list(Shape):
        return Address(block, Shape(suffix))
    return Address(parts[1], Shape.HTML)
