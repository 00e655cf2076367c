"""Salesforce's outbound messages: who may send, what XML is read, and what each object becomes."""

from __future__ import annotations

import pytest

from mailtailor.errors import BadInput, Unauthorized
from mailtailor.events.event import Event
from mailtailor.events.sources.salesforce import ACK, WEBHOOK
from mailtailor.events.sources.webhook import Delivery
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, take, taken
from tests.senders.salesforce import CASE, CONTACTS, KEY, SENDER, sign


def test_the_answer_is_the_acknowledgement_that_salesforce_waits_for() -> None:
    assert WEBHOOK.reply == ACK
    assert ACK.content_type.startswith("text/xml")
    assert "<Ack>true</Ack>" in ACK.body


@pytest.mark.parametrize(
    "query", [{}, {"key": ""}, {"key": "another"}, {"key": f"key={KEY}"}, {"key": "org=00D5e000000AbCdEAB"}]
)
def test_an_address_without_the_key_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        take(Delivery({}, CONTACTS.body, NOW, query=query), "salesforce")


def test_another_organization_is_refused_and_the_id_may_have_15_characters() -> None:
    # given
    delivery = SENDER.delivery(CONTACTS)
    # then
    assert taken(delivery, "salesforce", secrets=(f"key={KEY}", "org=00D5e000000AbCd")).events
    for secrets in ((f"key={KEY}",), (f"key={KEY}", "org=00D000000000000"), (f"key={KEY}", "org=")):
        with pytest.raises(Unauthorized):
            take(delivery, "salesforce", secrets=secrets)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<a/>",
        b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        b"<?xml version='1.0'?><!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        b"<?xml version='1.0' encoding='no-such'?><a/>",
        CONTACTS.body.replace(b"?>\n", b"?><!DOCTYPE e [<!ENTITY x 'y'>]>\n", 1),
        b"<a>" * 100_000,
    ],
    ids=range(8),
)
def test_what_is_no_outbound_message_or_defines_entities_is_refused(body: bytes) -> None:
    with pytest.raises((Unauthorized, BadInput)):
        take(sign(body, {}, {}, NOW), "salesforce")


@pytest.mark.parametrize(
    "before",
    [
        b"<!-- <OrganizationId>00D5e000000AbCdEAB</OrganizationId> -->",
        b"<![CDATA[<OrganizationId>00D5e000000AbCdEAB</OrganizationId>]]>",
    ],
)
def test_an_organization_that_is_only_written_somewhere_is_not_the_messages(before: bytes) -> None:
    # given: the message itself is of another
    other = CONTACTS.body.replace(b"00D5e000000AbCdEAB", b"00D000000000000EAA")
    body = other.replace(b"<OrganizationId>", before + b"<OrganizationId>", 1)
    # then
    with pytest.raises(BadInput, match="another organization"):
        take(sign(body, {}, {}, NOW), "salesforce")


def test_a_contact_is_known_by_record_and_address_and_kept_without_what_reaches_them() -> None:
    # when
    contact, lead = taken(SENDER.delivery(CONTACTS), "salesforce").events
    # then
    assert (contact.id, contact.occurred_at) == ("salesforce:04l5e0000000001AAE", 1_799_998_200_000)
    assert contact.attributes == {
        "salesforce_object": "contact",
        "first_name": "Flora",
        "city": "Leeds",
        "country": "GB",
        "loyalty_tier": "Gold",
    }
    assert [(one.kind, one.id) for one in contact.identities] == [
        (IdentityKind.USER_ID, PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, "salesforce:0035e00000AbCdE")),
        (IdentityKind.EMAIL, PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, "flora@example.com")),
    ]
    assert lead.attributes == {"salesforce_object": "lead", "city": "Bonn"}


def test_an_opportunity_is_a_sale_once_it_is_won_whatever_changes_later() -> None:
    # when
    [order] = taken(SENDER.delivery(SENDER.samples[1]), "salesforce").events
    # then
    assert order.id == "salesforce:opportunity:0065e00000AbCdEAAV"
    assert order.properties == {"order_id": "0065e00000AbCdEAAV", "total": 360.5, "currency": "GBP"}


def test_a_notification_that_cannot_be_used_takes_no_other_with_it() -> None:
    # given
    body = CONTACTS.body.replace(b"2027-01-15T07:30:00.000Z", b"yesterday")
    # when
    received = taken(sign(body, {}, {}, NOW), "salesforce")
    # then
    assert len(received.events) == 1
    [rejection] = received.rejected
    assert rejection.index == 0
    assert rejection.error.message.startswith("LastModifiedDate must be a time")


