"""What every call says, who and when and with which consent, and what it is refused for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.consent.policy import Purpose
from mailtailor.errors import BadInput, MailtailorError
from mailtailor.events.event import Event
from mailtailor.events.sources.segment import receive
from mailtailor.instant import DAY, HOUR, to_iso
from mailtailor.profiles.identity import IdentityKind
from tests.unit.events.sources.segment_reception import NOW, PSEUDONYMIZER, RECEPTION, one, received, refused


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
