from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.consent.policy import Purpose
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.events.event import Event
from mailtailor.events.sources.segment import Authority, Reception, Result, receive, replayed, write_keys
from mailtailor.instant import DAY, HOUR, to_iso
from mailtailor.profiles.identity import IdentityKind, Pseudonymizer

NOW = 1_790_000_000_000
PSEUDONYMIZER = Pseudonymizer(b"a pepper of the tests")
RECEPTION = Reception(received_at=NOW, pseudonymizer=PSEUDONYMIZER, new_id=lambda: "made-here")


def received(call: str, payload: Any) -> Result:
    return receive(call, payload, len(json.dumps(payload)), RECEPTION)


def one(call: str, **payload: Any) -> Event:
    return received(call, {"userId": "42", **payload}).events[0]


def refused(call: str, **payload: Any) -> str:
    with pytest.raises(BadInput) as caught:
        received(call, {"userId": "42", **payload})
    return caught.value.message


class TestWho:
    def test_every_key_of_a_call_becomes_a_pseudonym_strongest_first(self) -> None:
        # when
        event = received(
            "identify", {"anonymousId": "cookie-1", "userId": "42", "traits": {"email": "Ann@example.com"}}
        ).events[0]

        # then
        assert [(identity.kind, identity.id) for identity in event.identities] == [
            (IdentityKind.USER_ID, PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, "42")),
            (IdentityKind.EMAIL, PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, "ann@example.com")),
            (IdentityKind.ANONYMOUS_ID, PSEUDONYMIZER.pseudonym(IdentityKind.ANONYMOUS_ID, "cookie-1")),
        ]

    @pytest.mark.parametrize(
        "place",
        [
            {"traits": {"email": "ann@example.com"}},
            {"context": {"traits": {"email": "ann@example.com"}}},
            {"properties": {"email": " ANN@example.com "}},
        ],
    )
    def test_an_address_is_found_wherever_segment_puts_it(self, place: dict[str, Any]) -> None:
        # when
        event = received("track", {"event": "Product Viewed", **place}).events[0]

        # then
        assert [identity.id for identity in event.identities] == [
            PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, "ann@example.com")
        ]

    def test_a_number_as_user_id_is_the_same_person_as_its_text(self) -> None:
        assert one("page", userId=42).identities == one("page", userId="42").identities

    def test_a_call_about_nobody_is_refused(self) -> None:
        with pytest.raises(BadInput, match="userId is missing"):
            received("track", {"event": "Product Viewed", "anonymousId": "  "})

    def test_no_address_or_number_of_a_person_is_kept_anywhere(self) -> None:
        # given
        call = {
            "userId": "ann@example.com",
            "messageId": "2026-ann@example.com",
            "event": "Invited ann@example.com",
            "context": {"ip": "203.0.113.7", "traits": {"email": "ann@example.com", "phone": "+4915112345678"}},
            "properties": {
                "email": "ann@example.com",
                "phone": "+4915112345678",
                "url": "https://shop.example/welcome?mail=ann%40example.com&lang=en",
                "note": "write to ann@example.com, please",
                "ann@example.com": True,
                "friends": [{"emailAddress": "ann@example.com", "Phone Number": "+4915112345678", "name": "Ann"}],
            },
        }

        # when
        stored = received("track", call).events[0].model_dump_json()

        # then
        assert "ann@" not in stored
        assert "ann%40" not in stored
        assert "ann_example" not in stored
        assert "4915112345678" not in stored
        assert "203.0.113.7" not in stored
        assert "https://shop.example/welcome?mail=[email]&lang=en" in stored


