"""Which webhook sources there are."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from mailtailor.errors import NotFound
from mailtailor.events.sources.webhook import WebhookSource

NAMES: Final = (
    "adobe",
    "braze",
    "customerio",
    "ga4",
    "hubspot",
    "klaviyo",
    "magento",
    "mailgun",
    "postmark",
    "salesforce",
    "sendgrid",
    "ses",
    "sfmc",
    "shopify",
    "standard",
    "woocommerce",
)
"""Each is a module beside this one that declares `WEBHOOK`, loaded when its first delivery comes."""


def webhook_source(name: str) -> WebhookSource:
    """Return the source of that name; raise `NotFound`, which names all, if there is none."""
    if name not in NAMES:
        raise NotFound("There is no such webhook source.", f"Known: {', '.join(NAMES)}.")
    source: WebhookSource = import_module(f"mailtailor.events.sources.{name}").WEBHOOK
    return source
