"""Looks through a block's templates for what mail clients, people and spam filters stumble over.

It reads what the author wrote, line by line, before it is compiled; the tags of the template stand for whatever they
print. What is for Outlook alone is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from mailtailor.content.clients import Support
from mailtailor.content.countdown import DIGIT_CONTRAST, TEXT_CONTRAST, contrast
from mailtailor.content.inputs import Value
from mailtailor.content.markup import in_lines, unfinished

Level = Literal["error", "warning", "note"]

MAX_DEPTH: Final = 100
"""Elements inside one another; mails have some ten or twenty."""
GMAIL_STYLE: Final = 8_192
"""Characters of a style sheet beyond which Gmail drops it (Can I email, "<style> element", note 2)."""
SMALLEST_FONT: Final = 12
_VAGUE: Final = frozenset({"click here", "here", "click", "more", "read more", "link", "this", "learn more"})
_FORBIDDEN: Final = {
    **dict.fromkeys(("script", "iframe", "object", "embed", "applet", "base", "frame"), "no mail client runs it"),
    **dict.fromkeys(("html", "head", "body"), "a block is a part of a mail, which has one already"),
    "link": "nothing is fetched for a mail",
    "meta": "a block is a part of a mail, which says this once, in its head",
}
_VOID: Final = frozenset(
    {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr", "mj-image"}
)
_LINKS: Final = frozenset({"a", "mj-button"})
_OUR_LINK: Final = re.compile(r"\btrack\s*\(")
_NAMED_LINK: Final = re.compile(r"\bset\s+(\w+)\s*=\s*track\s*\(")
_PRINTED: Final = re.compile(r"^\{\{-?\s*(\w+)\s*-?\}\}$")
_ESP_TAG: Final = re.compile(r"^(?:%%|\*\||\[\[|\{\{|\{%|\$\{)")
_COLOUR: Final = re.compile(r"^#(?:[0-9a-f]{3}|[0-9a-f]{6})$", re.IGNORECASE)
_INPUT: Final = re.compile(r"^\{\{-?\s*inputs\.(\w+)\s*-?\}\}$")
_PIXELS: Final = re.compile(r"(\d+(?:\.\d+)?)px")
_LARGE: Final = 24.0
_LARGE_BOLD: Final = 18.66
"""Pixels from which text counts as large (WCAG 2.2, "large scale": 18 point, or 14 point bold)."""


class Finding(NamedTuple):
    """Something to mend (`error`), to think about (`warning`), or to know (`note`)."""

    level: Level
    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.level}: {self.message}"


@dataclass(frozen=True, slots=True)
class Rules:
    """What templates are held to.

    Attributes
    ----------
    hosts
        The hosts that addresses written into templates may name; none allows all.
    values
        What the block's inputs hold, for colours.
    tracked
        Whether links can be tracked: in templates, and not in what is shown as it stands.
    support
        What mail clients support.
    """

    hosts: tuple[str, ...]
    values: Mapping[str, Value]
    tracked: bool
    support: Support


def lint(file: str, template: str, rules: Rules) -> list[Finding]:
    """Return what there is to say of a template in HTML or MJML, by line; each thing once a file."""
    tracked = set(_NAMED_LINK.findall(template))

    def said(tag: str) -> str:
        known = _INPUT.match(tag)
        if known and known[1] in rules.values:
            return str(rules.values[known[1]])
        printed = _PRINTED.match(tag)
        is_link = _OUR_LINK.search(tag) or (printed is not None and printed[1] in tracked)
        return "{{track}}" if is_link else "{{value}}" if tag.startswith("{{") else ""

    html = in_lines(template, said)
    if (at := unfinished(html)) >= 0:
        return [
            Finding("error", file, html.count("\n", 0, at) + 1, "a tag, comment or style sheet begins and never ends")
        ]
    reader = _Reader(file, rules)
    try:
        reader.feed(html)
        reader.close()
    except AssertionError:
        # So tell some versions of Python's parser that they do not know a declaration.
        return [Finding("error", file, reader.getpos()[0], "a declaration such as <![x]> is none of HTML")]
    return sorted(reader.all(), key=lambda finding: (("error", "warning", "note").index(finding.level), finding.line))


@dataclass(slots=True)
class _Element:
    tag: str
    line: int
    colour: str
    background: str
    size: float
    bold: bool
    said: list[str] = field(default_factory=list)
    """Of a link, what it says to whoever does not see it."""


class _Reader(HTMLParser):
    def __init__(self, file: str, rules: Rules) -> None:
        super().__init__(convert_charrefs=True)
        self._file = file
        self._rules = rules
        self._found: dict[tuple[Level, str], int] = {}
        self._open: list[_Element] = []
        self._links: list[_Element] = []
        self._sheet: list[str] = []

    def all(self) -> Iterator[Finding]:
        for (level, message), line in self._found.items():
            yield Finding(level, self._file, line, message)
        for level, message, line in self._rules.support.grouped():
            yield Finding(level, self._file, line, message)

    def _say(self, level: Level, message: str) -> None:
        self._found.setdefault((level, message), self._line)

    @property
    def _line(self) -> int:
        return self.getpos()[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in _FORBIDDEN:
            self._say("error", f"<{tag}> cannot be in a block: {_FORBIDDEN[tag]}")
        for name in given:
            if name.startswith("on"):
                self._say("error", f"{name} cannot be in a block: no mail client runs it")
        style = _declarations(given.get("style", ""))
        self._rules.support.element(tag, given, self._line)
        self._rules.support.declarations(style.items(), self._line)
        self._check(tag, given)
        if tag in _VOID:
            return
        if len(self._open) >= MAX_DEPTH:
            self._say("error", f"more than {MAX_DEPTH} elements are inside one another")
            return
        self._open.append(self._element(tag, given, style))
        if tag in _LINKS:
            self._links.append(self._open[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def _element(self, tag: str, given: Mapping[str, str], style: Mapping[str, str]) -> _Element:
        around = self._open[-1] if self._open else _Element("", 0, "#000000", "#ffffff", 16.0, bold=False)
        paint = style.get("background-color") or style.get("background") or given.get("bgcolor", "")
        size = _PIXELS.search(style.get("font-size", "") or style.get("font", ""))
        weight = style.get("font-weight", "") or style.get("font", "")
        pixels = float(size[1]) if size else around.size
        if 0 < pixels < SMALLEST_FONT:
            self._say("warning", f"text of {pixels:g} pixels is hard to read; {SMALLEST_FONT} are the least")
        return _Element(
            tag,
            self._line,
            style.get("color", around.colour),
            paint or around.background,
            pixels,
            bold=("bold" in weight or "700" in weight) if weight else around.bold,
        )

    def handle_endtag(self, tag: str) -> None:
        if all(one.tag != tag for one in self._open):
            return
        while True:
            ended = self._open.pop()
            if ended.tag in _LINKS:
                self._check_words(self._links.pop())
            if ended.tag in {"style", "mj-style"}:
                self._check_sheet("".join(self._sheet), ended.line)
                self._sheet.clear()
            if ended.tag == tag:
                break

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1].tag in {"style", "mj-style"}:
            self._sheet.append(data)
            return
        for one in self._links:
            one.said.append(data)
        if data.strip() and self._open and not self._open[-1].tag.startswith("mj-"):
            self._check_contrast(self._open[-1])

    def _check_contrast(self, shown: _Element) -> None:
        if not (_COLOUR.match(shown.colour) and _COLOUR.match(shown.background)):
            return
        large = shown.size >= _LARGE or (shown.bold and shown.size >= _LARGE_BOLD)
        needed, ratio = (
            DIGIT_CONTRAST if large else TEXT_CONTRAST,
            contrast(*map(_six, (shown.colour, shown.background))),
        )
        if ratio < needed:
            pair = f"{shown.colour} on {shown.background}"
            self._say("warning", f"{pair} has a contrast of {ratio:.1f}; people need {needed} (WCAG 2.2)")

    def _check(self, tag: str, given: Mapping[str, str]) -> None:
        match tag:
            case "a" | "mj-button":
                self._check_link(given.get("href", ""), "the link")
            case "img" | "mj-image":
                self._check_image(tag, given)
            case "table" if given.get("role") not in {"presentation", "none"}:
                self._say("warning", '<table> without role="presentation" is read out as a table of data')

    def _check_image(self, tag: str, given: Mapping[str, str]) -> None:
        if "alt" not in given:
            self._say("error", f'<{tag}> without alt: say what it shows, or alt="" if nothing')
        if "width" not in given:
            self._say("warning", f"<{tag}> without width: Outlook (Windows) shows it in its own size")
        for one in self._links:
            one.said.append(given.get("alt", ""))
        source = given.get("src", "")
        self._rules.support.image(source, self._line)
        if not source:
            self._say("error", f"<{tag}> without src")
        else:
            self._check_address(source, "the image")
        if tag == "mj-image" and given.get("href"):
            self._check_link(given["href"], "the link")

    def _check_link(self, href: str, what: str) -> None:
        if not href:
            self._say("warning", f"{what} leads nowhere: it has no href")
            return
        if "{{track}}" in href or href.startswith(("#", "mailto:", "tel:", "sms:")):
            return
        if not self._check_address(href, what):
            return
        if self._rules.tracked and not (_ESP_TAG.match(href) and "{{value}}" not in href):
            self._say("warning", f"{what} is not tracked: write {{{{ track(...) }}}} around its address")

    def _check_address(self, address: str, what: str) -> bool:
        """Say what is wrong with an address as far as it is written out; return whether it may be one."""
        scheme, colon, _ = address.partition(":")
        if _ESP_TAG.match(address) or not colon or "/" in scheme:
            return True
        if scheme.lower() == "http":
            self._say("error", f"{what} is not encrypted: write https")
            return False
        if scheme.lower() != "https":
            if not (scheme.lower() == "data" and what == "the image"):
                self._say("error", f"{what} has the scheme {scheme[:20]!r}; in mails there are https, mailto and tel")
            return False
        host = _host(address)
        if host is None:
            self._say("error", f"{what} is no address: write https://, a host and a path")
            return False
        if host and self._rules.hosts and not any(host == one or host.endswith(f".{one}") for one in self._rules.hosts):
            self._say("error", f"{what} leads to {host}, which is not among the block's hosts")
        return True

    def _check_words(self, link: _Element) -> None:
        words = " ".join("".join(link.said).split()).strip(" .!>»→").casefold()
        if not words:
            self._found.setdefault(("error", "the link says nothing: give it words, or its image an alt"), link.line)
        elif words in _VAGUE:
            message = f"the link says {words!r}, which says nothing to whoever hears links alone"
            self._found.setdefault(("warning", message), link.line)

    def _check_sheet(self, sheet: str, line: int) -> None:
        if len(sheet) > GMAIL_STYLE:
            self._say("error", f"Gmail drops a style sheet of more than {GMAIL_STYLE:,} characters")
        self._rules.support.sheet(sheet, line)


def _declarations(style: str) -> dict[str, str]:
    pairs = (one.partition(":") for one in style.split(";"))
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon and name.strip()}


def _host(address: str) -> str | None:
    """Return the host that an address names, empty if a tag of the template does, None if nothing does."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return "" if "{" in parts.netloc else parts.hostname


def _six(colour: str) -> str:
    return colour if len(colour) == 7 else "#" + "".join(digit * 2 for digit in colour[1:])
