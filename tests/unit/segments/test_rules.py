"""Compiled conditions say the truth at every instant, and exactly how long it holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mailtailor.consent.policy import Consent, Purpose
from mailtailor.events import capture
from mailtailor.instant import DAY, FOREVER, HOUR
from mailtailor.profiles.profile import Profile
from mailtailor.segments.composition import all_of, any_of, negated
from mailtailor.segments.definition import MAX_WINDOW, SegmentDefinition
from mailtailor.segments.engine import Engine
from mailtailor.segments.person import Person
from mailtailor.segments.person import Rule as PersonRule
from mailtailor.segments.streams import Occurrences, Streams
from mailtailor.segments.verdict import Verdict
from mailtailor.tracking.tokens import MailingToken, RecipientToken
from mailtailor.tracking.tokens import Purpose as TokenPurpose

NOW = 1_790_000_000_000
NOBODY = Person("", {}, {}, {})


Rule = Callable[[Streams, int], Verdict]
EVERYTHING_ALLOWED = dict.fromkeys(Purpose, Consent(granted=True, at=0))


def engine_of(rule: dict[str, Any]) -> tuple[Engine, Rule]:
    engine = Engine([SegmentDefinition.model_validate({"name": "s", "description": "d", "rule": rule})])
    return engine, lambda streams, now: verdicts(engine, streams, now)["s"]


def verdicts(engine: Engine, streams: Streams, now: int) -> dict[str, Verdict]:
    return engine.evaluate(Profile(id="A" * 22, streams=streams, consent=EVERYTHING_ALLOWED), now)


def stated(*verdicts: Verdict) -> list[PersonRule]:
    return [lambda _person, _now, verdict=verdict: verdict for verdict in verdicts]  # type: ignore[misc]


def history(engine: Engine, *events: tuple[str, int, dict[str, Any]]) -> Streams:
    streams: Streams = {}
    for number, (event_type, at, properties) in enumerate(events):
        engine.memory.record(streams, event_id=f"e{number}", event_type=event_type, at=at, properties=properties)
    return streams


def test_a_window_is_open_at_its_end_to_the_millisecond() -> None:
    # given
    engine, rule = engine_of({"event": "order_completed", "within": "7d"})
    streams = history(engine, ("order_completed", NOW, {}))
    # when, then
    assert rule(streams, NOW) == (True, NOW + 7 * DAY)
    assert rule(streams, NOW + 7 * DAY - 1)[0]
    assert rule(streams, NOW + 7 * DAY) == (False, FOREVER)


def test_the_third_last_click_decides_when_three_clicks_stop_counting() -> None:
    # given
    engine, rule = engine_of({"event": "email_link_clicked", "at_least": 3, "within": "30d"})
    streams = history(engine, *[("email_link_clicked", NOW + day * DAY, {}) for day in range(5)])
    # when, then
    assert rule(streams, NOW + 5 * DAY) == (True, NOW + 32 * DAY)


def test_a_false_all_is_woken_only_when_the_last_of_what_is_false_may_turn() -> None:
    # given
    turning = [(False, NOW + 5), (True, NOW + 1), (False, NOW + 9), (False, NOW + 7)]
    # when, then
    assert all_of(stated(*turning))(NOBODY, NOW) == (False, NOW + 9)
    assert any_of([negated(one) for one in stated(*turning)])(NOBODY, NOW) == (True, NOW + 9)


def test_what_a_segment_means_to_people_is_no_part_of_its_definition() -> None:
    # given
    segment = {"name": "s", "description": "d", "rule": {"event": "view", "within": "1d"}}
    # when
    reworded, changed = {**segment, "description": "e"}, {**segment, "rule": {"event": "view", "within": "2d"}}
    # then
    first, second, third = (Engine([SegmentDefinition.model_validate(one)]) for one in (segment, reworded, changed))
    assert first.fingerprint == second.fingerprint != third.fingerprint


@pytest.mark.parametrize("order", [1, -1])
def test_a_stream_that_two_segments_share_keeps_what_the_more_demanding_needs(order: int) -> None:
    # given
    demands: list[dict[str, Any]] = [
        {"event": "view", "within": "30d"},
        {"event": "view", "at_least": 3, "within": "30d"},
        {"opened_share": 1, "within": "10d"},
        {"opened_share": 0.5, "within": "30d"},
    ]
    definitions = [
        SegmentDefinition.model_validate({"name": f"s{n}", "description": "d", "rule": rule})
        for n, rule in enumerate(demands)
    ]
    engine = Engine(definitions[::order])
    # when
    streams = history(engine, *[("view", NOW + n, {}) for n in range(3)], delivered("m", NOW), opened("m", NOW))
    engine.memory.prune(streams, NOW + 20 * DAY)
    # then
    found = verdicts(engine, streams, NOW + 20 * DAY)
    assert [found[one.name][0] for one in definitions] == [True, True, False, True]


def test_older_than_is_true_from_that_age_on() -> None:
    # given
    engine, rule = engine_of({"event": "product_viewed", "older_than": "2d"})
    streams = history(engine, ("product_viewed", NOW, {}))
    # when, then
    assert rule(streams, NOW) == (False, NOW + 2 * DAY)
    assert rule(streams, NOW + 2 * DAY) == (True, NOW + MAX_WINDOW)
    assert rule({}, NOW) == (False, FOREVER)


def test_filters_decide_which_events_count() -> None:
    # given
    engine, rule = engine_of(
        {
            "event": "product_viewed",
            "where": {"category": {"in": ["Home", "Garden"]}, "sale": {"exists": False}, "vip": True},
            "within": "1d",
        }
    )
    wanted = {"category": "Home", "vip": True}
    # when, then
    assert rule(history(engine, ("product_viewed", NOW, wanted)), NOW)[0]
    for unwanted in (
        {**wanted, "category": "Toys"},
        {**wanted, "sale": 5},
        {**wanted, "vip": 1},
        {**wanted, "category": ["Home"]},
        {},
    ):
        assert not rule(history(engine, ("product_viewed", NOW, unwanted)), NOW)[0]


def delivered(message: str, at: int) -> tuple[str, int, dict[str, Any]]:
    return ("email_delivered", at, {"campaign": message})


def opened(message: str, at: int) -> tuple[str, int, dict[str, Any]]:
    return ("email_opened", at, {"campaign": message})


def test_the_share_counts_messages_opened_among_messages_delivered() -> None:
    # given ten mails, of which seven are opened, one of them five times
    engine, rule = engine_of({"opened_share": 0.7, "within": "30d"})
    events = [delivered(f"m{n}", NOW) for n in range(10)]
    events += [opened(f"m{n}", NOW + HOUR) for n in range(7)]
    events += [opened("m0", NOW + n * HOUR) for n in range(2, 6)]
    # when, then
    assert rule(history(engine, *events), NOW + DAY)[0]
    assert not rule(history(engine, *events, delivered("m10", NOW)), NOW + DAY)[0]


def test_nothing_delivered_is_no_share() -> None:
    engine, rule = engine_of({"opened_share": 0.5, "within": "30d"})
    assert rule(history(engine, opened("m", NOW)), NOW) == (False, FOREVER)


def test_a_share_turns_true_by_time_when_an_unopened_mail_leaves_the_window() -> None:
    # given an unopened mail and, a day later, an opened one
    engine, rule = engine_of({"opened_share": 0.7, "within": "10d"})
    streams = history(engine, delivered("a", NOW), delivered("b", NOW + DAY), opened("b", NOW + DAY))
    # when, then
    assert rule(streams, NOW + DAY) == (False, NOW + 10 * DAY)
    assert rule(streams, NOW + 10 * DAY) == (True, NOW + 11 * DAY)
    assert rule(streams, NOW + 11 * DAY) == (False, FOREVER)


def test_a_stream_that_only_newer_functions_know_is_united_whole() -> None:
    # given
    engine, _ = engine_of({"event": "view", "within": "1d"})
    newer, _ = engine_of({"event": "buy", "at_least": 3, "within": "1d"})
    ours = history(newer, *[("buy", NOW + n, {}) for n in range(3)])
    ((feature, stream),) = ours.items()
    assert isinstance(stream, Occurrences)
    # when
    engine.memory.unite(ours, {feature: Occurrences([(NOW + 3, 99)])})
    # then
    assert [at for at, _ in stream.entries] == [NOW + 1, NOW + 2, NOW + 3]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"event": "view", "within": "0d"}, "greater than 0"),
        ({"event": "view", "within": "500d"}, "less than or equal"),
        ({"event": "view", "within": "two days"}, "write a number and s, m, h, d or w"),
        ({"event": "view", "within": "2d", "at_least": -1}, "greater than or equal to 0"),
        ({"event": "View!", "within": "2d"}, "pattern"),
        ({"events": "view"}, "a condition has one of the keys"),
        ({"all": []}, "at least 1 item"),
        ({"event": "view", "within": "2d", "wher": {}}, "Extra inputs"),
        ({"opened_share": 1.5, "within": "2d"}, "less than or equal to 1"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SegmentDefinition.model_validate({"name": "s", "description": "d", "rule": rule})


def test_a_rule_nested_without_end_is_refused() -> None:
    rule: dict[str, Any] = {"event": "view", "within": "1d"}
    for _ in range(5_000):
        rule = {"not": rule}
    with pytest.raises(ValueError, match="nested deeper"):
        SegmentDefinition.model_validate({"name": "s", "description": "d", "rule": rule})


def test_mails_that_leave_the_window_together_turn_no_share_in_between() -> None:
    # given two mails of one instant, one of them opened, and a later one that is not
    engine, rule = engine_of({"opened_share": 0.5, "within": "10d"})
    events = [delivered("a", NOW), delivered("b", NOW), delivered("c", NOW + DAY)]
    streams = history(engine, *events, opened("a", NOW))
    # when, then without the unopened one alone it would be half
    assert rule(streams, NOW + DAY) == (False, FOREVER)


def test_a_mail_delivered_by_the_esp_and_opened_through_our_pixel_is_one_message() -> None:
    # given the ESP's report, and two sends of the campaign of which the second is opened through the pixel
    engine, rule = engine_of({"opened_share": 1, "within": "30d"})
    sends = [("email_delivered", NOW, {"campaign": "spring", "instance": send}) for send in ("1", "2")]
    open_event = capture.opened(
        event_id="o",
        mailing=MailingToken("spring", "2"),
        recipient=RecipientToken("A" * 22, TokenPurpose.TRACK, 0),
        at=NOW,
    )
    opened_second = ("email_opened", NOW, json.loads(open_event)["properties"])
    # when, then
    assert not rule(history(engine, *sends, opened_second), NOW)[0]
    assert rule(history(engine, sends[1], opened_second), NOW)[0]
