"""Instrumenting the plain-text part of a mail: its web addresses become tracked ones, all else stays."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mailtailor.tracking.links import LONG_URL, Address, Link, Mailing, Place, long_addresses, track, with_values
from mailtailor.tracking.merge_tags import balance, collapsed, masked, runs

# Addresses that begin a mail or a message are found too, so that those in its body stay.
_URL: Final = re.compile(r"(?<![A-Za-z0-9+.-])(?:https?://|(?:mailto|sms):)[^\s<>\"]+", re.IGNORECASE)
# Which quotation mark ends a quotation depends on the language: German ends with the one that English begins with.
_PUNCTUATION: Final = frozenset(
    ".,;:!?'*|`\u2018\u2019\u201c\u201d\u00ab\u00bb\u2039\u203a\u2026\u3001\u3002\uff0c\uff01\uff1f\uff1b\uff1a"
)
_BRACKETS: Final = {")": "(", "]": "[", "}": "{", "\uff09": "\uff08", "\u300d": "\u300c", "\u3011": "\u3010"}
_BEFORE: Final = 200
"""So many characters before an address are read for what it is."""


@dataclass(frozen=True, slots=True)
class InstrumentedText:
    """A text part ready to send, what was done to its links, and what its author should know."""

    text: str
    links: tuple[Link, ...]
    warnings: tuple[str, ...] = ()


def instrument_text(text: str, mailing: Mailing, *, first_position: int = 1) -> InstrumentedText:
    """Return `text` with tracked links; there is no pixel in it. The time is linear in its length.

    Punctuation and brackets that end a sentence around an address are not part of it. A link stays as it is for the
    same reasons as in HTML; those for unsubscribing are known by their address, or by words before it.

    Parameters
    ----------
    text
        The part.
    mailing
        As for the HTML part.
    first_position
        The position of the first link, one more than the HTML part has links.
    """
    hidden = masked(text)
    links: list[Link] = []
    pieces: list[str] = []
    position, line, long = 0, 1, 0
    for match in _URL.finditer(hidden):
        start, end = match.start(), _end(text, hidden, *match.span())
        line += text.count("\n", position, start)
        words = _words(hidden, position, start)
        place = Place("text", first_position + len(links), line, words=words)
        address = Address(collapsed(hidden[start:end]), runs(text, hidden, start, end))
        link, tracked = track(address, place, mailing)
        links.append(link)
        pieces.append(text[position:start])
        url = with_values(tracked, [value.written for value in tracked.values], "&") if tracked else text[start:end]
        long += tracked is not None and len(url) > LONG_URL
        pieces.append(url)
        position = end
    warnings = (f"{long_addresses(long)}; some mail clients cut them off.",) if long else ()
    return InstrumentedText("".join((*pieces, text[position:])), tuple(links), warnings)


def _end(text: str, hidden: str, start: int, end: int) -> int:
    """Return where an address ends that may run on into punctuation, or into the end of a condition around it."""
    stray = balance(text[start:end]).stray
    if stray is not None:
        end = start + stray
    surplus = {
        closer: hidden.count(closer, start, end) - hidden.count(opener, start, end)
        for closer, opener in _BRACKETS.items()
    }
    while end > start:
        last = hidden[end - 1]
        if surplus.get(last, 0) > 0:
            surplus[last] -= 1
        elif last not in _PUNCTUATION:
            break
        end -= 1
    return end


def _words(hidden: str, earliest: int, start: int) -> str:
    """Return what stands before an address on its line, or on the line above if it has one of its own."""
    before = hidden[max(earliest, start - _BEFORE) : start]
    above, _, same = before.rpartition("\n")
    if same.strip(" \t<([>*-") or not above.strip():
        return same
    return above.rstrip("\r").rpartition("\n")[2]
