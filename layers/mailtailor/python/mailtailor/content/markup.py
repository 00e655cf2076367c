"""Hides a template's tags from parsers of HTML, so that what they write back is still the same template.

A parser moves text out of a table, so that the loop around the rows would become empty, and quotes attributes as it
likes. Hidden, each tag is a comment where text may stand, which parsers leave in its place even inside tables, and a
word where it stands inside a tag, an address or a style sheet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from typing import Final, NamedTuple

_TAG_BEGINS: Final = re.compile(r"\{[{%#]")
_TAG: Final = re.compile(
    r"\{%-?\s*raw\s*-?%\}.*?\{%-?\s*endraw\s*-?%\}|\{\#.*?\#\}"
    r"|\{%(?!-?\s*raw\s*-?%)(?:[^%\"']|\"[^\"]*\"|'[^']*'|%(?!\}))*+%\}"
    r"|\{\{(?:[^}\"']|\"[^\"]*\"|'[^']*'|\}(?!\}))*+\}\}",
    re.DOTALL,
)
"""One tag of Jinja, or all that is raw; texts in quotes may hold brackets."""
_ELEMENT_BEGINS: Final = re.compile(r"<[!?/A-Za-z]")
_ELEMENT: Final = re.compile(
    r"<!--.*?-->"  # comments, and with them all that is for Outlook alone
    r"|<(?P<raw>style|mj-style|title|textarea|script)\b[^<>]*+>.*?</(?P=raw)\s*>"
    r"|<(?!!--|(?:style|mj-style|title|textarea|script)\b)[!?/A-Za-z](?:[^<>\"']|\"[^\"]*\"|'[^']*')*+>",
    re.DOTALL | re.IGNORECASE,
)
"""One comment, style sheet, or tag of HTML."""
_NAME: Final = re.compile(r"<([A-Za-z][\w:-]*)")
_WORD: Final = re.compile(r'mtj(\d+)mtj(?:="")?')
_COMMENT: Final = re.compile(r"<!--mtj(\d+)mtj\1mtj-->")
"""What hides a tag where text may stand; the number comes twice, so that no author's comment around a tag is one."""
_TABLE: Final = re.compile(r"(<table\b(?:[^<>\"']|\"[^\"]*\"|'[^']*')*+>)((?:\s|<!--.*?-->)*+)(?=<tr\b)", re.IGNORECASE)


CUT: Final = (
    "the template's tags cut through elements, or elements are not where they may be, such as text between rows of a"
    " table; put whole elements, or an attribute's value, between tags"
)


class Unbalanced(ValueError):
    """A parser gave back other tags of the template than it was given, or in another order."""


class _Piece(NamedTuple):
    text: str
    inside: bool
    """Inside an element's tag, a comment, or a style sheet, where no comment can stand."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A template whose tags are hidden, the tags in their order, and which of them may move or come several times.

    These are the tags of style sheets, whose rules move into as many attributes as they are for.
    """

    html: str
    tags: tuple[str, ...]
    loose: frozenset[int]

    def shown(self, html: str) -> str:
        """Return what a parser made of `html` with the template's tags back in their places.

        Raises
        ------
        Unbalanced
            If one is lost, doubled or moved before another: the tags cut through elements.
        """
        found = [int(number) for number in re.findall(r"mtj(\d+)mtj", html)]
        fixed = [number for number in range(len(self.tags)) if number not in self.loose]
        if [number for number in found if number not in self.loose] != fixed:
            raise Unbalanced(CUT)
        shown = _COMMENT.sub(lambda match: self.tags[int(match[1])], html)
        return _WORD.sub(lambda match: self.tags[int(match[1])], shown)


def hide(template: str, *, mjml: bool = False) -> Hidden:
    """Return the template with its tags hidden; MJML writes one attribute into several, so there they are loose too.

    Raises
    ------
    Unbalanced
        If its tags cannot be hidden.
    """
    if re.search(r"mtj\d|\dmtj", template):
        raise Unbalanced("the template holds the words mtj0mtj, by which its tags would be hidden")
    tags: list[str] = []

    def word(tag: str) -> str:
        tags.append(tag)
        return f"mtj{len(tags) - 1}mtj"

    pieces: list[str] = []
    loose: set[int] = set()
    for piece in _pieces(_tags_replaced(template, word)):
        inside = piece.text if piece.inside else re.sub(r"mtj(\d+)mtj", r"<!--\g<0>\1mtj-->", piece.text)
        pieces.append(inside)
        if not piece.inside:
            continue
        numbers = {int(number) for number in re.findall(r"mtj(\d+)mtj", inside)}
        is_sheet = re.match(r"<(style|mj-style)\b", inside, re.IGNORECASE) is not None
        if is_sheet and any(not tags[number].startswith("{{") for number in numbers):
            raise Unbalanced("a style sheet can hold values, such as {{ inputs.accent }}, and no other tags")
        if is_sheet or (mjml and inside.startswith("<mj-")):
            loose |= numbers
    # A parser puts rows into a body of their own; begun before the first loop, it is not begun at every turn.
    html = _TABLE.sub(r"\1<tbody>\2", "".join(pieces))
    return Hidden(html, tuple(tags), frozenset(loose))


def in_lines(template: str, said: Callable[[str], str]) -> str:
    """Return the template with `said(tag)` in place of each tag, every line still where it was."""
    return _tags_replaced(template, lambda tag: said(tag) + "\n" * tag.count("\n"))


def unfinished(html: str) -> int:
    """Return where the first tag, comment or style sheet begins that never ends, -1 if all end."""
    end = 0
    for whole in _wholes(html, _ELEMENT_BEGINS, _ELEMENT):
        end = whole.end()
    begun = _ELEMENT_BEGINS.search(html, end)
    return begun.start() if begun else -1


def outline(html: str) -> list[str]:
    """Return what a parser has to leave in its order: elements begun, hidden tags between them, and text.

    `tbody` does not count, for parsers put it around rows.
    """
    found = []
    for piece in _pieces(html):
        if not piece.inside:
            found.append("".join(unescape(piece.text).split()))
        elif piece.text.startswith("<!--"):
            found.append(piece.text)
        elif (name := _NAME.match(piece.text)) and name[1].lower() != "tbody":
            found.append(f"<{name[1].lower()}>")
    return [one for one in found if one]


def _tags_replaced(template: str, said: Callable[[str], str]) -> str:
    pieces, end = [], 0
    for tag in _wholes(template, _TAG_BEGINS, _TAG):
        pieces += [template[end : tag.start()], said(tag[0])]
        end = tag.end()
    return "".join(pieces) + template[end:]


def _pieces(html: str) -> Iterator[_Piece]:
    end = 0
    for match in _wholes(html, _ELEMENT_BEGINS, _ELEMENT):
        yield _Piece(html[end : match.start()], inside=False)
        yield _Piece(match[0], inside=True)
        end = match.end()
    yield _Piece(html[end:], inside=False)


def _wholes(text: str, begins: re.Pattern[str], whole: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Yield what is whole, up to the first that never ends: to look for an end again and again would take for ever."""
    end = 0
    while (begun := begins.search(text, end)) and (found := whole.match(text, begun.start())):
        yield found
        end = found.end()
