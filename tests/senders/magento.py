"""Adobe Commerce, as Adobe I/O Events sends, and as its own webhooks do."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

CLIENT_ID = "0123456789abcdef0123456789abcdef"
PATH = "/prod/keys/pub-key-voyn26aRdf.pem"
RETIRED = "/prod/keys/pub-key-retired.pem"
KEY_URL = f"https://static.adobeioevents.com{PATH}"
RETIRED_URL = f"https://static.adobeioevents.com{RETIRED}"
OF_COMMERCE = {"x-adobe-commerce-request-id": "5f2b0f6b9b7d4a0d8b0b6f5f6c1f0f3a"}
"""What the shop's own webhooks carry, and those of I/O Events do not."""


@cache
def private_key() -> rsa.RSAPrivateKey:
    """Return the key that Adobe keeps."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@cache
def public_key() -> bytes:
    """Return what Adobe publishes."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private_key().public_key().public_bytes(serialization.Encoding.PEM, form)


def entry() -> str:
    """Return the shop's key as the ingest secret holds it; here the shop's is the same as Adobe's."""
    return "".join(public_key().decode().splitlines()[1:-1])


def signature(signed: bytes) -> str:
    """Return a header's value."""
    return base64.b64encode(private_key().sign(signed, padding.PKCS1v15(), hashes.SHA256())).decode()


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`: by the shop, which signs its base64, or by I/O Events."""
    if OF_COMMERCE.items() <= headers.items():
        signed = {"x-adobe-commerce-webhook-signature": signature(base64.b64encode(body))}
    else:
        signed = {
            "x-adobe-digital-signature-1": "b2xk",
            "x-adobe-public-key1-path": RETIRED,
            "x-adobe-digital-signature-2": signature(body),
            "x-adobe-public-key2-path": PATH,
        }
    return Delivery({**headers, **signed}, body, at, query=query)


ORDER = Sample("magento_order_event.json", ("order_completed",))
CANCELLED = Sample("magento_order_cancelled.json", ("order_cancelled",))
REFUNDED = Sample("magento_order_refunded.json", ("order_completed", "order_refunded"))
CART = Sample("magento_cart_event.json", ("product_added",))
CUSTOMER = Sample("magento_customer_event.json", ("identified",))
WEBHOOK = Sample("magento_order_webhook.json", ("order_completed",), OF_COMMERCE)
PLUGIN = Sample(
    "magento_order_plugin_webhook.json",
    ("order_completed",),
    OF_COMMERCE,
    {"event": "plugin.magento.sales.api.order_management.place"},
)
SENDER = Sender(
    name="magento",
    secrets=(f"client_id={CLIENT_ID}", f"key={entry()}"),
    sign=sign,
    samples=(
        ORDER,
        CANCELLED,
        REFUNDED,
        CART,
        CUSTOMER,
        WEBHOOK,
        PLUGIN,
        Sample("magento_product_event.json", ()),
        Sample("magento_order_plugin_webhook.json", (), OF_COMMERCE),
    ),
    personal=(
        "example.com",
        "flora",
        "Meadows",
        "Invented Lane",
        "Other Way",
        "+441632960123",
        "198.51.100.7",
        "1980-",
    ),
    servers={KEY_URL: public_key(), RETIRED_URL: public_key()},
)
