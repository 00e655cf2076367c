"""WooCommerce, as it sends."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

SECRET = "ws_the-webhook-secret-of-the-tests"


def signature(body: bytes, secret: str = SECRET) -> str:
    """Return the header's value."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`."""
    return Delivery({**headers, "x-wc-webhook-signature": signature(body)}, body, at, query=query)


def topic(name: str) -> dict[str, str]:
    """Return the headers of a topic's deliveries; each try has a delivery id of its own."""
    resource, _, event = name.partition(".")
    return {
        "x-wc-webhook-source": "https://shop.example.com/",
        "x-wc-webhook-topic": name,
        "x-wc-webhook-resource": resource,
        "x-wc-webhook-event": event,
        "x-wc-webhook-id": "12",
        "x-wc-webhook-delivery-id": "36e520ebabc2fa725092ff4a47acedf2",
    }


ORDER = Sample("woocommerce_order_processing.json", ("order_completed",), topic("order.updated"))
REFUNDED = Sample(
    "woocommerce_order_partly_refunded.json", ("order_completed", "order_refunded"), topic("order.updated")
)
CANCELLED = Sample("woocommerce_order_cancelled.json", ("order_cancelled",), topic("order.updated"))
CUSTOMER = Sample("woocommerce_customer_updated.json", ("identified",), topic("customer.updated"))
SENDER = Sender(
    name="woocommerce",
    secrets=(SECRET,),
    sign=sign,
    samples=(
        ORDER,
        Sample("woocommerce_order_created.json", (), topic("order.created")),
        REFUNDED,
        CANCELLED,
        CUSTOMER,
        Sample("woocommerce_add_to_cart.json", (), topic("action.woocommerce_add_to_cart")),
        Sample("woocommerce_order_processing.json", (), topic("order.restored")),
    ),
    personal=(
        *("Birkenstein", "example.com", "Hedda's", "5550188", "192.0.2", "Invented Alley", "812044"),
        *("hedda.", "0123456789abcdef"),
    ),
)
