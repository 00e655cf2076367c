"""What can be a version of the definitions, and what it looks like when stored."""

from __future__ import annotations

import random
import zlib

import pytest

from mailtailor.segments import versions
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.versions import BadVersion, Version, checked, pack, same_members, unpack
from tests.unit.profiles.world import SEGMENTS, segment
from tests.unit.segments.random_rules import RandomRules

BUYERS = segment("buyers", {"event": "order_completed", "within": "30d"})


@pytest.mark.parametrize("seed", range(50))
def test_what_is_unpacked_is_what_was_packed(seed: int) -> None:
    rules = RandomRules(random.Random(seed), 3_600_000)
    some = (segment("one", rules.rule([])), segment("two", rules.rule(["one"])))
    assert unpack(pack(some)) == some
    assert same_members(unpack(pack(some)), some)


def test_segments_are_in_the_order_of_their_names() -> None:
    assert [one.name for one in checked(SEGMENTS)] == sorted(one.name for one in SEGMENTS)


@pytest.mark.parametrize(
    ("segments", "why"),
    [
        ([], "there is no segment"),
        ([BUYERS, BUYERS], "buyers is there twice"),
        ([segment("one", {"segment": "gone"})], "refers to gone, which does not exist"),
        ([segment("one", {"segment": "two"}), segment("two", {"segment": "one"})], "in a circle"),
        ([segment(f"s{n}", {"random": f"r{n}", "percent": [0, 5]}) for n in range(1_001)], "1,000 is the most"),
    ],
)
def test_what_cannot_be_a_version_is_refused(segments: list[SegmentDefinition], why: str) -> None:
    with pytest.raises(BadVersion, match=why):
        checked(segments)


def test_segments_that_cost_too_much_together_are_refused() -> None:
    dear = [
        segment(
            f"s{n}", {"event": "order_completed", "where": {"x": n}, "sum": "total", "at_least": 1, "within": "400d"}
        )
        for n in range(100)
    ]
    with pytest.raises(BadVersion, match="together would"):
        checked(dear)


def test_a_version_fits_into_an_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "MAX_STORED_BYTES", 50)
    with pytest.raises(BadVersion, match="50 is the most"):
        pack(tuple(SEGMENTS))


@pytest.mark.parametrize("stored", [b"", b"x", zlib.compress(b"{}"), zlib.compress(b'[{"name": "x"}]')])
def test_what_was_not_packed_is_refused(stored: bytes) -> None:
    with pytest.raises(BadVersion):
        unpack(stored)


def test_what_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "MAX_BYTES", 1_000)
    with pytest.raises(BadVersion, match="not whole"):
        unpack(zlib.compress(b" " * 1_000_000))


def test_another_description_has_the_same_members_and_the_fingerprint_is_marked() -> None:
    renamed = BUYERS.model_copy(update={"description": "Somebody who bought."})
    assert same_members([BUYERS], [renamed])
    assert not same_members([BUYERS], [segment("buyers", {"event": "order_completed", "within": "31d"})])
    prints = {Version(n, (one,), mark=mark).fingerprint for n, one, mark in [(1, BUYERS, "1"), (2, renamed, "1")]}
    assert len(prints) == 1
    assert Version(3, (BUYERS,), mark="3").fingerprint not in prints
