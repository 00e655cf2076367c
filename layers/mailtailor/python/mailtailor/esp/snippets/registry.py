"""The ESPs that there are snippets for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from mailtailor.content.address import Shape
from mailtailor.errors import BadInput
from mailtailor.esp.snippets import braze, generic, hubspot, iterable, klaviyo, sfmc
from mailtailor.esp.snippets.request import Snippet, SnippetRequest
from mailtailor.tracking.esp_forms import EspForm

Writer = Callable[[SnippetRequest], Snippet]

WRITERS: Final[Mapping[str, Writer]] = {
    "sfmc": sfmc.write,
    "braze": braze.write,
    "hubspot": hubspot.write,
    "klaviyo": klaviyo.write,
    "iterable": iterable.write,
    "generic": generic.write,
}

USUAL_SHAPES: Final[Mapping[str, Shape]] = {"sfmc": Shape.HTML, "generic": Shape.HTML}
"""What is fetched unless one chooses; JSON for all others, whose languages take it apart."""


def usual_shape(form: EspForm) -> Shape:
    """Return what a snippet fetches unless one chooses; raise `BadInput` if there is no snippet for the ESP."""
    _writer(form)
    return USUAL_SHAPES.get(form.name, Shape.JSON)


def write(request: SnippetRequest) -> Snippet:
    """Return the snippet for the request's ESP.

    Raises
    ------
    BadInput
        If the ESP fetches nothing in any way, or not in the form that is wanted.
    """
    snippet = _writer(request.form)(request)
    setup = (*snippet.setup, *_setup(request))
    if any(request.recipient_attribute in part.code for part in snippet.parts):
        setup += tuple(_setup_for_recipients(request))
    return Snippet(snippet.parts, setup, (*snippet.limits, *_limits(request)))


def _writer(form: EspForm) -> Writer:
    if form.name not in WRITERS:
        raise BadInput(
            f"{form.title} fetches nothing for each recipient, so there is no snippet for it.",
            "Show an open-time image with the recipient's token (docs/content.md), or mail through another ESP.",
        )
    return WRITERS[form.name]


def _setup(request: SnippetRequest) -> Iterator[str]:
    if not request.is_public:
        yield "ESPs fetch from https on port 443 only; this address is for trying out."


def _setup_for_recipients(request: SnippetRequest) -> Iterator[str]:
    if request.credential:
        yield (
            f"{request.form.title} must hold each person's profile id in {request.form.holder} "
            f"{request.recipient_attribute}: a column of what mailtailor tokens export writes."
        )
    else:
        yield f"{request.form.hint_for(request.recipient_attribute)}."
    if not request.message:
        yield "Without --campaign, clicks count to a campaign named as the block."


def _limits(request: SnippetRequest) -> Iterator[str]:
    if not request.fallbacks_fit:
        yield "The static variants are too large to stand in a mail; if a fetch fails, nothing is shown."
