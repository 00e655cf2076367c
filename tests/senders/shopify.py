"""Shopify, as it sends."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

SECRET = "shpss_the-client-secret-of-the-tests"


def signature(body: bytes, secret: str = SECRET) -> str:
    """Return the header's value."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`."""
    return Delivery({**headers, "x-shopify-hmac-sha256": signature(body)}, body, at, query=query)


ORDER = Sample("shopify_order_create.json", ("order_completed",), {"x-shopify-topic": "orders/create"})
SENDER = Sender(
    name="shopify",
    secrets=(SECRET,),
    sign=sign,
    samples=(
        ORDER,
        Sample("shopify_order_cancelled.json", ("order_cancelled",), {"x-shopify-topic": "orders/cancelled"}),
        Sample("shopify_checkout_create.json", ("checkout_started",), {"x-shopify-topic": "checkouts/create"}),
        Sample("shopify_customer_update.json", ("identified",), {"x-shopify-topic": "customers/update"}),
        Sample("shopify_order_create.json", (), {"x-shopify-topic": "orders/paid"}),
    ),
    personal=("Meadows", "example.com", "1632960123", "203.0.113", "Invented Lane", "7123456789012"),
)
