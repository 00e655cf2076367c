"""What keeps a rule fresh, and what time alone does to it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from mailtailor.consent.policy import Consent, Purpose
from mailtailor.instant import DAY, FOREVER, MINUTE
from mailtailor.profiles.profile import Attribute, Profile
from mailtailor.segments.definition import MAX_WINDOW, SegmentDefinition
from mailtailor.segments.engine import Engine
from mailtailor.segments.freshness import Freshness, described, freshened_by
from mailtailor.segments.streams import Streams

NOW = 1_790_000_000_000
RULES = [
    clause["rule"]
    for clause in yaml.safe_load((Path(__file__).parent / "english.yaml").read_text(encoding="utf-8"))
    if "segment" not in clause["rule"]
]
EVERYTHING_ALLOWED = dict.fromkeys(Purpose, Consent(granted=True, at=0))


def definition(rule: dict[str, Any]) -> SegmentDefinition:
    return SegmentDefinition.model_validate({"name": "s", "description": "d", "rule": rule})


def fresh(rule: dict[str, Any]) -> Freshness:
    return freshened_by(definition(rule).rule)


def test_events_attributes_segments_and_consent_are_named_once_each_in_order() -> None:
    # when
    found = fresh(
        {
            "all": [
                {"event": ["product_viewed", "email_opened"], "within": "7d"},
                {"opened_share": 0.7, "within": "30d"},
                {"event": "order_completed", "sum": "total", "minus": "order_refunded", "within": "7d", "at_least": 1},
                {"anniversary": "birthday", "in_days": 0, "time_zone_attribute": "zone"},
                {"near": {"km": 1, "of": {"here": [1, 1]}}},
                {"score": "churn", "above": 0.5},
                {"not": {"segment": "vip"}},
                {"consent": "tracking"},
            ]
        }
    )
    # then
    assert found.events == ("email_delivered", "email_opened", "order_completed", "order_refunded", "product_viewed")
    assert found.attributes == ("birthday", "latitude", "longitude", "score_churn", "zone")
    assert found.segments == ("vip",)
    assert found.consent == (Purpose.TRACKING, Purpose.PERSONALIZATION)


@pytest.mark.parametrize(
    ("rule", "enters_after", "leaves_after"),
    [
        ({"event": "a", "within": "7d"}, (), (7 * DAY,)),
        ({"event": "a"}, (), (MAX_WINDOW,)),
        ({"event": "a", "at_most": 2, "within": "7d"}, (7 * DAY,), ()),
        ({"event": "a", "at_least": 0, "within": "7d"}, (), ()),
        ({"event": "a", "exactly": 2, "within": "7d"}, (7 * DAY,), (7 * DAY,)),
        ({"event": "a", "between": ["2d", "9d"]}, (2 * DAY,), (9 * DAY,)),
        ({"event": "a", "at_most": 2, "between": ["2d", "9d"]}, (9 * DAY,), (2 * DAY,)),
        ({"not": {"event": "a", "within": "7d"}}, (7 * DAY,), ()),
        ({"event": "a", "older_than": "2d"}, (2 * DAY,), (MAX_WINDOW,)),
        ({"event": "a", "first": True, "older_than": "2d"}, (2 * DAY,), ()),
        ({"event": "a", "sum": "x", "within": "7d", "above": 1}, (), (7 * DAY,)),
        ({"event": "a", "sum": "x", "minus": "b", "within": "7d", "above": 1}, (7 * DAY,), (7 * DAY,)),
        ({"event": "a", "distinct": "x", "within": "7d", "below": 5}, (7 * DAY,), ()),
        ({"opened_share": 0.7, "within": "30d"}, (30 * DAY,), (30 * DAY,)),
        (
            {"event": "a", "within": "7d", "not_followed_by": {"event": "b", "within": "30m"}},
            (30 * MINUTE,),
            (7 * DAY,),
        ),
        (
            {"any": [{"event": "a", "within": "7d"}, {"not": {"event": "b", "within": "2d"}}]},
            (2 * DAY,),
            (7 * DAY,),
        ),
        ({"attribute": "country", "is": "DE"}, (), ()),
    ],
)
def test_ages_at_which_people_enter_and_leave_though_nothing_happens(
    rule: dict[str, Any], enters_after: tuple[int, ...], leaves_after: tuple[int, ...]
) -> None:
    # when
    found = fresh(rule)
    # then
    assert found.enters_after == enters_after
    assert found.leaves_after == leaves_after
    assert found.people_enter_by_time == bool(enters_after)
    assert found.people_leave_by_time == bool(leaves_after)


def test_dates_turn_by_the_calendar() -> None:
    # when
    found = fresh({"date": "renewal", "in_days": 7})
    # then
    assert found.people_enter_by_time
    assert found.people_leave_by_time
    assert described(found) == [
        "Kept fresh by the attribute renewal; consent to personalization.",
        "By time alone, people enter at midnight, and people leave at midnight.",
    ]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (
            {"all": [{"event": "a", "older_than": "172800001ms"}, {"not": {"event": "b", "within": "7d"}}]},
            (
                "By time alone, people enter when an event is just over 2 days or 7 days old, "
                "and people leave when an event is 400 days old."
            ),
        ),
        ({"attribute": "country", "is": "DE"}, "Time alone changes nothing."),
        ({"segment": "vip"}, "Time alone changes nothing but what it changes in those segments."),
    ],
)
def test_what_time_does_is_a_sentence(rule: dict[str, Any], says: str) -> None:
    assert described(fresh(rule))[-1] == says


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("is_negated", [False, True], ids=["", "not"])
def test_no_membership_turns_by_time_in_a_way_that_was_not_foretold(rule: dict[str, Any], *, is_negated: bool) -> None:
    # given
    segment = definition({"not": rule} if is_negated else rule)
    foretold, chance = freshened_by(segment.rule), random.Random(1)
    for _ in range(20):
        profile = somebody(Engine([segment]), foretold, chance)
        now = NOW
        # when
        truth, until = Engine([segment]).evaluate(profile, now)["s"]
        for _ in range(20):
            if until == FOREVER:
                break
            before, now = truth, until
            truth, until = Engine([segment]).evaluate(profile, now)["s"]
            # then
            assert foretold.people_enter_by_time or (before, truth) != (False, True)
            assert foretold.people_leave_by_time or (before, truth) != (True, False)


def somebody(engine: Engine, foretold: Freshness, chance: random.Random) -> Profile:
    """Return a profile to which some of the events happened that a rule looks at."""
    streams: Streams = {}
    for number in range(chance.randrange(12)):
        engine.memory.record(
            streams,
            event_id=f"e{number}",
            event_type=chance.choice(foretold.events or ("a",)),
            at=NOW - chance.choice([chance.randrange(10 * DAY), chance.randrange(100 * DAY)]),
            properties={
                "campaign": f"c{chance.randrange(4)}",
                "category": chance.choice(["Lighting", "Home"]),
                "price": chance.randrange(20),
                "product_id": f"p{chance.randrange(3)}",
                "total": chance.randrange(2_000),
            },
        )
    attributes = {name: Attribute(chance.choice(["2026-09-25", "DE", 0.8, 52.5]), NOW) for name in foretold.attributes}
    return Profile(id="A" * 22, streams=streams, attributes=attributes, consent=EVERYTHING_ALLOWED)
