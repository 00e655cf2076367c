"""Tags of an HTML mail where they stand in its text.

Mails are rewritten as text, for parsing and serializing them again breaks what mail clients need: conditional
comments, doctypes, merge tags between table rows. So this reads tags exactly as a browser's tokenizer does (HTML
Standard, section 13.2.5) and says where they are; comments, scripts and styles are passed over.

Each construct is read to its own end or to the end of the text, so that the time is linear whatever the input: after
20,000 unclosed `<a` a browser sees one unfinished tag, and so does this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from html.entities import html5
from typing import Final

_SPACE: Final = r"[\t\n\f\r ]"
_ATTRIBUTE: Final = (
    r"[\t\n\f\r /]*+(?P<name>[^\t\n\f\r />][^\t\n\f\r />=]*+)"
    rf"(?:{_SPACE}*+={_SPACE}*+"
    r"""(?P<value>"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\t\n\f\r >"'][^\t\n\f\r >]*+|(?=>)|\Z))?+"""
)
_ATTRIBUTES: Final = re.sub(r"\?P<\w+>", "?:", _ATTRIBUTE)
_ATTRIBUTE_PATTERN: Final = re.compile(_ATTRIBUTE)
_CONSTRUCT: Final = re.compile(
    r"<!--(?:-?>|.*?(?:--!?>|\Z))"
    r"|<(?:[!?]|/(?![A-Za-z]))[^>]*+>?"
    rf"|<(?P<end>/?)(?P<tag>[A-Za-z][^\t\n\f\r />]*+)(?P<attributes>(?:{_ATTRIBUTES})*+)[\t\n\f\r /]*+(?P<closed>>|\Z)",
    re.DOTALL,
)
_RAW_TEXT: Final = {
    tag: re.compile(rf"</{tag}(?=[\t\n\f\r />])", re.IGNORECASE)
    for tag in ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
}
_REFERENCE: Final = re.compile(r"&(?:#[0-9]++;?|#[xX][0-9a-fA-F]++;?|(?P<name>[A-Za-z][A-Za-z0-9]*+)(?P<end>;|=)?)")


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute's value: as a browser reads it, and where it stands, quotes included."""

    value: str
    start: int
    end: int
    quote: str


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag in lower case, `/` in front if it ends an element; its place, and where its attributes begin and end."""

    name: str
    start: int
    attributes_start: int
    attributes_end: int


def tags(html: str) -> Iterator[Tag]:
    """Yield every complete tag of `html` that a browser would see."""
    position = 0
    while construct := _CONSTRUCT.search(html, position):
        position = construct.end()
        if construct["closed"] != ">":
            continue
        name = construct["tag"].lower()
        yield Tag(f"{construct['end']}{name}", construct.start(), *construct.span("attributes"))
        if not construct["end"] and name in _RAW_TEXT:
            closing = _RAW_TEXT[name].search(html, position)
            position = closing.start() if closing else len(html)


def attributes(html: str, tag: Tag) -> dict[str, Attribute]:
    """Return the attributes of `tag` by their names in lower case; of a repeated one the first, as browsers do."""
    found: dict[str, Attribute] = {}
    for match in _ATTRIBUTE_PATTERN.finditer(html, tag.attributes_start, tag.attributes_end):
        raw = match["value"] or ""
        quote = raw[0] if raw[:1] in {'"', "'"} else ""
        value = _decoded(raw[1:-1] if quote else raw)
        found.setdefault(match["name"].lower(), Attribute(value, *match.span("value"), quote))
    return found


def _decoded(value: str) -> str:
    """Return `value` with its character references resolved as in attributes.

    There `&reg=1` is no reference but a parameter named reg, which `html.unescape` would turn into a sign.
    """
    return _REFERENCE.sub(_character, value) if "&" in value else value


def _character(reference: re.Match[str]) -> str:
    name, end = reference["name"], reference["end"]
    if name is None or (end == ";" and f"{name};" in html5):
        return unescape(reference[0])
    if end is None and name in html5:
        return html5[name]
    return reference[0]
