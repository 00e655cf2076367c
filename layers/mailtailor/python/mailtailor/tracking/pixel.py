"""The open pixel: the smallest GIF there is, and headers under which every open asks for it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

GIF: Final = bytes.fromhex("4749463839610100010080000000000000000021f90401000000002c00000000010001000002024401003b")
"""GIF89a, 1 x 1, transparent, 43 bytes."""

HEADERS: Final[Mapping[str, str]] = {
    "content-type": "image/gif",
    "content-length": str(len(GIF)),
    "cache-control": "no-store, no-cache, must-revalidate, private, max-age=0",
    # Webmail shows images from another origin than ours.
    "cross-origin-resource-policy": "cross-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
