"""HubSpot, as it sends."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

SECRET = "00000000-client-secret-of-the-app"
URL = "https://mail.example/webhooks/hubspot"


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant, url: str = URL) -> Delivery:
    """Return the delivery of `body`."""
    signed = f"POST{url}".encode() + body + str(at).encode()
    signature = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    made = {"x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": str(at)}
    addresses = ("https://abc.execute-api.eu-west-1.amazonaws.com/webhooks/hubspot", url)
    return Delivery({**headers, **made}, body, at, query=query, urls=addresses)


EVENTS = Sample("hubspot_events.json", (*["identified"] * 5, "unsubscribed"))
SENDER = Sender(
    name="hubspot",
    secrets=(SECRET,),
    sign=sign,
    samples=(EVENTS,),
    personal=("example.com", "flora", "Meadows", "+441632960123", "1246965"),
    goes_stale=True,
)
