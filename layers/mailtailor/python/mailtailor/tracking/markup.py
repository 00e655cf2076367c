"""Tags of an HTML mail where they stand in its text.

Mails are rewritten as text, for parsing and serializing them again breaks what mail clients need: conditional
comments, doctypes, merge tags between table rows. So this reads tags exactly as a browser's tokenizer does (HTML
Standard, section 13.2.5) and says where they are; comments, scripts and styles are passed over. Conditional comments
are read like the rest, for Outlook does so: buttons drawn in VML stand in them.

What is read may be masked (see `merge_tags`): a `MARK` parts attributes, but belongs to the value or the name that it
stands in.

Each construct is read to its own end or to the end of the text, so that the time is linear whatever the input: after
20,000 unclosed `<a` a browser sees one unfinished tag, and so does this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from html.entities import html5
from typing import Final, NamedTuple

_SPACE: Final = r"[\t\n\f\r ]"
_ATTRIBUTE: Final = (
    r"[\t\n\f\r /\x00]*+"
    r"(?P<name>[^\t\n\f\r />\x00][^\t\n\f\r />=\x00]*+(?:\x00++(?=[=_-])[^\t\n\f\r />=\x00]*+)*+)"
    rf"(?:{_SPACE}*+={_SPACE}*+"
    r"""(?P<value>"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\t\n\f\r >"'][^\t\n\f\r >]*+|(?=>)|\Z))?+"""
)
_ATTRIBUTES: Final = re.sub(r"\?P<\w+>", "?:", _ATTRIBUTE)
_ATTRIBUTE_PATTERN: Final = re.compile(_ATTRIBUTE)
_TAG: Final = (
    r"(?P<end>/?)(?P<tag>[A-Za-z][^\t\n\f\r />\x00]*+)"
    rf"(?P<attributes>(?:{_ATTRIBUTES})*+)[\t\n\f\r /\x00]*+(?P<closed>>|\Z)"
)
# What is only layout is passed over within one match, for a mail has a thousand such tags and a hundred that matter.
# A name with a colon is Office's, and may link.
_LAYOUT: Final = (
    r"<(?:/(?!(?:a|area|body)[\t\n\f\r />\x00])|"
    r"(?!(?:a|area|img|script|style|textarea|title|xmp|iframe|noembed|noframes)[\t\n\f\r />\x00]))"
    rf"[A-Za-z][^\t\n\f\r />\x00:]*+(?=[\t\n\f\r />\x00])(?:{_ATTRIBUTES})*+[\t\n\f\r /\x00]*+>"
)
_LAYOUT_PATTERN: Final = re.compile(rf"{_LAYOUT}|<[^>]*+\Z", re.IGNORECASE)
_PASSED_OVER: Final = rf"(?:[^<]++|(?i:{_LAYOUT})|<(?![A-Za-z/!?]))*+"
_COMMENT: Final = r"!--(?:-?>|.*?(?:--!?>|\Z))"
_OTHER: Final = r"(?:[!?]|/(?![A-Za-z]))[^>]*+>?"
_CONSTRUCTS: Final = re.compile(f"{_PASSED_OVER}(?P<construct><(?:{_TAG}|{_COMMENT}|{_OTHER}))", re.DOTALL)
_COMMENTED_CONSTRUCTS: Final = re.compile(f"{_PASSED_OVER}(?P<construct><(?:{_TAG}|{_OTHER}))", re.DOTALL)
_CONDITION: Final = re.compile(r"<!--\[if[^\]]*+\]>", re.IGNORECASE)
_RAW_TEXT: Final = {
    tag: re.compile(rf"</{tag}(?=[\t\n\f\r />])", re.IGNORECASE)
    for tag in ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
}
_REFERENCE: Final = re.compile(r"&(?:#[0-9]++;?|#[xX][0-9a-fA-F]++;?|(?P<name>[A-Za-z][A-Za-z0-9]*+)(?P<end>;|=)?)")

