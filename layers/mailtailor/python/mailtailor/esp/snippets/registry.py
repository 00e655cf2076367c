"""The ESPs that there are snippets for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from mailtailor.content.address import Shape
from mailtailor.errors import BadInput
from mailtailor.esp.snippets import braze, generic, hubspot, iterable, klaviyo, sfmc
from mailtailor.esp.snippets.request import Snippet, SnippetRequest

WRITERS: Final[Mapping[str, Callable[[SnippetRequest], Snippet]]] = {
    "sfmc": sfmc.write,
    "braze": braze.write,
    "hubspot": hubspot.write,
    "klaviyo": klaviyo.write,
    "iterable": iterable.write,
    "generic": generic.write,
}

USUAL_SHAPES: Final[Mapping[str, Shape]] = {"sfmc": Shape.HTML, "generic": Shape.HTML}
"""What is fetched unless one chooses; JSON for all others, whose languages take it apart."""


def usual_shape(esp: str) -> Shape:
    """Return what a snippet for this ESP fetches unless one chooses."""
    return USUAL_SHAPES.get(esp, Shape.JSON)


def write(request: SnippetRequest) -> Snippet:
    """Return the snippet for the request's ESP.

    Raises
    ------
    BadInput
        If the ESP fetches nothing in any way, or not in the form that is wanted.
    """
    writer = WRITERS.get(request.form.name)
    if writer is None:
        raise BadInput(
            f"{request.form.title} fetches nothing for each recipient, so there is no snippet for it.",
            "Show an open-time image with the recipient's token (docs/content.md), or mail through another ESP.",
        )
    snippet = writer(request)
    notes = () if request.is_public else ("ESPs fetch from https on port 443 only; this address is for trying out.",)
    too_large = (
        ()
        if request.fallbacks_fit
        else ("The static variants are too large to stand in a mail; if a fetch fails, nothing is shown.",)
    )
    unnamed = () if request.message else ("Without --campaign, clicks count to a campaign named as the block.",)
    return Snippet(snippet.parts, (*snippet.setup, *notes, *unnamed), (*snippet.limits, *too_large))
