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
KEY_URL = f"https://static.adobeioevents.com{PATH}"


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


def signature(body: bytes) -> str:
    """Return a header's value."""
    return base64.b64encode(private_key().sign(body, padding.PKCS1v15(), hashes.SHA256())).decode()


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`: by I/O Events, or by the shop itself if the address names an event."""
    if "event" in query:
        return Delivery({**headers, "x-adobe-commerce-webhook-signature": signature(body)}, body, at, query=query)
    signed = {
        "x-adobe-digital-signature-1": "b2xk",
        "x-adobe-public-key1-path": "/prod/keys/pub-key-retired.pem",
        "x-adobe-digital-signature-2": signature(body),
        "x-adobe-public-key2-path": PATH,
    }
    return Delivery({**headers, **signed}, body, at, query=query)


ORDER = Sample("magento_order_event.json", ("order_completed",))
SENDER = Sender(
    name="magento",
    secrets=(f"client_id={CLIENT_ID}", f"key={entry()}"),
    sign=sign,
    samples=(
        ORDER,
        Sample("magento_cart_event.json", ("product_added",)),
        Sample("magento_customer_event.json", ("identified",)),
        Sample("magento_order_webhook.json", ("order_completed",), query={"event": "observer.sales_order_place_after"}),
        Sample("magento_order_webhook.json", (), query={"event": "plugin.magento.catalog.api.product_repository.save"}),
    ),
    personal=("example.com", "flora", "Meadows", "Invented Lane", "+441632960123", "198.51.100.7"),
    servers={KEY_URL: public_key(), "https://static.adobeioevents.com/prod/keys/pub-key-retired.pem": public_key()},
)
