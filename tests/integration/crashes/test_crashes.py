"""A function may die, be refused, be left without an answer or be doubled at any request: everything comes right.

`make nightly` plays them all in some nights; here each kind of request that changes anything has one.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.integration.crashes.runs import by_kind, failure, requests, share
from tests.integration.crashes.story import PLANS
from tests.integration.crashes.wire import Kind, Outcome, Point

PARTS = 8
OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


@cache
def undisturbed() -> dict[str, list[Point]]:
    return {plan: requests(plan) for plan in PLANS}


def test_an_hour_is_the_same_each_time_it_is_played() -> None:
    assert requests("deployed") == undisturbed()["deployed"]


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_goes_wrong_with_one_request_everything_comes_right(part: int) -> None:
    # Every second kind of request; each night plays a sixth of everything.
    faults = share(undisturbed())[::2][part::PARTS]
    assert faults
    assert not list(filter(None, map(failure, faults)))


def test_every_outcome_is_among_those_that_are_played_with_each_change() -> None:
    assert {fault.outcome for fault in share(undisturbed())[::2]} == set(Outcome)


def test_the_documentation_says_of_every_request_what_repairs_it() -> None:
    # given
    section = OPERATIONS.read_text().partition("## What happens when a function dies")[2].partition("\n## ")[0]
    documented = set()
    for function, listed in re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE):
        documented |= {Kind(function, request) for request in re.findall(r"`([^`]+)`", listed)}
    # then
    assert documented == {kind for points in undisturbed().values() for kind in by_kind(points)}
