"""Braze: Liquid with Connected Content. Sources: `docs/esp-snippets.md`."""

from __future__ import annotations

from typing import Final

from mailtailor.content.address import Shape
from mailtailor.errors import BadInput
from mailtailor.esp.snippets.request import Part, Snippet, SnippetRequest, braces

_SAVED: Final = "mailtailor"

SETUP: Final = (
    "One fetch serves all blocks: move the lines of each block to its place, below the line that fetches.",
    "Braze asks two or three times a mail (HTML, text and AMP parts, validation): expect so many fetches.",
)
LIMITS: Final = (
    "What takes Braze more than two seconds is not inserted; the fallback is shown then, and the mail goes out.",
    "There is no :retry and no abort_message in it: after five retries Braze would drop the mail.",
    "Braze keeps an answer for about five minutes, so consent that is withdrawn shows that much later.",
    "--cache-minutes 0 forbids Braze to keep answers, and costs more fetches.",
)


def write(request: SnippetRequest) -> Snippet:
    """Return the Liquid that fetches the blocks once, and shows for each its fallback if that fails.

    Raises
    ------
    BadInput
        If anything but JSON is wanted: only of a JSON object Braze tells whether it arrived.
    """
    if request.shape is not Shape.JSON:
        raise BadInput("Braze tells only of JSON whether it arrived.", "Choose --format json.")
    recipient = f"{{{{custom_attribute.${{{request.recipient_attribute}}}}}}}"
    url = request.url(recipient, send=request.form.instance_tag)
    fetch = f"{{% connected_content {url}{_options(request)} :save {_SAVED} %}}"
    shown = [_shown(request, name) for name in request.blocks]
    return Snippet((Part("in the mail", "\n".join([fetch, *shown])),), SETUP, LIMITS)


def _options(request: SnippetRequest) -> str:
    credential = f" :basic_auth {request.credential}" if request.credential else ""
    match request.cache_minutes:
        case None:
            return credential
        case 0:
            return f"{credential} :no_cache"
        case minutes:
            return f"{credential} :cache_max_age {minutes * 60}"


def _shown(request: SnippetRequest, block: str) -> str:
    # Braze adds the status to JSON objects of 2xx answers alone; whatever else happened, there is none.
    field = f"{_SAVED}.html" if len(request.blocks) == 1 else f"{_SAVED}.{block}.html"
    return (
        f"{{% assign mt_html = {field} | default: '' %}}"
        f"{{% if {_SAVED}.__http_status_code__ == 200 and mt_html != '' %}}{{{{ mt_html }}}}"
        f"{{% else %}}{request.fallback(block, braces(Shape.HTML))}{{% endif %}}"
    )