def message(kind: str, **fields: str) -> bytes:
    """Return a message about one record; a field that is `nil` is told to be empty."""
    before, _, rest = CASE.body.decode().partition("<Notification>")
    told = "".join(
        f'<sf:{name} xsi:nil="true"/>' if value == "nil" else f"<sf:{name}>{value}</sf:{name}>"
        for name, value in fields.items()
    )
    start = '<Notification><Id>04l5e0000000009AAE</Id><sObject xmlns:sf="urn:sobject.enterprise.soap.sforce.com" '
    after = rest.partition("</Notification>\n")[2]
    return f'{before}{start}xsi:type="sf:{kind}">{told}</sObject></Notification>{after}'.encode()


def told(kind: str, **fields: str) -> list[Event]:
    return taken(sign(message(kind, **fields), {}, {}, NOW), "salesforce").events


@pytest.mark.parametrize(
    "name", ["Work_Phone__c", "OtherStreet", "Second_Email__c", "Birthdate", "LastName", "OwnerId"]
)
def test_a_field_that_names_or_reaches_the_person_is_left_out_whatever_surrounds_the_word(name: str) -> None:
    # when
    [event] = told("Contact", Id="0035e00000AbCdEAAV", **{name: "x"})
    # then
    assert event.attributes == {"salesforce_object": "contact"}


def test_an_emptied_field_empties_the_attribute() -> None:
    # when
    [event] = told("Contact", Id="0035e00000AbCdEAAV", MailingCity="nil")
    # then
    assert event.attributes == {"salesforce_object": "contact", "city": ""}


def test_the_account_of_a_person_is_that_persons_contact() -> None:
    # when
    [event] = told(
        "Account",
        Id="0015e00000AbCdEAAV",
        PersonContactId="0035e00000AbCdEAAV",
        PersonEmail="flora@example.com",
        FirstName="Flora",
        PersonMailingCity="Leeds",
    )
    # then
    assert event.attributes == {"salesforce_object": "account", "first_name": "Flora", "city": "Leeds"}
    assert [one.id for one in event.identities] == [
        PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, "salesforce:0035e00000AbCdE"),
        PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, "flora@example.com"),
    ]


def test_the_account_of_a_company_is_nobody() -> None:
    assert told("Account", Id="0015e00000AbCdEAAV", Name="Lamps Ltd", Industry="Retail") == []


@pytest.mark.parametrize("without", ["Amount", "ContactId", "IsWon"])
def test_an_opportunity_that_does_not_say_how_much_or_with_whom_or_that_it_is_won_is_no_sale(without: str) -> None:
    # given
    won = {"Id": "0065e00000AbCdEAAV", "Amount": "360.5", "ContactId": "0035e00000AbCdEAAV", "IsWon": "true"}
    # then
    assert len(told("Opportunity", **won)) == 1
    assert told("Opportunity", **{name: value for name, value in won.items() if name != without}) == []
    assert told("Opportunity", **won | {without: "nil"}) == []


def test_the_session_that_salesforce_may_send_along_is_not_read() -> None:
    # given
    body = CONTACTS.body.replace(b'<SessionId xsi:nil="true"/>', b"<SessionId>00D5e!AQ8.a-credential</SessionId>")
    # when
    items = WEBHOOK.items(sign(body, {}, {}, NOW))
    # then
    assert body != CONTACTS.body
    assert "a-credential" not in str(list(items))


def test_a_message_that_breaks_off_after_its_organization_is_not_acknowledged() -> None:
    # given
    body = CONTACTS.body[: CONTACTS.body.index(b"</notifications>")]
    # then
    with pytest.raises(BadInput, match="not the XML of an outbound message"):
        take(sign(body, {}, {}, NOW), "salesforce")


def test_more_notifications_than_salesforce_sends_are_refused() -> None:
    # given
    one = CONTACTS.body[CONTACTS.body.index(b"<Notification>") : CONTACTS.body.index(b"</Notification>") + 15]
    body = CONTACTS.body.replace(b"</notifications>", one * 99 + b"</notifications>")
    # then
    with pytest.raises(BadInput, match="more than 100 notifications"):
        take(sign(body, {}, {}, NOW), "salesforce")
