"""Any other ESP that can fetch an address for each recipient."""

from __future__ import annotations

from typing import Final

from mailtailor.esp.snippets.request import Part, Snippet, SnippetRequest

SETUP: Final = (
    "Fetch it by GET, once a mail, with the recipient's content token in place of the tag.",
    "A known block answers 200 within about a second, UTF-8, without redirects and cookies; an unknown one 404.",
    "Show the block's static variant for any other status, for no answer in two seconds, and for an empty one.",
)
LIMITS: Final = ("Whether your ESP fetches for each recipient and inserts HTML as it is, its documentation must say.",)


def write(request: SnippetRequest) -> Snippet:
    """Return the address, and what stands in for it."""
    url = request.url(f"{request.form.before}{request.recipient_attribute}{request.form.after}")
    fallback = "\n".join(request.fallback(name, {}) for name in request.blocks)
    shown = (Part("where it cannot be fetched", fallback),) if fallback.strip() else ()
    return Snippet((Part("where your ESP fetches", url), *shown), SETUP, LIMITS)
