"""Which calls there are, and what each says beyond who and when."""

from __future__ import annotations

from typing import Any

import pytest

from mailtailor.errors import NotFound
from mailtailor.profiles.identity import IdentityKind
from tests.unit.events.sources.segment_reception import PSEUDONYMIZER, one, received, refused


class TestWhat:
    def test_a_track_call_has_our_name_and_the_properties_as_they_were(self) -> None:
        # when
        event = one("track", event="Product Viewed", messageId="m-1", properties={"product_id": "85123A", "fit": [1]})

        # then
        assert (event.id, event.type, event.source) == ("segment:m-1", "product_viewed", "segment")
        assert event.properties == {"product_id": "85123A", "fit": [1]}

    def test_a_call_without_an_id_gets_one(self) -> None:
        assert one("page").id == "segment:made-here"

    def test_an_order_s_products_are_brought_to_one_form(self) -> None:
        # when
        event = one(
            "track", event="Order Completed", properties={"products": [{"sku": 22423, "price": "12.75", "quantity": 2}]}
        )

        # then
        assert event.properties["products"] == [{"sku": 22423, "product_id": "22423", "price": 12.75, "quantity": 2}]

    def test_a_page_call_keeps_its_name(self) -> None:
        # when
        event = one("page", name="Sale", properties={"url": "https://shop.example/sale"})

        # then
        assert event.type == "page_viewed"
        assert event.properties == {"name": "Sale", "url": "https://shop.example/sale"}

    def test_traits_become_attributes_with_our_names(self) -> None:
        # when
        event = one(
            "identify",
            traits={
                "firstName": "Ann",
                "email": "ann@example.com",
                "phone": "+49",
                "address": {"city": "Bonn", "state": "NW", "country": "DE", "postalCode": "53111", "street": "Markt 1"},
                "sizes": ["M", "L"],
                "company": {"name": "Acme", "employees": 3},
                "vip": None,
            },
        )

        # then
        assert event.type == "identified"
        assert event.attributes == {
            "first_name": "Ann",
            "city": "Bonn",
            "region": "NW",
            "country": "DE",
            "postal_code": "53111",
            "sizes": ["M", "L"],
            "company": "Acme",
            "vip": None,
        }

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("Email Delivered", "email_delivered"),
            ("Email Opened", "email_opened"),
            ("Email Link Clicked", "email_link_clicked"),
        ],
    )
    def test_mail_events_name_their_campaign_by_either_name(self, name: str, kind: str) -> None:
        # when
        event = one(
            "track", event=name, properties={"campaign_id": 7, "instance": "k", "link_url": "https://a.example"}
        )

        # then
        assert event.type == kind
        assert event.properties == {"campaign": "7", "instance": "k", "url": "https://a.example"}

    def test_a_mail_event_of_no_campaign_is_refused(self) -> None:
        assert refused("track", event="Email Opened") == "properties.campaign is missing; campaign_id is accepted too."


class TestCalls:
    @pytest.mark.parametrize(
        ("short", "long"),
        [("i", "identify"), ("t", "track"), ("p", "page"), ("s", "screen"), ("g", "group"), ("a", "alias")],
    )
    def test_the_browser_s_short_paths_are_the_same_calls(self, short: str, long: str) -> None:
        payload = {"userId": "42", "event": "x", "groupId": "g", "previousId": "p"}
        assert received(short, payload) == received(long, payload)

    @pytest.mark.parametrize("name", ["url", "search", "referrer"])
    def test_no_page_s_address_is_kept_with_the_stitch_token_in_it(self, name: str) -> None:
        # given
        said = {name: "https://shop.example/?mt_stitch=AbC&size=m"}
        # when
        event = one("page", properties=said, context={"page": said})
        # then
        clear = {name: "https://shop.example/?size=m"}
        assert (event.properties, event.context) == (clear, {"page": clear})

    def test_a_screen_is_viewed_like_a_page(self) -> None:
        # when
        event = one("screen", name="Basket", properties={"price": "2.50"})
        # then
        assert (event.type, event.properties) == ("screen_viewed", {"name": "Basket", "price": 2.5})

    def test_a_group_is_joined_and_an_address_among_its_traits_is_nobody_s(self) -> None:
        # when
        event = one("group", groupId="club", traits={"plan": "gold", "email": "club@example.com"})
        # then
        assert (event.type, event.properties) == ("grouped", {"plan": "gold", "group_id": "club"})
        assert [identity.kind for identity in event.identities] == [IdentityKind.USER_ID]

    def test_an_alias_joins_whom_the_previous_id_named_known_or_not(self) -> None:
        # when
        event = one("alias", previousId="before")
        # then
        assert event.type == "aliased"
        assert [(identity.kind, identity.id) for identity in event.identities] == [
            (kind, PSEUDONYMIZER.pseudonym(kind, key))
            for kind, key in (
                (IdentityKind.USER_ID, "42"),
                (IdentityKind.USER_ID, "before"),
                (IdentityKind.ANONYMOUS_ID, "before"),
            )
        ]

    @pytest.mark.parametrize(
        ("call", "payload", "message"),
        [
            ("group", {}, "groupId is missing."),
            ("alias", {}, "previousId is missing."),
            ("alias", {"previousId": "p", "userId": None}, "userId is missing."),
            ("screen", {"name": []}, "name must be text."),
        ],
    )
    def test_what_a_call_needs_is_named(self, call: str, payload: dict[str, Any], message: str) -> None:
        assert refused(call, **payload) == message

    def test_traits_of_an_identify_may_stand_in_its_context(self) -> None:
        assert one("identify", context={"traits": {"firstName": "Ann"}}).attributes == {"first_name": "Ann"}
        assert one("identify", traits={"a": 1}, context={"traits": {"b": 2}}).attributes == {"a": 1}
        assert one("page", context={"traits": {"firstName": "Ann"}}).attributes == {}

    def test_what_is_around_a_call_is_kept_in_part(self) -> None:
        # when
        event = one("page", context={"locale": "en-GB", "ip": "203.0.113.7", "page": {"path": "/sale"}})
        # then
        assert event.context == {"locale": "en-GB", "page": {"path": "/sale"}}


def test_an_unknown_call_does_not_exist() -> None:
    with pytest.raises(NotFound, match="identify, track, page, screen, group, alias, batch, import"):
        received("teleport", {"userId": "42"})
