"""Many events in one call, and a later try with those of them that could not be used."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mailtailor.consent.policy import Purpose
from mailtailor.errors import BadInput
from mailtailor.events.sources.segment import Authority, receive, replayed
from mailtailor.instant import DAY, HOUR, to_iso
from tests.unit.events.sources.segment_reception import NOW, RECEPTION, received


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
