"""A server-side collection that speaks Google's Measurement Protocol."""

from __future__ import annotations

from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

SECRET = "the-api-secret-of-the-tests"


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`."""
    return Delivery(headers, body, at, query={**query, "measurement_id": "G-0123456789", "api_secret": SECRET})


SHOPPING = Sample(
    "ga4_shopping.json",
    ("page_viewed", "product_viewed", "product_added", "product_added", "order_completed", "generate_lead"),
)
MORE = Sample(
    "ga4_more.json",
    (
        *("signed_in", "products_searched", "product_list_viewed", "product_removed", "cart_viewed"),
        *("checkout_started", "order_refunded", "signed_up"),
    ),
)
SENDER = Sender(
    name="ga4",
    secrets=(SECRET,),
    sign=sign,
    samples=(SHOPPING, MORE),
    personal=("example.com", "flora", "198.51.100.7"),
)
