"""The Measurement Protocol: names and parameters of Google's, and ids for what has none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.errors import BadInput, Unauthorized
from mailtailor.events.sources.registry import webhook_source
from mailtailor.events.sources.webhook import Delivery, Received
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, take, taken
from tests.senders.ga4 import MORE, SECRET, SENDER, SHOPPING, sign

BODY: dict[str, Any] = json.loads(SHOPPING.body)


def told(*events: object, at: int = NOW, **body: Any) -> Received:
    changed = {**BODY, "events": list(events), **body}
    return taken(sign(json.dumps(changed).encode(), {}, {}, at), "ga4")


def test_a_purchase_counts_once_however_often_it_is_told() -> None:
    # given
    purchase = BODY["events"][3]
    # when
    first, again = told(purchase).events, told(purchase, timestamp_micros=None, at=NOW + 1).events
    # then
    assert [event.id for event in (*first, *again)] == ["ga4:order_completed:1001"] * 2
    assert first[0].properties == {
        "order_id": "1001",
        "total": 29.95,
        "currency": "GBP",
        "tax": 4.9,
        "shipping": 3.33,
        "products": [
            {"product_id": "85123A", "name": "Lamp", "category": "Lighting", "price": 12.5, "quantity": 2},
            {"product_id": "22191R", "name": "Tin", "price": 4.95, "quantity": 1},
        ],
    }


def test_each_product_added_is_an_event_of_its_own() -> None:
    # when
    events = told(BODY["events"][2]).events
    # then
    assert [event.properties["product_id"] for event in events] == ["85123A", "22191R"]
    assert len({event.id for event in events}) == 2


def test_the_value_of_all_items_is_not_counted_again_for_each() -> None:
    # when
    events = told(BODY["events"][2]).events
    # then
    assert events[1].properties == {
        "product_id": "22191R",
        "name": "Tin",
        "price": 4.95,
        "quantity": 1,
        "currency": "GBP",
    }


def test_a_refund_counts_once_and_two_parts_of_an_order_twice() -> None:
    # given
    refund = json.loads(MORE.body)["events"][6]
    another = {**refund, "params": {**refund["params"], "value": 4.95, "items": [{"item_id": "22191R"}]}}
    # when
    events = told(refund, {**refund, "timestamp_micros": None}, another, timestamp_micros=None).events
    # then
    assert events[0].id == events[1].id != events[2].id
    assert [event.properties["order_id"] for event in events] == ["1001"] * 3


def test_people_without_a_browser_do_not_share_their_events() -> None:
    # when
    ids = [told({"name": "x"}, client_id=None, user_id=user).events[0].id for user in ("1", "2", "1")]
    # then
    assert ids[0] == ids[2] != ids[1]


def test_an_app_s_installation_is_a_browser() -> None:
    # when
    [event] = told({"name": "page_view"}, user_id=None, client_id=None, app_instance_id="0123456789abcdef").events
    # then
    assert [one.kind for one in event.identities] == [IdentityKind.ANONYMOUS_ID]


@pytest.mark.parametrize("query", [{}, {"api_secret": ""}, {"api_secret": "another"}, {"measurement_id": SECRET}])
def test_who_does_not_know_the_secret_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        take(Delivery({}, SHOPPING.body, NOW, query=query), "ga4")


def test_the_caller_learns_what_could_not_be_used_though_google_would_not_tell() -> None:
    assert webhook_source("ga4").reply is None


def test_an_event_with_a_time_is_the_same_when_it_is_sent_again_and_one_without_is_not() -> None:
    # given
    view = BODY["events"][1]
    # then
    assert told(view).events[0].id == told(view, at=NOW + 1).events[0].id
    assert told(view, timestamp_micros=None).events[0].id != told(view, timestamp_micros=None, at=NOW + 1).events[0].id


def test_the_time_is_the_event_s_own_or_that_of_the_request() -> None:
    assert told({"name": "x"}).events[0].occurred_at == 1_799_999_000_000
    assert told({"name": "x", "timestamp_micros": 1_799_998_000_000_000}).events[0].occurred_at == 1_799_998_000_000
    assert told({"name": "x"}, timestamp_micros=None).events[0].occurred_at == NOW
    # and many write it as text
    assert told({"name": "x"}, timestamp_micros="1799999000000000").events == told({"name": "x"}).events


def test_a_browser_alone_is_somebody_and_google_s_consent_is_not_ours() -> None:
    # when
    [event] = told({"name": "page_view"}, user_id=None).events
    # then
    assert [one.kind for one in event.identities] == [IdentityKind.ANONYMOUS_ID]
    assert event.consent == {}
    assert told({"name": "page_view"}, user_id=None, client_id=None) == Received([], [])


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({}, "name is missing."),
        (7, "events must be an object."),
        ({"name": "1st"}, "name must begin with a Latin letter."),
        ({"name": "x", "params": []}, "params must be an object."),
        ({"name": "event_corrected"}, "name is a name that this source must not use."),
        ({"name": "email_opened"}, "name is a name that this source must not use."),
        ({"name": "x", "timestamp_micros": "soon"}, "timestamp_micros must be whole microseconds since 1970."),
        ({"name": "x", "timestamp_micros": -1}, "timestamp_micros must be whole microseconds since 1970."),
        ({"name": "x", "timestamp_micros": 1e15}, "timestamp_micros must be text."),
        ({"name": "x", "timestamp_micros": 10**19}, "timestamp_micros is no time since 1970."),
        ({"name": "view_item", "params": {}}, "items is missing."),
        ({"name": "view_item", "params": {"items": {}}}, "items must be a list."),
        ({"name": "view_item", "params": {"items": [{"price": "x"}]}}, "properties.price must be a number."),
    ],
)
def test_what_cannot_be_used_is_named_and_takes_no_other_with_it(event: object, message: str) -> None:
    received = told(event, {"name": "page_view"})
    assert [rejection.error.message for rejection in received.rejected] == [message]
    assert len(received.events) == 1


def test_more_events_than_google_takes_are_refused() -> None:
    with pytest.raises(BadInput, match="more than 25"):
        told(*[{"name": "x"}] * 26)


def test_the_sample_s_shopping_is_in_our_words() -> None:
    assert tuple(event.type for event in taken(SENDER.delivery(SHOPPING), "ga4").events) == SHOPPING.events
