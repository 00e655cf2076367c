"""Iterable: a data feed, and Handlebars. Sources: `docs/esp-snippets.md`."""

from __future__ import annotations

from typing import Final

from mailtailor.content.address import Shape
from mailtailor.errors import BadInput
from mailtailor.esp.snippets.request import Part, Snippet, SnippetRequest, braces

_ALIAS: Final = "mailtailor"

SETUP: Final = (
    f"Make a data feed of type JSON with this address and give it the alias {_ALIAS} in the template's settings.",
    "Switch on there: Merge the data feed and user contexts. Leave its caching off, or on for minutes only.",
    f"No field of a user may be called {_ALIAS}: Iterable would prefer it to the feed.",
)
LIMITS: Final = (
    "Iterable skips a recipient whose feed answers with an error; ours answers 200 for every known block.",
    "The fallback in the mail shows only for an answer without content.",
    "It asks by GET and for JSON only, and waits ten seconds.",
)


def write(request: SnippetRequest) -> Snippet:
    """Return the feed's address and the Handlebars that show each block or its fallback.

    Raises
    ------
    BadInput
        If anything but JSON is wanted.
    """
    if request.shape is not Shape.JSON:
        raise BadInput("Data feeds of Iterable are JSON.", "Choose --format json.")
    shown = "\n".join(_shown(request, name) for name in request.blocks)
    feed = request.url(f"{{{{{request.recipient_attribute}}}}}")
    return Snippet((Part("as the data feed's URL", feed), Part("in the mail", shown)), SETUP, LIMITS)


def _shown(request: SnippetRequest, block: str) -> str:
    field = f"{_ALIAS}.html" if len(request.blocks) == 1 else f"{_ALIAS}.{block}.html"
    # Three braces, for two would escape the HTML.
    openers = {**braces(Shape.HTML), "[[": "&#91;&#91;"}
    return f"{{{{#if {field}}}}}{{{{{{{field}}}}}}}{{{{else}}}}{request.fallback(block, openers)}{{{{/if}}}}"