class TestWhen:
    def test_a_call_without_a_time_happened_on_receipt(self) -> None:
        assert one("page").occurred_at == NOW

    def test_a_sender_s_wrong_clock_is_corrected_by_what_it_says_of_sending(self) -> None:
        # given a clock two days ahead, and an event an hour old when it was sent
        ahead = NOW + 2 * DAY

        # when
        event = one("page", timestamp=to_iso(ahead - HOUR), sentAt=to_iso(ahead))

        # then
        assert event.occurred_at == NOW - HOUR

    def test_the_original_timestamp_is_the_sender_s_time_where_both_are_given(self) -> None:
        # when
        event = one("page", originalTimestamp=to_iso(NOW - HOUR), timestamp=to_iso(NOW - DAY), sentAt=to_iso(NOW))

        # then
        assert event.occurred_at == NOW - HOUR

    @pytest.mark.parametrize(
        ("timestamp", "occurred_at"),
        [
            (to_iso(NOW - 90 * DAY), NOW - 90 * DAY),
            (to_iso(NOW + DAY), NOW),
            ("9999-12-31T23:59:59.999999999-23:59", NOW),
            ("0001-01-01T00:00:00+23:59", 0),
            ("2020-01-01T01:00:00+01:00", 1_577_836_800_000),
            ("2020-01-01T00:00:00", 1_577_836_800_000),
        ],
    )
    def test_a_time_is_taken_as_given_and_clamped_to_what_can_be(self, timestamp: str, occurred_at: int) -> None:
        assert one("page", timestamp=timestamp).occurred_at == occurred_at

    @pytest.mark.parametrize("timestamp", ["yesterday", 1_790_000_000, True, [], "2026-13-01T00:00:00Z"])
    def test_what_is_no_time_is_refused_by_name(self, timestamp: object) -> None:
        assert refused("page", timestamp=timestamp).startswith("timestamp must be a time in ISO 8601")


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


class TestConsent:
    @pytest.mark.parametrize("call", [("identify", {}), ("page", {}), ("track", {"event": "Product Viewed"})])
    def test_any_call_can_state_consent_and_unknown_categories_mean_nothing(
        self, call: tuple[str, dict[str, Any]]
    ) -> None:
        # given
        preferences = {"tracking": True, "personalization": False, "Advertising": True, "DataSharing": "?"}

        # when
        event = one(call[0], **call[1], context={"consent": {"categoryPreferences": preferences}})

        # then
        assert event.consent == {Purpose.TRACKING: True, Purpose.PERSONALIZATION: False}

    def test_segment_s_own_event_for_a_changed_preference_changes_consent(self) -> None:
        # when
        event = one(
            "track",
            event="Segment Consent Preference Updated",
            context={"consent": {"categoryPreferences": {"tracking": False}}},
        )

        # then
        assert (event.type, event.consent) == ("consent_changed", {Purpose.TRACKING: False})

    @pytest.mark.parametrize("value", ["true", 1, None, {}])
    def test_consent_that_is_not_plainly_yes_or_no_is_refused(self, value: object) -> None:
        assert (
            refused("page", context={"consent": {"categoryPreferences": {"tracking": value}}})
            == "context.consent.categoryPreferences.tracking must be true or false."
        )


@pytest.mark.parametrize(
    ("call", "payload", "message"),
    [
        ("track", {}, "event is missing."),
        ("track", {"event": 7.5}, "event must be text."),
        ("track", {"event": "買い物"}, "event must be a name that begins with a Latin letter."),
        ("track", {"event": "A", "properties": []}, "properties must be an object."),
        ("track", {"event": "A", "properties": {"price": "much"}}, "properties.price must be a number."),
        ("track", {"event": "A", "properties": {"price": True}}, "properties.price must be a number."),
        ("track", {"event": "A", "properties": {"price": 10**19}}, "properties.price is a number out of range."),
        ("track", {"event": "A", "properties": {"price": 10**400}}, "properties.price is a number out of range."),
        ("track", {"event": "A", "properties": {"x": 1e300}}, "properties.x is a number out of range."),
        ("track", {"event": "A", "properties": {"product_id": {}}}, "properties.product_id must be text."),
        ("track", {"event": "A", "properties": {"products": {}}}, "properties.products must be a list."),
        (
            "track",
            {"event": "A", "properties": {"products": [{}, 3]}},
            "properties.products[1] must be an object.",
        ),
        (
            "track",
            {"event": "A", "properties": {"products": [{"quantity": "two"}]}},
            "properties.products[0].quantity must be a number.",
        ),
        (
            "track",
            {"event": "A", "properties": {"x": ["ok", "\ud800"]}},
            "properties.x[1] holds half a surrogate pair, which is no text.",
        ),
        ("identify", {"traits": "Ann"}, "traits must be an object."),
        (
            "identify",
            {"traits": {"email": "nobody"}},
            "traits.email must be an e-mail address or the hex of its SHA-256.",
        ),
        ("identify", {"traits": {"bio": "x" * 257}}, "traits.bio is longer than 256 characters."),
        (
            "identify",
            {"traits": {"a": {"b": 1}}},
            "traits.a must be text, a number, true, false, null or a short list of them.",
        ),
        ("identify", {"traits": {"a": [1] * 21}}, "traits.a has more than 20 entries."),
        ("identify", {"traits": {f"t{i}": i for i in range(51)}}, "traits has more than 50 entries."),
        ("identify", {"traits": {"1st": 1}}, "traits.1st must have a name that begins with a Latin letter."),
        ("identify", {"traits": {"address": "Markt 1"}}, "traits.address must be an object."),
        ("page", {"userId": "x" * 257}, "userId is longer than 256 characters."),
        ("page", {"userId": ["a"]}, "userId must be text."),
        ("page", {"messageId": "x" * 101}, "messageId is longer than 100 characters."),
        ("page", {"messageId": {}}, "messageId must be text."),
        ("page", {"context": "c"}, "context must be an object."),
        ("page", {"properties": {"x": "y" * 33_000}}, "The event is larger than 32 KB."),
    ],
)
def test_what_cannot_be_used_is_refused_naming_field_and_reason(
    call: str, payload: dict[str, Any], message: str
) -> None:
    assert refused(call, **payload) == message


