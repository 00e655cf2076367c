"""What somebody's flips tell: reasons in words, who was in it when, and what is still on its way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mailtailor.events.flips import Occasion, PastFlip
from mailtailor.instant import DAY, FOREVER
from mailtailor.segments.engine import NOT_A_MEMBER, Membership
from mailtailor.segments.trail import Trail, because, told, was_member

NOW = 1_700_049_600_000
"""2023-11-15T12:00:00Z."""
ANNA, BROWSER = "A" * 22, "B" * 22
IN = PastFlip(ANNA, "buyers", True, NOW - 3 * DAY, "event:o1", 5, NOW - DAY, NOW, "f1")
OUT = PastFlip(ANNA, "buyers", False, NOW - DAY, "time", 6, None, NOW, "f1")
MEMBER = Membership(member=True, valid_until=FOREVER, since=NOW - 3 * DAY)


def trail(*flips: PastFlip, since: int = 0, whole: bool = True) -> Trail:
    return Trail(flips, since, whole)


def said(known: Trail, stored: Membership = NOT_A_MEMBER, **more: Any) -> dict[str, Any]:
    return told(known, profile_id=ANNA, stored=stored, **{"occasions": {}, "most": 10, "then": None, **more})


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("time", "by time"),
        ("consent", "because what they allowed changed"),
        ("definition", "because the definition changed"),
        ("merge", "because this profile became part of another"),
        ("rebuild", "because they were evaluated anew from the archive"),
        ("event:a:b", "because of event a:b"),
    ],
)
def test_every_reason_has_words(reason: str, words: str) -> None:
    assert because(replace(IN, reason=reason), None) == words


def test_an_event_that_is_known_is_told_with_its_type_and_time() -> None:
    flip = said(trail(IN), MEMBER, occasions={"o1": Occasion("order_completed", NOW - 3 * DAY)})["flips"][0]
    assert flip["because"] == "because of event o1 (order_completed, 2023-11-12 12:00 UTC)"
    assert flip["event"] == {"id": "o1", "type": "order_completed", "occurred_at": "2023-11-12T12:00:00.000Z"}


@pytest.mark.parametrize(
    ("ago", "was"), [(4 * DAY, False), (3 * DAY, True), (2 * DAY, True), (DAY + 1, True), (DAY, False), (0, False)]
)
def test_who_was_in_it_follows_from_the_flips_to_the_millisecond(ago: int, was: bool) -> None:
    assert was_member(trail(OUT, IN), ANNA, NOT_A_MEMBER, NOW - ago) is was


def test_what_is_stored_tells_of_a_member_whose_flip_is_not_known() -> None:
    assert was_member(trail(), ANNA, MEMBER, NOW - 2 * DAY) is True
    assert was_member(trail(), ANNA, MEMBER, NOW - 4 * DAY) is False
    assert was_member(trail(), ANNA, MEMBER._replace(since=0), NOW) is None


def test_before_the_trail_begins_nobody_knows() -> None:
    assert was_member(trail(OUT, since=NOW - 2 * DAY), ANNA, NOT_A_MEMBER, NOW - 3 * DAY) is None
    # But who left had been in it since the trail began.
    assert was_member(trail(OUT, since=NOW - 2 * DAY), ANNA, NOT_A_MEMBER, NOW - 2 * DAY) is True


def test_flips_of_a_profile_that_became_part_of_hers_are_told_and_are_not_hers() -> None:
    # given
    known = trail(replace(OUT, profile_id=BROWSER, reason="merge"), replace(IN, profile_id=BROWSER))
    # then
    assert [flip["profile_id"] for flip in said(known)["flips"]] == [BROWSER, BROWSER]
    assert was_member(known, ANNA, NOT_A_MEMBER, NOW - 2 * DAY) is False


@pytest.mark.parametrize(
    ("known", "stored", "notes"),
    [
        ((IN,), MEMBER, []),
        ((OUT, IN), NOT_A_MEMBER, []),
        ((), NOT_A_MEMBER, []),
        ((), MEMBER, ["They entered on 2023-11-12 12:00 UTC; why is not in the archive yet, or was told before flips"]),
        ((OUT, IN), MEMBER, ["They entered on 2023-11-12 12:00 UTC; why is not"]),
        ((IN,), NOT_A_MEMBER, ["They left; when and why is not in the archive yet."]),
    ],
)
def test_what_is_on_its_way_to_the_archive_is_said(
    known: tuple[PastFlip, ...], stored: Membership, notes: list[str]
) -> None:
    found = said(trail(*known), stored)["notes"]
    assert len(found) == len(notes)
    assert all(one.startswith(note) for one, note in zip(found, notes, strict=True))


def test_what_was_not_looked_at_is_said() -> None:
    assert said(trail(OUT, IN), most=1)["notes"] == ["There are earlier flips: ask for more of them."]
    assert said(trail(OUT, since=NOW - 2 * DAY, whole=False))["notes"] == [
        "Flips published before 2023-11-13 12:00 UTC were not looked at."
    ]


def test_only_an_instant_in_the_past_is_judged() -> None:
    assert "was_member" not in said(trail(OUT, IN))
    assert said(trail(OUT, IN), then=NOW - 2 * DAY)["was_member"] is True
