"""Adobe Experience Platform's events, as a forwarding rule sends them."""

from __future__ import annotations

from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

TOKEN = "the-bearer-token-of-the-tests"


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`."""
    return Delivery({**headers, "authorization": f"Bearer {TOKEN}"}, body, at, query=query)


VIEW = Sample("adobe_product_view.json", ("product_viewed", "product_viewed"))
SENDER = Sender(
    name="adobe",
    secrets=(TOKEN,),
    sign=sign,
    samples=(
        VIEW,
        Sample("adobe_edge_events.json", ("page_viewed", "product_added", "order_completed")),
        Sample("adobe_streaming_message.json", ("email_delivered",)),
    ),
    personal=("example.com", "flora", "+441632960123", "198.51.100.7"),
)
