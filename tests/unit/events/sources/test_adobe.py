"""Experience Platform's events: the wrappings of XDM, what its measures tell, and whom its identity map names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.errors import Unauthorized
from mailtailor.events.event import Event
from mailtailor.events.sources.webhook import Delivery, Received
from mailtailor.profiles.identity import IdentityKind
from mailtailor.tracking.tokens import MailingToken
from tests.senders import NOW, PSEUDONYMIZER, take, taken
from tests.senders.adobe import EDGE, MAILS, SENDER, STREAMED, VIEW, sign
from tests.unit.events.sources.test_messages import is_reader

EVENT: dict[str, Any] = json.loads(VIEW.body)


def told(body: object, at: int = NOW, **query: str) -> Received:
    return taken(sign(json.dumps(body).encode(), {}, query, at), "adobe")


def keys(event: Event) -> list[tuple[IdentityKind, str]]:
    return [(one.kind, one.id) for one in event.identities]


def pseudonyms(**known: str) -> list[tuple[IdentityKind, str]]:
    return [(IdentityKind(kind), PSEUDONYMIZER.pseudonym(IdentityKind(kind), key)) for kind, key in known.items()]


@pytest.mark.parametrize(
    "body",
    [
        EVENT,
        [EVENT],
        {"events": [{"xdm": EVENT}]},
        {"event": {"xdm": EVENT}},
        {"xdm": EVENT},
        {"header": {}, "body": {"xdmEntity": EVENT}},
        {"messages": [{"header": {}, "body": {"xdmEntity": EVENT}}]},
    ],
    ids=range(7),
)
def test_an_event_is_the_same_however_it_is_wrapped(body: object) -> None:
    assert told(body) == taken(SENDER.delivery(VIEW), "adobe")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer another", "Basic dGhlOnRva2Vu"])
def test_who_has_no_token_is_refused(header: str) -> None:
    with pytest.raises(Unauthorized):
        take(Delivery({"authorization": header}, VIEW.body, NOW), "adobe")


def test_a_view_of_several_products_is_a_view_of_each() -> None:
    # when
    events = taken(SENDER.delivery(VIEW), "adobe").events
    # then
    lamp = {"product_id": "85123A", "name": "Lamp", "quantity": 2, "price": 12.5, "currency": "GBP"}
    tin = {"product_id": "22191R", "name": "Tin", "quantity": 1, "price": 4.95, "currency": "GBP"}
    assert [(event.id, event.occurred_at, event.properties) for event in events] == [
        ("adobe:6e1b5d6c-9a55-4e9d-8a08-3c9f6f2d3a11:0", 1_799_998_200_000, lamp),
        ("adobe:6e1b5d6c-9a55-4e9d-8a08-3c9f6f2d3a11:1", 1_799_998_200_000, tin),
    ]


def test_a_purchase_is_an_order_with_its_products() -> None:
    # when
    order = taken(SENDER.delivery(EDGE), "adobe").events[4]
    # then
    assert order.properties == {
        "order_id": "1001",
        "total": 33.28,
        "currency": "GBP",
        "products": [
            {"product_id": "85123A", "name": "Lamp", "quantity": 2, "price": 12.5, "currency": "GBP"},
            {"product_id": "22191R", "name": "Tin", "quantity": 1, "price": 4.95, "currency": "GBP"},
        ],
    }


def test_the_edge_network_gives_no_ids_so_time_and_content_name_its_events() -> None:
    # given
    [first, *_] = json.loads(EDGE.body)["events"]
    xdm = first["xdm"]
    # then
    [one], [again] = told({"events": [first]}).events, told(xdm, at=NOW + 1).events
    assert one.id == again.id
    [later] = told({**xdm, "timestamp": "2027-01-15T07:29:01Z"}).events
    assert later.id != one.id
    # and without a time, what comes later is another thing
    del xdm["timestamp"]
    assert told(xdm).events[0].id != told(xdm, at=NOW + 1).events[0].id


def test_a_measure_tells_what_happened_without_an_event_type() -> None:
    # when
    [event] = taken(SENDER.delivery(STREAMED), "adobe").events
    # then
    assert (event.id, event.type) == ("adobe:9af5adcc-db9c-4692-b826-65d3abe68c22:0", "product_viewed")


@pytest.mark.parametrize(
    ("change", "types"),
    [
        ({"commerce": {"productViews": {"value": 0}}}, []),
        ({"commerce": {"productViews": {}}}, []),
        ({"commerce": {}}, ["product_viewed"]),
        ({"commerce": None}, ["product_viewed"]),
        ({"eventType": "commerce.checkouts"}, ["product_viewed", "checkout_started"]),
        ({"eventType": "commerce.checkouts", "commerce": {"checkouts": {"value": 1}}}, ["checkout_started"]),
        ({"eventType": "web.webPageDetails.pageViews", "commerce": None}, ["page_viewed"]),
        ({"eventType": "directMarketing.emailSent", "commerce": None}, []),
        ({"eventType": "decisioning.propositionDisplay", "commerce": None}, ["decisioning_proposition_display"]),
    ],
)
def test_type_and_measures_together_tell_what_happened(change: dict[str, Any], types: list[str]) -> None:
    # when
    received = told({**EVENT, "productListItems": EVENT["productListItems"][:1], **change})
    # then
    assert received.rejected == []
    assert [event.type for event in received.events] == types
    assert len({event.id for event in received.events}) == len(types)


def test_a_person_is_named_by_crm_id_address_and_browser_and_never_by_phone() -> None:
    # when
    [event, _] = taken(SENDER.delivery(VIEW), "adobe").events
    # then
    assert keys(event) == pseudonyms(
        user_id="adobe:4711", email="flora@example.com", anonymous_id="38400000841260110110195263340000001234"
    )
    assert told({**EVENT, "identityMap": {"Phone": [{"id": "+441632960123"}]}}) == Received([], [])


@pytest.mark.parametrize("namespace", ["TNTID", "AVID", "Core", "IDFA", "loyaltyId"])
def test_a_namespace_that_is_nobody_s_we_know_names_nobody(namespace: str) -> None:
    assert told({**EVENT, "identityMap": {namespace: [{"id": "1"}]}}) == Received([], [])


def test_the_address_may_tell_what_the_crm_s_namespace_is_called() -> None:
    # given
    identities = {"lumaCrmId": [{"id": "4711"}], "CRMID": [{"id": "another's"}]}
    # when
    [event, _] = told({**EVENT, "identityMap": identities}, crm="lumaCrmId").events
    # then
    assert keys(event) == pseudonyms(user_id="adobe:4711")


def test_a_hashed_address_is_the_address() -> None:
    # given
    digest = "9a1f3d1b6d35a9ae4b3f2c54d2a1f0e6b7c8d9e0f1a2b3c4d5e6f708192a3b4c"
    # when
    [event, _] = told({**EVENT, "identityMap": {"Email_LC_SHA256": [{"id": digest, "primary": "true"}]}}).events
    # then
    assert keys(event) == pseudonyms(email=digest)


@pytest.mark.parametrize("primary", [True, "true"])
def test_of_several_identities_of_a_kind_the_primary_one_counts(primary: object) -> None:
    # given
    identities = {"CRMID": [{"id": "old"}, {"id": "4711", "primary": primary}]}
    # when
    [event, _] = told({**EVENT, "identityMap": identities}).events
    # then
    assert keys(event) == pseudonyms(user_id="adobe:4711")


def test_a_mail_s_events_say_where_a_link_led_what_opened_it_and_why_it_came_back() -> None:
    # when
    _, opened, clicked, bounced, _ = taken(SENDER.delivery(MAILS), "adobe").events
    # then
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    assert opened.properties == {"campaign": "spring", "user_agent": agent}
    assert clicked.properties == {
        "campaign": "spring",
        "url": "https://shop.example/lamp?a=1",
        "user_agent": agent,
    }
    assert bounced.properties == {"campaign": "spring", "reason": "550 5.1.1 <[email]> User unknown"}


def test_a_delivery_is_the_message_that_our_pixel_saw_opened() -> None:
    # when
    delivered = taken(SENDER.delivery(MAILS), "adobe").events[0]
    # then
    assert is_reader(delivered, MailingToken("spring"))
    assert not is_reader(delivered, MailingToken("another"))


def test_mails_that_name_no_mailing_are_told_apart_by_the_message() -> None:
    # given
    mail = json.loads(MAILS.body)["messages"][0]["body"]["xdmEntity"]
    # when
    [one] = told({**mail, "directMarketing": {"messageID": "m-1"}}).events
    # then
    assert one.properties == {"campaign": "(not set)", "instance": "m-1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eventType": None, "commerce": {}}, "eventType is missing, and so are measures of commerce."),
        ({"eventType": "7"}, "eventType must begin with a Latin letter."),
        ({"eventType": "identified"}, "eventType is a name that this source must not use."),
        ({"commerce": {"productViews": 1}}, "commerce.productViews must be an object."),
        ({"commerce": {"productViews": {"value": True}}}, "commerce.productViews.value must be a number."),
        ({"timestamp": "soon"}, "timestamp must be a time in ISO 8601, as 2026-01-31T12:00:00Z."),
        ({"identityMap": []}, "identityMap must be an object."),
        ({"identityMap": {"Email": ["x"]}}, "identityMap.Email must be an object."),
        ({"productListItems": None}, "productListItems is missing."),
        ({"productListItems": {}}, "productListItems must be a list."),
        ({"productListItems": [{"quantity": "many"}]}, "productListItems[0].quantity must be a number."),
        ({"productListItems": [{}] * 501}, "productListItems has more than 500 entries."),
    ],
)
def test_what_cannot_be_used_is_named_and_takes_no_other_with_it(change: dict[str, Any], message: str) -> None:
    received = told([{**EVENT, **change}, EVENT])
    assert [rejection.error.message for rejection in received.rejected] == [message]
    assert len(received.events) == 2
