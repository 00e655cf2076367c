"""What segments cost a profile, and what is refused because it would hurt."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mailtailor.instant import DAY
from mailtailor.segments import cost
from mailtailor.segments.cost import Cost, check, check_all, estimate, estimate_all
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import Engine
from mailtailor.segments.stream_codec import encode
from mailtailor.segments.streams import Streams

NOW = 1_790_000_000_000
COUNT = {"event": "product_viewed", "at_least": 3, "within": "30d"}
SUM = {"event": "order_completed", "sum": "total", "within": "90d", "at_least": 100}


def definition(rule: dict[str, Any], name: str = "s") -> SegmentDefinition:
    return SegmentDefinition.model_validate({"name": name, "description": "d", "rule": rule})


@pytest.mark.parametrize(
    ("rule", "entries"),
    [
        ({"event": "a"}, 1),
        ({"event": "a", "at_least": 3, "within": "30d"}, 3),
        ({"event": "a", "at_most": 3, "within": "30d"}, 4),
        ({"event": "a", "older_than": "2d"}, 1),
        ({"event": "a", "first": True, "within": "2d"}, 1),
        ({"event": "a", "last": {"b": 1}}, 2),
        ({"event": "a", "between": ["1d", "2d"]}, 1_000),
        ({"event": "a", "sum": "x", "at_least": 1}, 1_000),
        ({"opened_share": 0.5, "within": "1d"}, 1_000),
        ({"event": "a", "not_followed_by": {"event": "b"}}, 2),
        ({"event": "a", "not_followed_by": {"event": "b", "within": "1d"}}, 2_000),
        ({"event": "a", "not_followed_by": {"event": "b", "same": "x"}}, 2_000),
        ({"attribute": "country", "is": "DE"}, 0),
    ],
)
def test_a_profile_remembers_no_more_than_a_condition_needs(rule: dict[str, Any], entries: int) -> None:
    assert estimate(definition(rule)).entries == entries


def test_what_conditions_and_segments_remember_alike_is_kept_once() -> None:
    # given
    more = {**COUNT, "at_least": 5}
    # when, then
    assert estimate(definition({"any": [COUNT, more]})) == Cost(2, 5, 57, 1.0)
    assert estimate_all([definition(COUNT), definition(more, "t")]) == Cost(2, 5, 57, 1.0)


@pytest.mark.parametrize(
    "rule",
    [
        {"event": "product_viewed", "at_least": 50, "within": "400d"},
        {"event": "product_viewed", "between": ["1d", "60d"]},
        {"event": "product_viewed", "sum": "price", "within": "60d", "at_least": 1},
        {"event": "product_viewed", "distinct": "category", "within": "60d", "at_least": 3},
        {"opened_share": 0.7, "within": "60d"},
    ],
    ids=str,
)
def test_typical_bytes_are_those_of_a_busy_customers_profile(rule: dict[str, Any]) -> None:
    # given
    segment, chance, streams = definition(rule), random.Random(1), Streams()
    engine, is_mail = Engine([segment]), "opened_share" in rule
    for day in range(400 if "at_least" in rule and rule.get("within") == "400d" else 60):
        for number in range(1 if is_mail else 2):
            engine.memory.record(
                streams,
                event_id=f"{day}/{number}",
                event_type="email_delivered" if is_mail else "product_viewed",
                at=NOW - day * DAY - chance.randrange(DAY),
                properties={
                    "campaign": f"{day}",
                    "category": chance.choice(["Home", "Toys"]),
                    "price": chance.randrange(9_999) / 100,
                },
            )
            if is_mail and day % 3:
                engine.memory.record(
                    streams,
                    event_id=f"{day}/open",
                    event_type="email_opened",
                    at=NOW - day * DAY + chance.randrange(DAY),
                    properties={"campaign": f"{day}"},
                )
    engine.memory.prune(streams, NOW)
    # when
    foretold, size = estimate(segment).typical_bytes, len(encode(streams))
    # then
    assert 0.85 * size <= foretold <= 1.15 * size


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (
            {"all": [{**SUM, "where": {"category": f"c{number}"}} for number in range(5)]},
            "the segment s would remember more than 4,000 events a person",
        ),
        (
            {"any": [{"event": "a", "where": {"x": number}, "at_least": 600} for number in range(4)]},
            "the segment s would typically need more than 16 KB a person",
        ),
        (
            {"event": "product_viewed", "distinct": "product_id", "within": "400d", "at_least": 100},
            "the segment s would take more than 500 µs an evaluation",
        ),
        (
            {"near": {"km": 5, "of": {f"store_{number}": [50, 8] for number in range(1_000)}}},
            "the segment s would take more than 500 µs an evaluation",
        ),
    ],
)
def test_what_would_hurt_is_refused_with_its_estimate(rule: dict[str, Any], says: str) -> None:
    # given
    segment = definition(rule)
    # when
    with pytest.raises(ValueError, match=says) as refused:
        check(segment)
    # then
    assert str(refused.value).endswith(f"its estimate: {estimate(segment)}")


@pytest.mark.parametrize(
    "rule",
    [
        {"event": "order_completed", "sum": "total", "within": "400d", "at_least": 1_000},
        {"event": "product_viewed", "distinct": "category", "within": "90d", "at_least": 5},
        {"event": "product_viewed", "within": "30d", "not_followed_by": {"event": "product_added", "within": "2d"}},
        {"clicked_share": 0.1, "within": "400d"},
        {"near": {"km": 5, "of": {f"store_{number}": [50, 8] for number in range(500)}}},
        {"event": "product_viewed", "at_least": 1_000},
    ],
    ids=lambda rule: str(rule)[:60],
)
def test_what_shops_ask_for_is_not_refused(rule: dict[str, Any]) -> None:
    check(definition(rule))


def test_segments_that_hurt_only_together_are_refused_together() -> None:
    # given
    apart = [
        definition({"event": "a", "where": {"x": number}, "sum": "y", "within": "180d", "at_least": 1}, f"s{number}")
        for number in range(20)
    ]
    alike = [definition(SUM, f"s{number}") for number in range(200)]
    # when
    check_all(alike)
    with pytest.raises(ValueError, match="the 20 segments together would typically need more than 64 KB") as refused:
        check_all(apart)
    # then
    assert "most of all s0" in str(refused.value)
    for one in apart:
        check(one)


def test_one_of_many_that_would_hurt_is_named() -> None:
    # given
    stores = {f"store_{number}": [50, 8] for number in range(1_000)}
    # when, then
    with pytest.raises(ValueError, match="the segment everywhere would take"):
        check_all([definition(COUNT), definition({"near": {"km": 5, "of": stores}}, "everywhere")])


@pytest.mark.parametrize(
    ("estimated", "says"),
    [
        (Cost(1, 0, 0, 0.5), "1 condition; remembers no events; about 1 µs an evaluation"),
        (
            Cost(2, 1, 17, 1.0),
            "2 conditions; remembers at most 1 event a person, typically 17 bytes; about 1 µs an evaluation",
        ),
        (
            Cost(3, 2_000, 2_048, 39.6),
            "3 conditions; remembers at most 2,000 events a person, typically 2.0 KB; about 40 µs an evaluation",
        ),
    ],
)
def test_an_estimate_is_a_line(estimated: Cost, says: str) -> None:
    assert str(estimated) == says


def test_limits_are_far_from_what_the_store_cannot_take() -> None:
    # given
    largest_item_of_dynamodb = 400 * 1_024
    # then
    assert cost.MAX_BYTES < cost.MAX_BYTES_OF_ALL < largest_item_of_dynamodb / 6
