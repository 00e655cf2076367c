"""Makes plain text of a block's HTML, for variants that bring none.

Paragraphs stay paragraphs, links show where they lead, images their alternative text. What only styles or hides is
left out. Comments are too, and with them all that is for Outlook alone. What would open an ESP's tags stays harmless.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

from mailtailor.content import neutral

_SILENT: Final = frozenset({"style", "script", "title", "template", "noscript"})
_VOID: Final = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
_PARAGRAPHS: Final = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "blockquote"})
_LINES: Final = frozenset({"div", "tr", "li", "section", "article", "header", "footer", "br", "hr"})
_HIDDEN: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all", re.IGNORECASE)
_BLANKS: Final = re.compile(r"[ \t\r\n\f]+")


def text_of(html: str) -> str:
    """Return the plain text of HTML, without blanks at its ends."""
    reader = _Reader()
    reader.feed(neutral.decoded(html))
    reader.close()
    lines = [_BLANKS.sub(" ", line).strip(" \u200b\u200c\ufeff") for line in "".join(reader.pieces).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._unseen: list[str] = []
        """The open elements from the outermost that is not shown on."""
        self._links: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if self._unseen:
            if tag not in _VOID:
                self._unseen.append(tag)
            return
        hidden = tag in _SILENT or _HIDDEN.search(given.get("style", "")) or given.get("aria-hidden") == "true"
        if hidden and tag not in _VOID:
            self._unseen.append(tag)
            return
        if tag == "img":
            self.pieces.append(_BLANKS.sub(" ", given.get("alt", "")) + " ")
        elif tag == "a":
            self._links.append((given.get("href", ""), len(self.pieces)))
        elif tag == "td":
            self.pieces.append(" ")
        self._part(tag)
        if tag == "li":
            self.pieces.append("- ")

    def handle_endtag(self, tag: str) -> None:
        if self._unseen:
            # Elements that were not closed end with the one around them.
            if tag in self._unseen:
                while self._unseen.pop() != tag:
                    pass
            return
        if tag == "a" and self._links:
            href, start = self._links.pop()
            said = "".join(self.pieces[start:]).strip()
            if href and href != said and not href.startswith("#"):
                self.pieces.append(f"\n{href}\n")
        self._part(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.pieces.append(_BLANKS.sub(" ", data))

    def _part(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.pieces.append("\n\n")
        elif tag in _LINES:
            self.pieces.append("\n")
