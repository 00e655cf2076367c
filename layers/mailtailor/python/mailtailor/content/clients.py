"""What mail clients support of HTML and CSS, by the data of Can I email (client_support.json, which names its source).

Findings are few: each feature once, those that break a layout one by one, and those that only make it plainer together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

_LAYOUT: Final = frozenset(
    """css-display-flex css-display-grid css-position css-left-right-top-bottom css-float css-gap css-grid-template
    css-justify-content css-align-items css-flex-direction css-flex-wrap css-background-image css-unit-calc
    css-variables css-unit-vw css-unit-vh css-unit-rem css-function-clamp css-function-min css-function-max
    css-nesting css-visibility css-transform css-z-index css-inset html-video html-audio html-svg html-picture html-form
    html-input-radio html-input-checkbox html-input-text html-button-submit html-select html-textarea html-dialog
    html-popover html-image-maps image-webp image-svg image-avif image-base64 image-heif image-tiff image-ico image-mp4
    css-modern-color css-function-light-dark css-at-import""".split()  # noqa: SIM905 - shorter to read
)
"""What a layout falls apart without; all else only looks plainer."""
_NAMED: Final = {
    "left": "css-left-right-top-bottom",
    "right": "css-left-right-top-bottom",
    "top": "css-left-right-top-bottom",
    "bottom": "css-left-right-top-bottom",
    "column-gap": "css-gap",
    "row-gap": "css-gap",
    "grid-template-columns": "css-grid-template",
    "grid-template-rows": "css-grid-template",
    "grid-template-areas": "css-grid-template",
}
_VALUES: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), slug)
    for pattern, slug in (
        (r"\bcalc\(", "css-unit-calc"),
        (r"\bvar\(", "css-variables"),
        (r"\bclamp\(", "css-function-clamp"),
        (r"\bmin\(", "css-function-min"),
        (r"\bmax\(", "css-function-max"),
        (r"\blight-dark\(", "css-function-light-dark"),
        (r"\blinear-gradient\(", "css-linear-gradient"),
        (r"\bradial-gradient\(", "css-radial-gradient"),
        (r"\brgba\(", "css-rgba"),
        (r"\b(?:oklch|oklab|lch|lab|color)\(", "css-modern-color"),
        (r"\d(?:rem)\b", "css-unit-rem"),
        (r"\d(?:vw)\b", "css-unit-vw"),
        (r"\d(?:vh)\b", "css-unit-vh"),
    )
)
_SHEETS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), slug)
    for pattern, slug in (
        (r"@media\b", "css-at-media"),
        (r"prefers-color-scheme", "css-at-media-prefers-color-scheme"),
        (r"@font-face\b", "css-at-font-face"),
        (r"@import\b", "css-at-import"),
        (r"@keyframes\b", "css-at-keyframes"),
        (r"@supports\b", "css-at-supports"),
        (r":checked\b", "css-pseudo-class-checked"),
        (r":hover\b", "css-pseudo-class-hover"),
        (r":not\(", "css-pseudo-class-not"),
        (r":has\(", "css-pseudo-class-has"),
        (r":nth-child\(", "css-pseudo-class-nth-child"),
    )
)
_DECLARATION: Final = re.compile(r"(?<![a-z-])([a-z-]++)\s*+:([^;{}]++)([;}]?)", re.IGNORECASE)
"""Name, value and end; what ends otherwise is a selector. Nothing is read twice, however the sheet is written."""
_IMAGES: Final = re.compile(r"\.(apng|avif|bmp|heif|heic|ico|mp4|svg|tiff|webp)(?:[?#]|$)", re.IGNORECASE)


@cache
def _table() -> Mapping[str, Any]:
    text = resources.files(__package__).joinpath("client_support.json").read_text(encoding="utf-8")
    features: Mapping[str, Any] = json.loads(text)["features"]
    return features


class Support:
    """Collects the features that one file uses and some client lacks.

    Parameters
    ----------
    enhancements
        Features (slugs of Can I email) that the author knows to be missing somewhere, and does without there.
    """

    def __init__(self, enhancements: Iterable[str] = ()) -> None:
        self._meant = frozenset(enhancements)
        self._used: dict[str, int] = {}

    @property
    def plainer(self) -> frozenset[str]:
        """The features noted without which a layout holds, and only looks plainer."""
        return frozenset(self._used) - _LAYOUT

    def _use(self, slug: str, line: int) -> None:
        if slug in _table() and slug not in self._meant:
            self._used.setdefault(slug, line)

    def element(self, tag: str, attributes: Mapping[str, str], line: int) -> None:
        """Note an element."""
        kind = f"-{attributes.get('type', 'text')}" if tag == "input" else "-submit" if tag == "button" else ""
        self._use(f"html-{tag}{kind}", line)
        for name in ("srcset", "loading", "hidden", "popover"):
            if name in attributes:
                self._use("html-loading-attribute" if name == "loading" else f"html-{name}", line)
        if attributes.get("usemap"):
            self._use("html-image-maps", line)

    def image(self, source: str, line: int) -> None:
        """Note the format of an image."""
        if source.startswith("data:"):
            self._use("image-base64", line)
        elif found := _IMAGES.search(source):
            self._use(f"image-{found[1].lower()}", line)

    def declarations(self, declarations: Iterable[tuple[str, str]], line: int) -> None:
        """Note properties and values of CSS."""
        for name, value in declarations:
            if name in {"display", "background"}:
                self._use(f"css-{name}-{value.split()[0]}" if value else "", line)
            if name.startswith("background") and "url(" in value:
                self._use("css-background-image", line)
            elif name != "background-image" and not name.startswith("mso-"):
                self._use(_NAMED.get(name, f"css-{name}"), line)
            for pattern, slug in _VALUES:
                if pattern.search(value):
                    self._use(slug, line)

    def sheet(self, sheet: str, line: int) -> None:
        """Note what a style sheet uses; it begins at `line`."""
        for pattern, slug in _SHEETS:
            if found := pattern.search(sheet):
                self._use(slug, line + sheet.count("\n", 0, found.start()))
        for found in _DECLARATION.finditer(sheet):
            if found[3]:
                at = line + sheet.count("\n", 0, found.start())
                self.declarations([(found[1].lower(), found[2].strip())], at)

    def grouped(self) -> Iterable[tuple[Literal["warning", "note"], str, int]]:
        """Yield what to say: level, sentence, line."""
        plainer: dict[str, list[str]] = {}
        first = 0
        for slug, line in self._used.items():
            feature = _table()[slug]
            if slug in _LAYOUT:
                yield "warning", f"{feature['title']}: not in {', '.join(feature['not_in'])}", line
            else:
                first = min(first, line) if first else line
                plainer.setdefault(", ".join(feature["not_in"]), []).append(feature["title"])
        if plainer:
            listed = "; ".join(f"in {clients} no {', '.join(titles)}" for clients, titles in plainer.items())
            yield "note", f"plainer {listed}", first
