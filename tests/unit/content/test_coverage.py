"""Shares of recipients by variant, with reasons and with how far they may be off."""

from __future__ import annotations

import json
from math import isclose
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.content.block import FALLBACK, Block
from mailtailor.content.coverage import Coverage, generic, margin, read_coverage
from mailtailor.content.decision import Decision, Skipped
from mailtailor.content.select import Served

SKIPPED = st.lists(
    st.builds(Skipped, st.sampled_from(["a", "b"]), st.sampled_from(["audience", "products", "UndefinedError"])),
    max_size=2,
    unique_by=lambda skipped: skipped.variant,
).map(tuple)
SERVED = st.none() | st.builds(
    lambda variant, skipped: served(variant, *skipped), st.sampled_from(["a", "b", FALLBACK]), SKIPPED
)


def served(variant: str, *skipped: Skipped) -> Served:
    return Served(Decision(variant, "", 0, skipped=skipped), "")


def of(*each: Served | None) -> Coverage:
    found = Coverage()
    for one in each:
        found.add(one)
    return found


def test_everybody_is_counted_by_what_they_see_and_why_not_something_else() -> None:
    # when
    found = of(
        served("products"),
        served("greeting", Skipped("products", "audience")),
        served(FALLBACK, Skipped("products", "products"), Skipped("greeting", "UndefinedError")),
        None,
    )
    # then
    assert found.looked_at == 4
    assert found.shown == {"products": 1, "greeting": 1, FALLBACK: 2}
    assert found.passed_over == {
        ("products", "audience"): 1,
        ("products", "products"): 1,
        ("greeting", "UndefinedError"): 1,
    }
    assert found.fallbacks == {"no_consent": 1, "no_variant": 1}


@given(st.lists(SERVED), st.lists(SERVED))
def test_parts_together_are_the_whole_also_after_a_journey_as_json(
    some: list[Served | None], others: list[Served | None]
) -> None:
    # given
    first, second = (read_coverage(json.loads(json.dumps(of(*each).payload()))) for each in (some, others))
    # when
    first.unite(second)
    # then
    assert first == of(*some, *others)
    assert first.shown.total() == first.looked_at == len(some) + len(others)


@pytest.mark.parametrize(
    ("number", "total", "expected"),
    # Newcombe, Two-sided confidence intervals for the single proportion (1998), table I: 81 of 263, 15 of 148, 0 of 20.
    [(81, 263, 0.0582), (15, 148, 0.0591), (0, 20, 0.1611)],
)
def test_how_far_a_share_may_be_off_is_as_in_the_literature(number: int, total: int, expected: float) -> None:
    assert isclose(margin(number, total), expected, abs_tol=0.001)


@given(st.integers(1, 5_000), st.data())
def test_a_larger_sample_is_never_less_sure(total: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, total))

    assert 0 < margin(2 * number, 2 * total) < margin(number, total) <= 1


def test_nobody_says_nothing() -> None:
    assert margin(0, 0) == 1


def test_generic_is_what_needs_nothing_of_the_recipient() -> None:
    # given
    variants: dict[str, dict[str, Any]] = {
        "members": {"audience": ["a"]},
        "summer": {"when": {"last_viewed.category": "Garden"}},
        "own": {"needs": {"products": 1}},
        "near": {"needs": {"stores": 1}},
        "offer": {"needs": {"offer": True}},
        "best": {"needs": {"bestsellers": 3}},
        "plain": {},
    }
    block = Block.model_validate(
        {
            "name": "b",
            "description": "d",
            "variants": [{"name": name, "template": "x", **rest} for name, rest in variants.items()],
            "fallback": "x",
        }
    )
    # then
    assert generic(block) == ("best", "plain", FALLBACK)
