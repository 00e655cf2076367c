"""Rules in plain English: what each condition says, and what its negation says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.english import explain
from mailtailor.segments.vocabulary import KNOWN

CLAUSES = yaml.safe_load((Path(__file__).parent / "english.yaml").read_text(encoding="utf-8"))


def explained(rule: dict[str, Any]) -> str:
    return explain(SegmentDefinition.model_validate({"name": "s", "description": "d", "rule": rule}).rule)


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause["says"])
def test_each_condition_is_a_clause_and_so_is_its_negation(clause: dict[str, Any]) -> None:
    # given
    rule, says = clause["rule"], clause["says"]
    # when, then
    assert explained(rule) == f"People are members while {says}."
    negated = clause.get("negated", f"it is not true that {says}")
    assert explained({"not": rule}) == f"People are members while {negated}."
    assert explained({"not": {"not": rule}}) == explained(rule)


def test_of_many_places_some_are_named() -> None:
    # given
    stores = {f"store_{number}": [50, number] for number in range(20)}
    # when
    text = explained({"near": {"km": 25, "of": stores}})
    # then
    assert "within 25 km of one of 20 places: store_0, store_1," in text
    assert text.endswith("store_10 or 9 more.")


@pytest.mark.parametrize(
    ("test", "says"),
    [
        ("Home & Garden", "is “Home & Garden”"),
        ("42", "is “42”"),
        (42, "is 42"),
        (True, "is true"),
        ({"in": [1, 2.5]}, "is 1 or 2.5"),
        ({"not": "Toys"}, "is not Toys, or is not known"),
        ({"not_in": ["Toys", "Bags"], "exists": True}, "is known and is not Toys or Bags"),
        ({"contains": "lamp", "ignore_case": True}, "contains “lamp”, in capitals or not"),
        ({"prefix": "a", "suffix": "z"}, "begins with “a” and ends with “z”"),
        ({"at_least": 10, "below": 20}, "is at least 10 and less than 20"),
        ({"at_most": "2026-01-01"}, "is at most 2026-01-01"),
        ({"exists": False}, "is not known"),
    ],
)
def test_filters_say_what_a_property_must_be(test: object, says: str) -> None:
    # when
    text = explained({"event": "order_completed", "where": {"a": test}, "within": "7d"})
    # then
    assert text == f"People are members while they have bought (a {says}) in the last 7 days."


def test_several_conditions_are_bullets_within_bullets() -> None:
    # given
    both = {"all": [{"segment": "vip"}, {"mail_state": "bounced"}]}
    rule = {
        "all": [
            {"event": "product_viewed", "within": "48h"},
            {"not": {"any": [{"event": "order_completed", "within": "7d"}, both]}},
            {"not": {"all": [{"segment": "a"}, {"segment": "b"}]}},
            {"any": [{"segment": "only"}]},
        ]
    }
    # when, then
    assert explained(rule).splitlines() == [
        "People are members while all of these are true:",
        "- they have viewed a product in the last 2 days",
        "- none of these is true:",
        "  - they have bought in the last 7 days",
        "  - all of these are true:",
        "    - they are in the segment vip",
        "    - mails to them bounce",
        "- not all of these are true:",
        "  - they are in the segment a",
        "  - they are in the segment b",
        "- they are in the segment only",
    ]


@pytest.mark.parametrize("event", sorted(KNOWN.events))
def test_every_event_that_is_known_has_words_of_its_own(event: str) -> None:
    # when
    text = explained({"event": event, "within": "7d"})
    # then
    assert f"had an event {event}" not in text
    assert text.endswith(" in the last 7 days.")
