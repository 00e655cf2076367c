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
EDGE = Sample(
    "adobe_edge_events.json",
    (
        *("page_viewed", "product_added", "cart_viewed", "checkout_started", "order_completed"),
        "web_webinteraction_link_clicks",
    ),
)
STREAMED = Sample("adobe_streaming_message.json", ("product_viewed",))
MAILS = Sample(
    "adobe_mail_messages.json",
    ("email_delivered", "email_opened", "email_link_clicked", "email_bounced", "unsubscribed"),
)
SENDER = Sender(
    name="adobe",
    secrets=(TOKEN,),
    sign=sign,
    samples=(VIEW, EDGE, STREAMED, MAILS),
    personal=("example.com", "flora", "+441632960123", "198.51.100.7", "4711"),
)
