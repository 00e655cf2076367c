"""What a click is answered with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from mailtailor.tracking.destination import SLOT, location
from mailtailor.tracking.paths import slot_name

HEADERS: Final[Mapping[str, str]] = {
    # Every click must reach us, and the shop must not see whose token brought it.
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-type": "text/plain; charset=utf-8",
    "x-content-type-options": "nosniff",
}

PAGE_HEADERS: Final[Mapping[str, str]] = {
    **HEADERS,
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-robots-tag": "noindex",
}

STITCH_PARAMETER: Final = "mt_stitch"
"""Carries a stitch token to the shop's page."""
MAX_FORWARDED_CHARACTERS: Final = 200


def target(
    url: str, parameters: Mapping[str, str], *, forwarded: Sequence[str] = (), extra: Sequence[tuple[str, str]] = ()
) -> str:
    """Return where a click on the signed `url` leads.

    Parameters
    ----------
    url
        The destination as signed; its slots take the click's parameters `s1`, `s2` and so on.
    parameters
        What came with the click. Nothing of it but slots and `forwarded` reaches the destination.
    forwarded
        Names of the click's parameters that are appended, values cut to 200 characters.
    extra
        Parameters of our own to append, before those forwarded.

    Raises
    ------
    BadDestination
        As `location` does.
    """
    values = [parameters.get(slot_name(number), "") for number in range(1, url.count(SLOT) + 1)]
    # A stitch token that comes with a click is not of this click: whoever wrote the link means somebody else's browser.
    names = [name for name in forwarded if name in parameters and name.casefold() != STITCH_PARAMETER]
    passed = [(name, parameters[name][:MAX_FORWARDED_CHARACTERS]) for name in names]
    return location(url, values, [*extra, *passed])


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
