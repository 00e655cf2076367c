"""Marketing Cloud's Event Notification Service, as it sends."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

KEY = "the-signature-key-of-the-callback=="
TOKEN_URL = "https://mc0123456789.auth.marketingcloudapis.com/v2/token"
ACCOUNT = ("subdomain=mc0123456789", "client_id=client", "client_secret=secret")
VERIFY_URL = "https://mc0123456789.rest.marketingcloudapis.com/platform/v1/ens-verify"


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`."""
    signature = base64.b64encode(hmac.new(KEY.encode(), body, hashlib.sha256).digest()).decode()
    return Delivery({**headers, "x-sfmc-ens-signature": signature}, body, at, query=query)


EVENTS = Sample(
    "sfmc_events.json",
    ("email_delivered", "email_opened", "email_link_clicked", "email_bounced", "unsubscribed"),
)
SENDER = Sender(
    name="sfmc",
    secrets=(*ACCOUNT, f"key={KEY}"),
    sign=sign,
    samples=(EVENTS,),
    personal=("example.com", "flora", "Flora", "198.51.100.7", "441632960123", "0035e00000AbCdE", "53111"),
)