def test_unknown_fields_and_control_characters_do_no_harm() -> None:
    # when
    event = one("track", event="Product Viewed\x00", properties={"na\x07me": "T\x1bea"}, plan={}, _metadata=[1])

    # then
    assert (event.type, event.properties) == ("product_viewed", {"name": "Tea"})


def test_the_depth_of_an_event_is_bounded() -> None:
    # given
    nested: Any = 1
    for _ in range(500):
        nested = {"a": nested}

    # then
    assert refused("page", properties=nested).endswith("is nested more than 20 levels deep.")


def test_an_address_used_as_a_field_name_is_not_repeated_in_the_error() -> None:
    assert "ann" not in refused("identify", traits={"ann@example.com": {}})


def test_an_unknown_call_does_not_exist() -> None:
    with pytest.raises(NotFound, match="identify, track, page, screen, group, alias, batch, import"):
        received("teleport", {"userId": "42"})


class TestBatch:
    def test_one_bad_event_does_not_lose_the_others(self) -> None:
        # given
        batch = [
            {"type": "track", "event": "Product Viewed", "userId": "1", "messageId": "a"},
            {"type": "track", "userId": "1"},
            "text",
            {"type": "teleport", "userId": "1"},
            {"type": "page", "userId": "1", "properties": {"x": "\udfff"}},
            {"type": "page", "userId": "1", "properties": {"x": "y" * 33_000}},
            {"type": "page", "userId": "2", "messageId": "b"},
        ]

        # when
        result = received("batch", {"batch": batch})

        # then
        assert [event.id for event in result.events] == ["segment:a", "segment:b"]
        assert [(rejection.index, rejection.error.message) for rejection in result.rejected] == [
            (1, "event is missing."),
            (2, "The event must be an object."),
            (3, "type must be one of identify, track, page, screen, group, alias."),
            (4, "properties.x holds half a surrogate pair, which is no text."),
            (5, "The event is larger than 32 KB."),
        ]

    def test_what_the_batch_says_holds_for_events_that_do_not_say_otherwise(self) -> None:
        # given
        yes, no = ({"consent": {"categoryPreferences": {"tracking": granted}}} for granted in (True, False))
        old = to_iso(NOW - DAY - HOUR)
        batch = [
            {"type": "page", "userId": "1", "timestamp": old},
            {"type": "page", "userId": "1", "timestamp": old, "context": no, "sentAt": to_iso(NOW - HOUR)},
        ]

        # when
        first, second = received("batch", {"batch": batch, "context": yes, "sentAt": to_iso(NOW - DAY)}).events

        # then
        assert (first.consent, second.consent) == ({Purpose.TRACKING: True}, {Purpose.TRACKING: False})
        assert (first.occurred_at, second.occurred_at) == (NOW - HOUR, NOW - DAY)

    @pytest.mark.parametrize("batch", [None, {}, "events", 3])
    def test_a_batch_without_a_list_is_refused(self, batch: object) -> None:
        with pytest.raises(BadInput, match="batch must be a list of events"):
            received("batch", {"batch": batch})

    def test_what_a_batch_shares_is_bounded_for_every_parked_event_takes_it_along(self) -> None:
        with pytest.raises(BadInput, match="8 KB"):
            received("batch", {"batch": [{}], "context": {"x": "y" * 9_000}})

    def test_more_events_than_segment_admits_are_refused_rather_than_lost(self) -> None:
        with pytest.raises(BadInput, match="2,500"):
            received("batch", {"batch": [{}] * 2_501})


