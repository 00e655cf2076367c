"""As much of Iterable's Handlebars as snippets use, strictly: `#if`, `else`, and values with two or three braces.

Source: Iterable's support pages on Handlebars. A backslash before braces makes them text, as in Handlebars itself.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_TAG: Final = re.compile(
    r"\{\{\{(?P<raw>[\w.]+)\}\}\}|\{\{#if (?P<if>[\w.]+)\}\}|\{\{(?P<else>else)\}\}|\{\{(?P<endif>/if)\}\}"
    r"|\{\{(?P<value>[\w.]+)\}\}"
)


class BadTemplate(Exception):
    """What Iterable would not save, or what is not known here."""


@dataclass
class _Output:
    """What was written so far; `shown` and `elses` tell of each open `#if` whether it shows, and had its `else`."""

    said: list[str] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)
    elses: list[bool] = field(default_factory=list)

    def text(self, text: str) -> None:
        if "{{" in text or "[[" in text:
            raise BadTemplate(f"a tag that is not known in {text[:60]!r}")
        if text.endswith("\\"):
            raise BadTemplate("a backslash would make the next tag text")
        self.value(text)

    def value(self, text: str) -> None:
        if all(self.shown):
            self.said.append(text)

    def open(self, condition: object) -> None:
        self.shown.append(bool(condition))
        self.elses.append(False)

    def turn(self) -> None:
        if not self.shown or self.elses[-1]:
            raise BadTemplate("else without if")
        self.shown[-1], self.elses[-1] = not self.shown[-1], True

    def close(self) -> None:
        if not self.shown:
            raise BadTemplate("/if without if")
        self.shown.pop()
        self.elses.pop()


def render(template: str, data: Mapping[str, Any]) -> str:
    """Return the template filled with `data`; what is not there is empty."""
    output = _Output()
    at = 0
    for match in _TAG.finditer(template):
        output.text(template[at : match.start()])
        at = match.end()
        match match.lastgroup:
            case "if":
                output.open(_value(data, match["if"]))
            case "else":
                output.turn()
            case "endif":
                output.close()
            case "raw":
                output.value(str(_value(data, match["raw"]) or ""))
            case "value":
                output.value(html.escape(str(_value(data, match["value"]) or "")))
    output.text(template[at:])
    if output.shown:
        raise BadTemplate("if is never closed")
    return "".join(output.said)


def _value(data: Mapping[str, Any], path: str) -> Any:
    value: Any = data
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
