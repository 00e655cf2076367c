"""Salesforce's outbound messages as our events: SOAP, up to a hundred notifications of one kind of object a delivery.

They are not signed. The address carries a key (`?key=...`), which is an entry `key=` of the ingest secret, and each
message names its organization, which must be one of the entries `org=`. Messages come at least once and in any order;
a notification has an id. Salesforce sends again for a day until it reads an Ack.

A session id that comes along is a credential of the organization; it is not read.

Sources: Salesforce, "Outbound Messaging", "Understanding Outbound Messaging" and "Important Security Considerations"
of the SOAP API guide; the message's WSDL (Ack, namespaces).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mailtailor.errors import BadInput
from mailtailor.events.event import Event, event_type
from mailtailor.events.sources.entries import named
from mailtailor.events.sources.records import is_kept
from mailtailor.events.sources.signatures import check_secret
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, Reply, WebhookSource
from mailtailor.events.untrusted import BadField, mapping, number, text, time
from mailtailor.instant import Instant

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

NAME: Final = "salesforce"
SOAP: Final = "{http://schemas.xmlsoap.org/soap/envelope/}"
MESSAGE: Final = "{http://soap.sforce.com/2005/09/outbound}"
TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"
MAX_NOTIFICATIONS: Final = 100
RECORD: Final = 15
"""Characters of a record's key; three more may follow, which tell only their case."""
ACK: Final = Reply(
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    '<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
    "</soapenv:Body></soapenv:Envelope>",
    "text/xml; charset=utf-8",
)
KEPT: Final[Mapping[str, str]] = {
    "FirstName": "first_name",
    "MailingCity": "city",
    "MailingState": "region",
    "MailingCountry": "country",
    "MailingPostalCode": "postal_code",
    "City": "city",
    "State": "region",
    "Country": "country",
    "PostalCode": "postal_code",
    "PersonMailingCity": "city",
    "PersonMailingState": "region",
    "PersonMailingCountry": "country",
    "PersonMailingPostalCode": "postal_code",
}
LEFT: Final = frozenset(
    {
        *("Id", "Name", "Suffix", "Salutation", "Description", "SystemModstamp", "LastModifiedDate", "CreatedDate"),
        *("OwnerId", "CreatedById", "LastModifiedById", "PersonContactId", "AccountId", "ReportsToId", "PhotoUrl"),
    }
)
"""Fields that name a person, or are about the record, beside those that `records` leaves out."""

_ORGANIZATION: Final = re.compile(rb"<(?:\w{1,20}:)?OrganizationId>\s{0,20}(00D\w{12})(?:\w{3})?\s{0,20}<", re.ASCII)


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    check_secret(delivery.query.get("key", ""), named(secrets, "key"))
    check_secret(_claimed(delivery.body), [one[:RECORD] for one in named(secrets, "org")])


def _claimed(body: bytes) -> str:
    """Return the organization that a body names first, without reading its XML; `_items` holds it to that."""
    found = _ORGANIZATION.search(body)
    return found[1].decode() if found else ""


def _items(delivery: Delivery) -> Iterable[Item]:
    message = _message(delivery.body)
    if message.findtext(f"{MESSAGE}OrganizationId", "").strip()[:RECORD] != _claimed(delivery.body):
        raise BadInput("The message is of another organization than it seems.")
    told = message.findall(f"{MESSAGE}Notification")
    if len(told) > MAX_NOTIFICATIONS:
        raise BadInput(f"The message has more than {MAX_NOTIFICATIONS} notifications.")
    return [_item(one) for one in told]


def _message(body: bytes) -> Element:
    """Return the message of a SOAP body; documents that define anything of their own are refused unread."""
    from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]  # noqa: PLC0415 - only here
    from defusedxml.ElementTree import ParseError, fromstring  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        envelope: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        raise BadInput("The body is not the XML of an outbound message.") from error
    found = envelope.find(f"{SOAP}Body/{MESSAGE}notifications")
    if found is None:
        raise BadInput("The body is not an outbound message.")
    return found


def _item(notification: Element) -> dict[str, Any]:
    record = notification.find(f"{MESSAGE}sObject")
    fields = {} if record is None else {child.tag.rpartition("}")[2]: child.text for child in record}
    kind = "" if record is None else record.get(TYPE, "").rpartition(":")[2]
    return {"id": notification.findtext(f"{MESSAGE}Id", ""), "object": kind, "fields": fields}


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    notification, kind = text(item["id"], "Id", limit=64), item["object"]
    if notification is None:
        raise BadField("Id", "is missing")
    fields = mapping(item["fields"], "sObject")
    match kind:
        case "Contact" | "Lead" | "User":
            return _identified(notification, kind, fields, fields.get("Email"), given)
        case "Account" if fields.get("PersonEmail"):
            return _identified(notification, kind, fields, fields["PersonEmail"], given)
        case "Opportunity":
            return _won(notification, fields, given)
    return []


def _identified(
    notification: str, kind: str, fields: Mapping[str, Any], email: object, given: Normalizing
) -> list[Event]:
    attributes = {
        # An emptied field empties the attribute: left out, the old value would stay.
        KEPT.get(name) or event_type(name.removesuffix("__c")): text(value, name, limit=256) or ""
        for name, value in fields.items()
        if name not in LEFT and is_kept(name)
    }
    # The account of a person has a contact of its own, by which opportunities and cases name them.
    record = fields.get("PersonContactId") or fields.get("Id")
    return given.event(
        "identified",
        event_id=notification,
        at=_changed(fields),
        person=Person(user_id=_record(record, "Id"), email=text(email, "Email", limit=256)),
        attributes={"salesforce_object": kind.lower(), **attributes},
    )


def _won(notification: str, fields: Mapping[str, Any], given: Normalizing) -> list[Event]:
    """Return the sale of an opportunity that was won, if the message says for how much, and with which contact."""
    total = number(fields.get("Amount"), "Amount")
    if total is None or text(fields.get("IsWon"), "IsWon", limit=8) != "true":
        return []
    opportunity = text(fields.get("Id"), "Id", limit=64)
    return given.event(
        "order_completed",
        # Named by the opportunity: a message about it that comes again with another change is the same sale.
        event_id=f"opportunity:{opportunity or notification}",
        at=_changed(fields),
        person=Person(user_id=_record(fields.get("ContactId"), "ContactId")),
        properties={
            "order_id": opportunity,
            "total": total,
            "currency": text(fields.get("CurrencyIsoCode"), "CurrencyIsoCode", limit=8),
        },
    )


def _record(value: object, field: str) -> str | None:
    """Return a record's key as a user id."""
    key = text(value, field, limit=18)
    return f"{NAME}:{key[:RECORD]}" if key else None


def _changed(fields: Mapping[str, Any]) -> Instant | None:
    return time(fields.get("LastModifiedDate") or fields.get("SystemModstamp"), "LastModifiedDate")


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize, reply=ACK)
