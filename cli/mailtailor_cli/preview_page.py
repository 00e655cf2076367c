"""A page that shows a block as mails do: on a desktop, on a phone, in the dark, without images, and as plain text.

The block comes from templates and data, so it is shown in frames without scripts; the page's own script, which makes
each frame as high as what is in it, is the only one that the page's policy admits.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_PAGES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
# The last line tells whoever takes a picture of the page how high it is.
SCRIPT: Final = """
const fit = (frame) => {
  frame.style.height = frame.contentDocument.documentElement.scrollHeight + "px";
  document.documentElement.dataset.height = Math.ceil(document.body.getBoundingClientRect().height);
};
for (const frame of document.querySelectorAll("iframe")) {
  frame.addEventListener("load", () => fit(frame));
  if (frame.contentDocument.readyState === "complete") fit(frame);
}
"""
_PAGES.globals["script"] = Markup(SCRIPT)  # noqa: S704 - our own
_PAGES.globals["script_hash"] = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
_MAIL: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">{policy}
<style>body{{margin:0;padding:0}}</style></head><body>{body}</body></html>
"""
_NO_IMAGES: Final = """<meta http-equiv="Content-Security-Policy" content="img-src 'none'">"""


@dataclass(frozen=True, slots=True)
class Look:
    """One way in which a mail is seen.

    Attributes
    ----------
    name, title
        For files, and for people.
    width
        In CSS pixels.
    dark
        Whether the reader prefers dark colours.
    images
        Whether they are shown.
    """

    name: str
    title: str
    width: int = 600
    dark: bool = False
    images: bool = True

    def page(self, body: str) -> str:
        """Return a mail that holds the block and nothing else."""
        return _MAIL.format(body=body, policy="" if self.images else _NO_IMAGES)


DESKTOP: Final = Look("desktop", "Desktop, 600 px")
PHONE: Final = Look("phone", "Phone, 360 px", width=360)
DARK: Final = Look("dark", "Dark", dark=True)
NO_IMAGES: Final = Look("images-off", "Images off", images=False)
LOOKS: Final = (DESKTOP, PHONE, DARK, NO_IMAGES)


def overview(told: Mapping[str, Any], text: str, heading: str) -> str:
    """Return the page with all looks of a block and why it is shown.

    Parameters
    ----------
    told
        The answer to a preview in HTML.
    text
        The same as plain text.
    heading
        Whose mail it is, and when.
    """
    looks = [
        {"title": look.title, "width": look.width, "dark": look.dark, "page": look.page(told["body"])} for look in LOOKS
    ]
    return _PAGES.get_template("preview.html").render(
        told=_complete(told),
        looks=looks,
        text=text,
        heading=heading,
    )


def framed(look: Look, body: str) -> str:
    """Return a page that is one look of a block and nothing else, to take a picture of."""
    return _PAGES.get_template("framed.html").render(
        page=look.page(body),
        dark=look.dark,
        # Not the window's: a browser without a screen has none narrower than 500 pixels.
        width=look.width,
    )


def _complete(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer with what it leaves out where there is none."""
    rungs = [{**rung, "condition": _condition(rung.get("condition"))} for rung in told["variants"]]
    return {**told, "variants": rungs}


def _condition(condition: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if condition is None:
        return None
    children = [_condition(child) for child in condition.get("conditions", ())]
    return {"evidence": "", **condition, "conditions": children}
