"""Any sender of Standard Webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

KEY = b"a key of the tests, thirty-two byt"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`."""
    timestamp = str(at // 1_000)
    mac = hmac.new(KEY, f"{ID}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    signed = {
        "webhook-id": ID,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,b2xkIHNpZ25hdHVyZQ== v1a,eA== v1,{base64.b64encode(mac).decode()}",
    }
    return Delivery({**headers, **signed}, body, at, query=query)


ORDER = Sample("standard_order.json", ("order_completed",))
SENDER = Sender(
    name="standard",
    secrets=(SECRET,),
    sign=sign,
    samples=(
        ORDER,
        Sample("standard_email_delivered.json", ("email_delivered",)),
        Sample("standard_identified.json", ("identified",)),
    ),
    personal=("example.com", "flora", "Meadows", "+441632960123"),
    goes_stale=True,
)
