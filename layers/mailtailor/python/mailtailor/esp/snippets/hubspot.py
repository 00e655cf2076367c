"""HubSpot fetches nothing while it sends: a workflow fetches before. Sources: `docs/esp-snippets.md`."""

from __future__ import annotations

import json
from typing import Final

from mailtailor.content.address import Shape
from mailtailor.errors import BadInput
from mailtailor.esp.snippets.request import Part, Snippet, SnippetRequest, braces

PROPERTY: Final = "mailtailor_block_"
"""What a property that holds a block is called, before the block's name."""

_ACTION: Final = """\
import json
from urllib.parse import quote
from urllib.request import urlopen

ADDRESS = "{address}"
BLOCKS = {blocks}


def main(event):
    recipient = event.get("inputFields", {{}}).get("{attribute}") or ""
    try:
        with urlopen(ADDRESS + quote(recipient, safe=""), timeout=5) as answer:
            fetched = json.load(answer)
            shown = {{name: {found} for name in BLOCKS}}
    except Exception:
        shown = {{}}
    return {{"outputFields": {{"{prefix}" + name: shown.get(name) or "" for name in BLOCKS}}}}
"""

LIMITS: Final = (
    "HubSpot fetches nothing while it sends: a block is as old as the workflow's step.",
    "A mail to a list, outside a workflow, shows what the last workflow left.",
    "Custom code needs Data Hub Professional or Enterprise, its Python is a beta, and each run counts against limits.",
    "Whether HubSpot leaves the HTML of a property as it is was not verified: send yourself a test.",
    "An open-time image with the recipient's token needs none of this (docs/content.md).",
)


def write(request: SnippetRequest) -> Snippet:
    """Return the workflow's action, and the HubL that shows each property or the block's fallback.

    Raises
    ------
    BadInput
        If anything but JSON is wanted.
    """
    if request.shape is not Shape.JSON:
        raise BadInput("HubSpot's workflow reads JSON.", "Choose --format json.")
    action = _ACTION.format(
        address=request.url(""),
        blocks=json.dumps(request.blocks),
        attribute=request.recipient_attribute,
        found='fetched["html"]' if len(request.blocks) == 1 else 'fetched.get(name, {}).get("html")',
        prefix=PROPERTY,
    )
    shown = "\n".join(
        f"{{% if contact.{PROPERTY}{name} %}}{{{{ contact.{PROPERTY}{name} }}}}"
        f"{{% else %}}{request.fallback(name, braces(Shape.HTML))}{{% endif %}}"
        for name in request.blocks
    )
    properties = ", ".join(f"{PROPERTY}{name}" for name in request.blocks)
    setup = (
        f"Make the contact properties {properties} (multi-line text).",
        f"In a workflow, put before the e-mail a custom code action (Python) with input {request.recipient_attribute}.",
        "After it put an action that copies the outputs to those properties.",
    )
    return Snippet((Part("as the custom code action", action), Part("in the mail", shown)), setup, LIMITS)
