"""The paths of content: blocks, `/content/{block}` or `{block},{block}` with `.html`, `.json` or `.txt`, and images."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import unquote

from mailtailor.errors import NotFound

CONTENT: Final = "content"
IMAGE: Final = "image"
NAME: Final = r"^[a-z][a-z0-9_]{0,63}$"
"""What a block may be called."""
MAX_BLOCKS: Final = 10
"""In one fetch; a whole mail has fewer."""
_MAX_PATH: Final = 16_384


class Shape(StrEnum):
    """How an answer is packed."""

    HTML = "html"
    JSON = "json"
    TEXT = "txt"


class Address(NamedTuple):
    """Which block, or blocks parted by commas, and how they are wanted; empty if the path names none."""

    block: str
    shape: Shape

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the blocks, each once, in their order."""
        return tuple(dict.fromkeys(filter(None, self.block.split(","))))

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks that are fetched; none if there are more than one fetch may ask for."""
        return self.names if len(self.names) <= MAX_BLOCKS else ()

    def nothing_found(self) -> NotFound:
        """Return why there is nothing at this address."""
        if len(self.names) > MAX_BLOCKS:
            return NotFound(f"One fetch takes at most {MAX_BLOCKS} blocks.", "Fetch the others by another address.")
        return NotFound("There is no block of this name.", "Publish it, or correct the address.")


def is_name(text: str) -> bool:
    """Return whether a block may be called so."""
    return re.fullmatch(NAME, text) is not None


def read(raw: str) -> Address:
    """Return what an undecoded path asks for; doubled and trailing slashes and percent-encoding are forgiven."""
    parts = [unquote(part) for part in raw.split("/") if part] if len(raw) <= _MAX_PATH else []
    if len(parts) != 2 or parts[0] != CONTENT:
        return Address("", Shape.HTML)
    block, dot, suffix = parts[1].rpartition(".")
    if dot and suffix in list(Shape):
        return Address(block, Shape(suffix))
    return Address(parts[1], Shape.HTML)


def image_name(raw: str) -> str:
    """Return which image the undecoded path `/image/{name}/{recipient}.gif` asks for, empty if it names none.

    What follows the name only tells recipients' addresses apart, so that no cache gives one's image to another. It is
    not read, and may be an ESP's merge tag that nobody filled in.
    """
    parts = [part for part in raw.split("/") if part] if len(raw) <= _MAX_PATH else []
    if len(parts) < 2 or parts[0] != IMAGE:
        return ""
    return unquote(parts[1]).partition(".")[0]


def images_at(url: str) -> str:
    """Return the address that images' names follow, of the address that all paths follow."""
    return f"{url}/{IMAGE}"


def image_path(name: str, recipient: str) -> str:
    """Return the path of an image; the recipient's token, or an ESP's merge tag in place of it."""
    return f"/{IMAGE}/{name}/{recipient}.gif"
