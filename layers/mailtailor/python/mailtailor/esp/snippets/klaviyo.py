"""Klaviyo: a web feed, which is the same for everybody. Sources: `docs/esp-snippets.md`."""

from __future__ import annotations

from typing import Final

from mailtailor.content.address import Shape
from mailtailor.errors import BadInput
from mailtailor.esp.snippets.request import Part, Snippet, SnippetRequest, braces

_FEED: Final = "mailtailor"

SETUP: Final = (
    f"Make a web feed of this address with the name {_FEED}, method GET, content JSON, and add it to the mail.",
    "Klaviyo reads it every 15 minutes; change a block half an hour before a campaign.",
)
LIMITS: Final = (
    "A web feed is one for all recipients: everybody sees what somebody unknown sees, the block's static variant.",
    "What differs from person to person must be a profile's property that you keep up to date in Klaviyo.",
    "An open-time image with the recipient's token differs, too (docs/content.md).",
    "If the feed cannot be loaded for three nights, Klaviyo stops sending mails that use it.",
)


def write(request: SnippetRequest) -> Snippet:
    """Return the feed's address and the tags that show each block or its fallback.

    Raises
    ------
    BadInput
        If anything but JSON is wanted.
    """
    if request.shape is not Shape.JSON:
        raise BadInput("Web feeds of Klaviyo are JSON.", "Choose --format json.")
    shown = "\n".join(_shown(request, name) for name in request.blocks)
    return Snippet((Part("as the web feed's URL", request.shared_url), Part("in the mail", shown)), SETUP, LIMITS)


def _shown(request: SnippetRequest, block: str) -> str:
    field = f"feeds.{_FEED}.html" if len(request.blocks) == 1 else f"feeds.{_FEED}.{block}.html"
    fallback = request.fallback(block, braces(Shape.HTML))
    return f"{{% if {field} %}}{{{{ {field}|safe }}}}{{% else %}}{fallback}{{% endif %}}"
