"""Salesforce Marketing Cloud Engagement: AMPscript. Sources: `docs/esp-snippets.md`."""

from __future__ import annotations

from typing import Final

from mailtailor.content.address import Shape
from mailtailor.errors import BadInput
from mailtailor.esp.snippets.request import Part, Snippet, SnippetRequest

MAX_FETCHES: Final = 3
"""A mail; Salesforce's advice on content syndication."""
_SEND: Final = "jobid"
"""The id of the send; inside AMPscript without percent signs."""

# Markup stands between blocks of code, not in string constants: it needs no quoting there and may be long.
_CODE: Final = """\
%%[
VAR @mt_recipient, @mt_url, @mt_block, @mt_status
SET @mt_recipient = AttributeValue("{attribute}")
SET @mt_url = Concat({url})
SET @mt_status = -2
SET @mt_block = HttpGet(@mt_url, true, 0, @mt_status)
IF @mt_status == 0 AND NOT Empty(@mt_block) THEN
]%%%%=v(@mt_block)=%%%%[ ELSE ]%%{fallback}%%[ ENDIF ]%%"""

SETUP: Final = (
    "Give this to an HTML block or code snippet of the mail; the text part gets one of its own: --format text.",
    f"At most {MAX_FETCHES} of these a mail, as Salesforce advises for fetches; one shows several blocks: BLOCK,BLOCK.",
)
LIMITS: Final = (
    "It works in Marketing Cloud Engagement only: Marketing Cloud Next has no HttpGet.",
    "AMPscript can send no headers, so the recipient's signed token in the address is all that is asked for.",
    "Salesforce does not wrap links in what is fetched, and need not: they are tracked already.",
)


def write(request: SnippetRequest) -> Snippet:
    """Return the AMPscript that fetches the blocks in one call, and shows the fallback if that fails.

    Raises
    ------
    BadInput
        If JSON is wanted.
    """
    if request.shape is Shape.JSON:
        raise BadInput(
            "For AMPscript there is no snippet that takes blocks out of JSON.",
            "Choose --format html; for blocks in several places of a mail a snippet each.",
        )
    code = _CODE.format(
        attribute=request.recipient_attribute,
        url=", ".join(_address(request)),
        fallback="".join(request.fallback(name, {"%%": _percents(request.shape)}) for name in request.blocks),
    )
    return Snippet((Part("in the mail", code),), SETUP, LIMITS)


def _address(request: SnippetRequest) -> list[str]:
    if not request.tell_sends_apart:
        return [f'"{request.url("")}"', "@mt_recipient"]
    before, after = request.url("", send="\0").split("\0")
    return [f'"{before}"', _SEND, f'"{after}"', "@mt_recipient"]


def _percents(shape: Shape) -> str:
    return "% %" if shape is Shape.TEXT else "&#37;&#37;"
