"""Whose write key a call carries: where it is found, and what is taken of a call with one that everybody can read."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from mailtailor.events.sources.segment import Authority, Result, receive, write_keys
from mailtailor.profiles.identity import IdentityKind
from tests.unit.events.sources.segment_reception import RECEPTION, one


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
