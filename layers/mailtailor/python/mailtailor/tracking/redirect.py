"""What a click is answered with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

HEADERS: Final[Mapping[str, str]] = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
"""Every click must reach us, and the shop must not see whose token brought it."""

PAGE_HEADERS: Final[Mapping[str, str]] = {
    **HEADERS,
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}


def _page(title: str, sentence: str) -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title></head>'
        '<body style="font:16px/1.5 sans-serif;max-width:30em;margin:4em auto;padding:0 1em">'
        f"<h1>{title}</h1><p>{sentence}</p></body></html>"
    )


NOT_FOUND_PAGE: Final = _page(
    "This link is not valid", "It may have been cut off when it was copied. Please open it from the e-mail itself."
)
UNAVAILABLE_PAGE: Final = _page("Please try again in a moment", "The link is fine, but it cannot be opened just now.")
