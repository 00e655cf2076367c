"""The ESP's merge tags in a mail: where they are, and whether their conditions are closed.

A mail is read before the ESP merges, so a tag may hold quotes and angle brackets that no browser will ever see:
`href="%%=v("x")=%%"`, `{% if a < b %}`. `masked` puts as many inert characters in place of each tag; what reads HTML
or addresses then reads around them, and every offset stays.

Known are `%%name%%`, `%%=...=%%` and `%%[...]%%` (AMPscript), `{{...}}` with more braces around or inside, `{%...%}`,
`{#...#}`, `*|...|*`, `[[...]]` and `<%...%>`. Sources: each ESP's reference of its language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MARK: Final = "\x00"
"""Stands for a character of a merge tag."""

_RUN: Final = re.compile(f"{MARK}+")
_NAME: Final = re.compile(r"%%[A-Za-z_][\w .:-]{0,98}%%")
_QUOTED: Final = re.compile(r""""[^"]*+"|'[^']*+'""")
_MARKUP: Final = re.compile(r"<[A-Za-z/!][^<>]*+>|>[^<>]*+<[A-Za-z/!]")


@dataclass(frozen=True, slots=True)
class _Syntax:
    """How a kind of tag begins and ends; what is longer, or holds one of `never`, only looks like one."""

    opener: str
    closer: str
    longest: int = 2_000
    never: str = ""


_CODE: Final = _Syntax("%%[", "]%%")
_SYNTAXES: Final = (
    _Syntax("%%=", "=%%"),
    _Syntax("{{", "}}"),
    _Syntax("{%", "%}"),
    _Syntax("{#", "#}"),
    _Syntax("*|", "|*", 300, "\n"),
    _Syntax("[[", "]]", 300, "\n<>"),
    _Syntax("<%", "%>"),
)

_STATEMENT: Final = re.compile(
    r"\{%[-+~]?\s*+(?P<liquid>\w++)"
    r"|\{\{\{?~?\s*+(?:(?P<section>[#^/])|(?P<otherwise>else\b))"
    r"|\*\|(?P<mailchimp>\w++)[:|]"
    r"|%%\[(?P<ampscript>(?:(?!\]%%).)*+)"
    r"|(?P<scriptlet><%(?![=@#-]))",
    re.DOTALL,
)
_BLOCKS: Final = frozenset(
    {
        *("if", "unless", "for", "case", "capture", "raw", "comment", "filter", "with", "autoescape", "tablerow"),
        *("ifnot", "ifchanged", "macro", "call", "interested", "not_interested"),
    }
)
_BRANCHES: Final = frozenset({"else", "elsif", "elif", "elseif", "when", "empty"})
_AMPSCRIPT: Final = re.compile(r"\b(if|elseif|else|endif|for|next)\b", re.IGNORECASE)
_OPENS, _BRANCHES_OFF, _CLOSES, _PLAIN = 1, 2, 3, 0


def masked(text: str) -> str:
    """Return `text` with `MARK` in place of each character of a merge tag; the time is linear in its length.

    A NUL of the text itself becomes U+FFFD, as in a browser. Code between `%%[` and `]%%` may be of any length; in all
    others no HTML tag may stand outside quotes, so that braces in a style sheet cannot swallow a link.
    """
    text = text.replace(MARK, "\ufffd")
    if "%%" in text:
        text = _blanked(text, _spans(text, _CODE, anything=True))
        text = _blanked(text, _spans(text, _SYNTAXES[0]))
        text = _NAME.sub(lambda name: MARK * len(name[0]), text)
    for syntax in _SYNTAXES[1:]:
        text = _blanked(text, _spans(text, syntax))
    return text


def runs(original: str, text: str, start: int, end: int) -> tuple[str, ...]:
    """Return the merge tags of `original` between two offsets, those without anything between them as one."""
    return tuple(original[run.start() : run.end()] for run in _RUN.finditer(text, start, end))


def collapsed(text: str) -> str:
    """Return masked `text` with one `MARK` for each of its `runs`."""
    return _RUN.sub(MARK, text) if MARK in text else text


@dataclass(frozen=True, slots=True)
class Balance:
    """Whether conditions and loops in a text are closed there.

    Attributes
    ----------
    stray
        Where the first tag stands that closes or continues what was not opened; None if there is none.
    left_open
        Whether something was opened and not closed.
    """

    stray: int | None
    left_open: bool

    @property
    def kept(self) -> bool:
        """Whether everything opened is closed, and nothing else."""
        return self.stray is None and not self.left_open


def balance(original: str) -> Balance:
    """Return how the statements of `original` (`{% if %}`, `{{#if}}`, `*|IF:|*`, AMPscript) are balanced in it."""
    depth = 0
    for statement in _STATEMENT.finditer(original):
        for effect in _effects(statement):
            if effect in {_BRANCHES_OFF, _CLOSES} and not depth:
                return Balance(statement.start(), left_open=False)
            depth += {_OPENS: 1, _CLOSES: -1}.get(effect, 0)
    return Balance(None, left_open=depth > 0)


def _effects(statement: re.Match[str]) -> Iterator[int]:
    if statement["ampscript"] is not None:
        for word in _AMPSCRIPT.findall(_QUOTED.sub("", statement["ampscript"])):
            yield _effect({"next": "endfor"}.get(word.lower(), word.lower()))
    elif statement["section"] is not None:
        yield _CLOSES if statement["section"] == "/" else _OPENS
    elif statement["otherwise"] is not None:
        yield _BRANCHES_OFF
    elif statement["scriptlet"] is not None:
        # What a programming language opens here and closes elsewhere cannot be told without reading that language.
        yield _OPENS
    else:
        yield _effect((statement["liquid"] or statement["mailchimp"]).lower())


def _effect(word: str) -> int:
    if word.startswith("end"):
        return _CLOSES
    if word in _BRANCHES:
        return _BRANCHES_OFF
    return _OPENS if word in _BLOCKS else _PLAIN


def _spans(text: str, syntax: _Syntax, *, anything: bool = False) -> Iterator[tuple[int, int]]:
    """Yield where tags of `syntax` stand; each character is looked at a few times, whatever the text."""
    position = 0
    while (start := text.find(syntax.opener, position)) >= 0:
        end = text.find(syntax.closer, start + len(syntax.opener))
        if end < 0:
            return
        position = end + len(syntax.closer)
        if not anything:
            # Tags do not nest: of several openers the last one before the closer is the tag's.
            start = text.rfind(syntax.opener, start, end)
        if syntax.opener == "{{":
            start, position = _braces(text, start, position)
        if anything or _is_tag(text[start:position], syntax):
            yield start, position


def _braces(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the bounds of `{{{x}}}` and of Braze's `{{${x}}}`, whose closing braces run on."""
    for _ in range(2):
        start -= start > 0 and text[start - 1] == "{"
        end += text.startswith("}", end)
    return start, end


def _is_tag(candidate: str, syntax: _Syntax) -> bool:
    if len(candidate) > syntax.longest or any(character in candidate for character in syntax.never):
        return False
    return "<" not in candidate[1:] or not _MARKUP.search(_QUOTED.sub("", candidate[1:-1]))


def _blanked(text: str, spans: Iterator[tuple[int, int]]) -> str:
    pieces: list[str] = []
    position = 0
    for start, end in spans:
        pieces += (text[position:start], MARK * (end - start))
        position = end
    return "".join((*pieces, text[position:])) if pieces else text
