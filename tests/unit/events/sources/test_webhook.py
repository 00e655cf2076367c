"""What every source's items go through on their way to events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from mailtailor.errors import BadInput, Unauthorized
from mailtailor.events.event import Event
from mailtailor.events.sources import webhook
from mailtailor.events.sources.mail_events import NOT_SET, mail_event, tells_sends_apart
from mailtailor.events.sources.signatures import check_secret
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Person, WebhookSource, receive
from mailtailor.events.untrusted import BadField, parse
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER

GIVEN = Normalizing("till", NOW, PSEUDONYMIZER)


def normalize(item: Item, given: Normalizing) -> list[Event]:
    if "fault" in item:
        raise {"bad": BadField("fault", "is bad"), "unknown": KeyError("x")}[item["fault"]]
    return given.event("product_viewed", event_id=item["id"], at=item.get("at"), person=Person(user_id="u"))


def items(delivery: Delivery) -> Iterable[Item]:
    found: list[Item] = parse(delivery.body)
    return found


TILL = WebhookSource(
    name="till",
    verify=lambda delivery, secrets, _outside: check_secret(delivery.query.get("key", ""), secrets),
    items=items,
    normalize=normalize,
)


def received(*sent: Any) -> webhook.Received:
    return receive(TILL, Delivery({}, json.dumps(sent).encode(), NOW), PSEUDONYMIZER)


def test_one_bad_item_takes_no_other_with_it_and_is_kept_as_it_came() -> None:
    # given
    bad, unknown = {"fault": "bad", "note": "\u0000"}, {"fault": "unknown"}
    # when
    result = received({"id": "1"}, bad, unknown, {"id": "2"})
    # then
    assert [event.id for event in result.events] == ["till:1", "till:2"]
    assert [(one.index, one.item, one.error.message) for one in result.rejected] == [
        (1, bad, "fault is bad."),
        (2, unknown, "The item has a form that we do not know."),
    ]


def test_more_items_than_any_sender_sends_are_refused() -> None:
    with pytest.raises(BadInput, match="10,000"):
        received(*[{"id": "1"}] * 10_001)


def test_a_delivery_is_refused_unless_it_is_known() -> None:
    with pytest.raises(Unauthorized):
        TILL.verify(Delivery({}, b"", NOW, query={"key": "no"}), ["yes"], None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at", "counts"), [(None, NOW), (NOW - 1, NOW - 1), (NOW + 86_400_000, NOW), (-5, 0), (0, 0), (1 << 70, NOW)]
)
def test_nothing_happens_in_the_future_or_before_time_began(at: int | None, counts: int) -> None:
    [event] = GIVEN.event("product_viewed", event_id="1", at=at, person=Person(user_id="u"))
    assert event.occurred_at == counts


def test_nobody_is_nobody() -> None:
    for person in (Person(), Person(" ", "not an address", "\t"), Person(email="@"), Person(email="")):
        assert GIVEN.event("product_viewed", event_id="1", at=None, person=person) == []


def test_a_person_is_named_by_pseudonyms_the_strongest_first() -> None:
    # when
    identities = Person("u", "Flora@Example.com", "a").identities(PSEUDONYMIZER)
    # then
    assert [(one.kind, one.id) for one in identities] == [
        (kind, PSEUDONYMIZER.pseudonym(kind, key))
        for kind, key in (
            (IdentityKind.USER_ID, "u"),
            (IdentityKind.EMAIL, "flora@example.com"),
            (IdentityKind.ANONYMOUS_ID, "a"),
        )
    ]


def test_of_what_is_kept_addresses_controls_and_absent_values_are_left_out() -> None:
    # when
    [event] = GIVEN.event(
        "product_viewed",
        event_id="1",
        at=None,
        person=Person(user_id="u"),
        properties={"price": "12.50", "note": "call\u0007 flora@example.com", "phone": "1", "color": None},
        attributes={"city": "Bonn", "email": "flora@example.com", "region": None},
        context={"page": {"path": "/lamp"}, "ip": "192.0.2.1"},
    )
    # then
    assert event.properties == {"price": 12.5, "note": "call [email]"}
    assert event.attributes == {"city": "Bonn"}
    assert event.context == {"page": {"path": "/lamp"}}


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"price": "dear"}, "properties.price must be a number."),
        ({"note": "\ud800"}, "properties.note holds half a surrogate pair, which is no text."),
        ({"amount": 1e200}, "properties.amount is a number out of range."),
        ({"products": {}}, "properties.products must be a list."),
    ],
)
def test_a_property_that_cannot_be_kept_is_named(properties: dict[str, Any], message: str) -> None:
    with pytest.raises(BadField) as caught:
        GIVEN.event("product_viewed", event_id="1", at=None, person=Person(user_id="u"), properties=properties)
    assert caught.value.message == message


def test_an_id_is_the_sender_s_own_unless_it_is_long_or_names_somebody() -> None:
    # when
    def named(event_id: str) -> str:
        return GIVEN.event("product_viewed", event_id=event_id, at=None, person=Person(user_id="u"))[0].id

    # then
    assert named("7") == "till:7"
    assert "@" not in named("flora@example.com")
    assert len(named("7" * 500)) < 50
    assert named("7" * 500) != named("7" * 501)
    assert named("flora@example.com") == named("flora@example.com")


def test_a_derived_id_tells_apart_what_differs_and_cannot_be_guessed_without_the_pepper() -> None:
    # given
    ids = {
        GIVEN.derived_id("a", "b"),
        GIVEN.derived_id("ab"),
        GIVEN.derived_id("a", "b", 1),
        GIVEN.derived_id("b", "a"),
    }
    # then
    assert len(ids) == 4
    assert GIVEN.derived_id("a", "b") in ids


def test_a_mail_without_a_campaign_is_a_message_of_its_own() -> None:
    # when
    def key(**given: str) -> tuple[Any, Any]:
        [event] = mail_event(
            GIVEN,
            "email_delivered",
            event_id="1",
            at=None,
            person=Person(user_id="u"),
            campaign=given.get("campaign"),
            instance=given.get("instance"),
            message_id="m1",
        )
        return event.properties.get("campaign"), event.properties.get("instance")

    # then
    assert key() == (NOT_SET, "m1")
    assert key(instance="7") == (NOT_SET, "m1")
    assert key(campaign="spring") == ("spring", None)
    assert key(campaign="spring", instance="7") == ("spring", "7")


def test_of_an_address_only_the_known_network_is_kept() -> None:
    # when
    [event] = mail_event(
        GIVEN,
        "email_opened",
        event_id="1",
        at=None,
        person=Person(user_id="u"),
        campaign="spring",
        address="40.92.0.1",
        properties={"user_agent": "x"},
    )
    # then
    assert event.properties == {"campaign": "spring", "user_agent": "x", "network": "microsoft"}


@pytest.mark.parametrize(("query", "apart"), [({}, False), ({"instance": "esp"}, True), ({"instance": "1"}, False)])
def test_the_address_says_whether_mails_carry_the_send(query: dict[str, str], apart: bool) -> None:
    assert tells_sends_apart(Delivery({}, b"", NOW, query=query)) is apart