_LONGEST_NUMBER: Final = 100


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute's value: as a browser reads it, and where it stands, quotes included."""

    value: str
    start: int
    end: int
    quote: str


class Tag(NamedTuple):
    """A tag of a mail; a tuple, for a mail has hundreds of them.

    Attributes
    ----------
    name
        In lower case, `/` in front if it ends an element.
    start, end
        Where it stands.
    attributes_start, attributes_end
        Where its attributes do.
    commented
        Whether it stands in a conditional comment, so that only Outlook sees it.
    """

    name: str
    start: int
    end: int
    attributes_start: int
    attributes_end: int
    commented: bool = False


@dataclass(frozen=True, slots=True)
class Markup:
    """The tags of a mail that are not only layout, and where a comment, tag or script begins that never ends."""

    tags: tuple[Tag, ...]
    end: int


def read(html: str) -> Markup:
    """Return each complete tag of `html` that may link, show an image or end the body: those that a browser would see.

    Those that Outlook sees in a conditional comment are among them, and whatever has a colon in its name.
    """
    found: list[Tag] = []
    end = _read(html, 0, len(html), found, commented=False)
    return Markup(tuple(found), end)


def _read(html: str, position: int, end: int, found: list[Tag], *, commented: bool) -> int:
    """Append the tags between two offsets to `found`; return where something unclosed begins, `end` if nothing."""
    constructs = _COMMENTED_CONSTRUCTS if commented else _CONSTRUCTS
    while construct := constructs.match(html, position, end):
        start, position = construct.span("construct")
        slash, name, closed = construct.group("end", "tag", "closed")
        if name is None:
            # Inside a comment nothing begins another one, so this goes no deeper.
            if not commented and (condition := _CONDITION.match(html, start, position)):
                _read(html, condition.end(), position, found, commented=True)
            if not _is_closed(html, start, position, comment=not commented):
                return start
            continue
        if closed != ">":
            return start
        name = name.lower()
        found.append(Tag(slash + name, start, position, *construct.span("attributes"), commented))
        if not slash and name in _RAW_TEXT:
            closing = _RAW_TEXT[name].search(html, position, end)
            if closing is None:
                return start
            position = closing.start()
    return end


def _is_closed(html: str, start: int, end: int, *, comment: bool) -> bool:
    if comment and html.startswith("<!--", start):
        return html.endswith(("-->", "--!>"), start, end)
    return html[end - 1] == ">"


def text(html: str) -> str:
    """Return what stands between two tags that were read, without the tags that are only layout."""
    return _LAYOUT_PATTERN.sub(" ", html)


def attributes(html: str, tag: Tag) -> dict[str, Attribute]:
    """Return the attributes of `tag` by their names in lower case; of a repeated one the first, as browsers do."""
    found: dict[str, Attribute] = {}
    for name, attribute in all_attributes(html, tag):
        found.setdefault(name, attribute)
    return found


def all_attributes(html: str, tag: Tag) -> Iterator[tuple[str, Attribute]]:
    """Yield the attributes of `tag` with their names in lower case, repeated ones too."""
    for match in _ATTRIBUTE_PATTERN.finditer(html, tag.attributes_start, tag.attributes_end):
        raw = match["value"] or ""
        quote = raw[0] if raw[:1] in {'"', "'"} else ""
        value = decoded(raw[1:-1] if quote else raw)
        yield match["name"].lower(), Attribute(value, *match.span("value"), quote)


def decoded(value: str) -> str:
    """Return `value` with its character references resolved as in attributes.

    There `&reg=1` is no reference but a parameter named reg, which `html.unescape` would turn into a sign.
    """
    return _REFERENCE.sub(_character, value) if "&" in value else value


def _character(reference: re.Match[str]) -> str:
    name, end = reference["name"], reference["end"]
    if name is None and len(reference[0]) > _LONGEST_NUMBER:
        # No character's, and thousands of digits Python refuses to read.
        return "\ufffd"
    if name is None or (end == ";" and f"{name};" in html5):
        return unescape(reference[0])
    if end is None and name in html5:
        return html5[name]
    return reference[0]