@pytest.mark.parametrize(
    ("authorization", "payload", "keys"),
    [
        ("", {"writeKey": "k"}, ["k"]),
        (f"Basic {base64.b64encode(b'k:').decode()}", {}, ["k"]),
        (f"basic {base64.b64encode(b'k:').decode()}", {"writeKey": "k2"}, ["k", "k2"]),
        ("Bearer k", [], ["k"]),
        ("Basic ???", {}, [""]),
        ("Basic \u20ac", {}, [""]),
        ("", {"writeKey": 7}, []),
        ("", None, []),
    ],
)
def test_a_write_key_is_found_wherever_an_sdk_puts_it(authorization: str, payload: object, keys: list[str]) -> None:
    assert write_keys(authorization, payload) == keys


TEXT = st.text(max_size=12) | st.sampled_from(["track", "\ud800", "ann@example.com", "2026-01-01", "a" * 300])
NAMES = TEXT | st.sampled_from(
    [
        *("userId", "anonymousId", "messageId", "type", "event", "properties", "traits", "context", "timestamp"),
        *("sentAt", "originalTimestamp", "consent", "categoryPreferences", "tracking", "email", "products", "price"),
        *("product_id", "sku", "address", "city", "company", "name", "batch", "campaign"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(NAMES, values, max_size=6),
    max_leaves=40,
)


@given(st.sampled_from(["identify", "track", "page", "batch"]), JSON | st.dictionaries(NAMES, JSON, max_size=8))
def test_whatever_comes_is_an_event_or_a_sentence(call: str, payload: Any) -> None:
    # when
    bodies = [payload, {"batch": [payload]}, {**payload, "userId": "42"} if isinstance(payload, dict) else payload]
    for body in bodies:
        try:
            result = receive("batch" if body is bodies[1] else call, body, 1, RECEPTION)
        except MailtailorError as error:
            error.message.encode()
            continue

        # then
        for event in result.events:
            assert Event.model_validate_json(event.model_dump_json(exclude_defaults=True)) == event


class TestCalls:
    @pytest.mark.parametrize(
        ("short", "long"),
        [("i", "identify"), ("t", "track"), ("p", "page"), ("s", "screen"), ("g", "group"), ("a", "alias")],
    )
    def test_the_browser_s_short_paths_are_the_same_calls(self, short: str, long: str) -> None:
        payload = {"userId": "42", "event": "x", "groupId": "g", "previousId": "p"}
        assert received(short, payload) == received(long, payload)

    def test_a_batch_goes_by_three_names(self) -> None:
        payload = {"batch": [{"type": "page", "userId": "42", "messageId": "m"}]}
        assert received("b", payload) == received("batch", payload) == received("import", payload)

    def test_an_import_brings_the_time_at_which_it_happened(self) -> None:
        payload = {"batch": [{"type": "page", "userId": "42", "timestamp": to_iso(NOW - 400 * DAY)}]}
        assert received("import", payload).events[0].occurred_at == NOW - 400 * DAY

    def test_when_an_import_is_sent_does_not_move_its_times(self) -> None:
        # given
        item = {"type": "page", "userId": "42", "timestamp": to_iso(NOW - 400 * DAY), "sentAt": to_iso(NOW - HOUR)}
        # when
        [event] = received("import", {"batch": [item], "sentAt": to_iso(NOW - HOUR)}).events
        # then
        assert event.occurred_at == NOW - 400 * DAY

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


class TestBrowsers:
    """A key that everybody can read; `test_browser_keys` says what it may not do."""

    BROWSER = replace(RECEPTION, authority=Authority.BROWSER)

    def of_browser(self, call: str, **payload: Any) -> Result:
        return receive(call, {"userId": "42", **payload}, 1, self.BROWSER)

    def test_what_it_may_not_say_is_left_out_and_counted_and_the_call_is_taken(self) -> None:
        # given
        said = {
            "anonymousId": "a",
            "traits": {"email": "ann@example.com", "firstName": "Ann"},
            "context": {"consent": {"categoryPreferences": {"tracking": True}}},
        }
        # when
        result = self.of_browser("identify", **said)
        # then
        [event] = result.events
        assert [identity.kind for identity in event.identities] == [IdentityKind.USER_ID, IdentityKind.ANONYMOUS_ID]
        assert (event.attributes, event.consent) == ({"web_first_name": "Ann"}, {})
        assert result.left_out == {"identity": 1, "consent": 1, "trait": 1}
        assert one("identify", **said).attributes == {"first_name": "Ann"}

    def test_it_may_say_who_is_at_the_browser(self) -> None:
        # when
        [event] = self.of_browser("identify", userId=None, anonymousId="a", traits={"email": "ann@example.com"}).events
        # then
        assert [identity.kind for identity in event.identities] == [IdentityKind.EMAIL, IdentityKind.ANONYMOUS_ID]

    @pytest.mark.parametrize("call", ["alias", "a"])
    def test_its_alias_is_rejected_in_a_success_which_no_sdk_takes_for_a_fault(self, call: str) -> None:
        # when
        result = self.of_browser(call, previousId="p")
        # then
        assert (result.events, [rejection.index for rejection in result.rejected]) == ([], [0])
        assert result.parkable == []

    def test_in_a_batch_the_others_are_taken_and_only_what_may_be_used_one_day_is_parkable(self) -> None:
        # given
        batch = [
            {"type": "alias", "userId": "42", "previousId": "p"},
            {"type": "track", "userId": "42", "event": "Email Opened", "properties": {"campaign": "spring"}},
            {"type": "page"},
            {"type": "page", "userId": "42"},
        ]
        # when
        result = self.of_browser("batch", batch=batch)
        # then
        assert [event.type for event in result.events] == ["page_viewed"]
        assert [rejection.index for rejection in result.rejected] == [0, 1, 2]
        assert [rejection.index for rejection in result.parkable] == [2]


class TestReplay:
    def test_what_was_rejected_is_used_with_what_its_batch_shared_and_its_own_authority(self) -> None:
        # given: an event that names nobody, in a batch that says where
        batch = {
            "batch": [{"type": "page", "messageId": "m"}],
            "context": {"locale": "en-GB", "consent": {"categoryPreferences": {"tracking": True}}},
        }
        [of_server] = received("batch", batch).rejected
        [of_browser] = receive("batch", batch, 1, replace(RECEPTION, authority=Authority.BROWSER)).rejected
        # when: it is mended by hand
        mended = [
            {**item, "payload": {**item["payload"], "userId": "42"}} for item in (of_server.item, of_browser.item)
        ]
        stated, not_stated = (replayed(item, RECEPTION)[0] for item in json.loads(json.dumps(mended)))
        # then
        assert (stated.id, stated.context, stated.consent) == (
            "segment:m",
            {"locale": "en-GB"},
            {Purpose.TRACKING: True},
        )
        assert not_stated.consent == {}

    def test_what_still_cannot_be_used_says_why(self) -> None:
        [rejection] = received("batch", {"batch": [{"type": "page"}]}).rejected
        with pytest.raises(BadInput, match="userId is missing"):
            replayed(rejection.item, RECEPTION)

    def test_an_event_without_an_id_is_the_same_however_often_it_is_replayed(self) -> None:
        # given
        item = {"payload": {"type": "page", "userId": "42"}, "shared": {}, "authority": "server"}
        # when
        first, again = replayed(item, RECEPTION), replayed(item, RECEPTION)
        other = replayed({**item, "payload": {"type": "page", "userId": "43"}}, RECEPTION)
        # then
        assert first == again
        assert first[0].id not in {other[0].id, "segment:made-here"}

    @pytest.mark.parametrize(
        "item",
        [
            {},
            {"payload": {}, "shared": {}},
            {"payload": {}, "shared": {}, "authority": "king"},
            {"payload": [], "shared": {}, "authority": "server"},
            {"payload": {}, "shared": 7, "authority": "server"},
            {"payload": {"type": "page", "userId": "4"}, "shared": {"context": 7}, "authority": "server"},
        ],
    )
    def test_what_was_not_parked_so_is_a_sentence(self, item: dict[str, Any]) -> None:
        with pytest.raises(BadInput):
            replayed(item, RECEPTION)
