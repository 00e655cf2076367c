"""Salesforce's outbound messages, as they are sent."""

from __future__ import annotations

from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

KEY = "the-key-in-the-address"


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`, to the address with the key."""
    sent = {**headers, "content-type": "text/xml; charset=utf-8", "soapaction": '""'}
    return Delivery(sent, body, at, query={**query, "key": KEY})


CONTACTS = Sample("salesforce_contacts.xml", ("identified", "identified"))
CASE = Sample("salesforce_case.xml", ())
SENDER = Sender(
    name="salesforce",
    secrets=(f"key={KEY}", "org=00D5e000000AbCdEAB"),
    sign=sign,
    samples=(
        CONTACTS,
        Sample("salesforce_opportunity_won.xml", ("order_completed",)),
        CASE,
    ),
    personal=("example.com", "flora", "Meadows", "Invented Lane", "+441632960123", "0035e00000AbCdE"),
)
