"""What another set of definitions changes."""

from __future__ import annotations

from mailtailor.segments.difference import Change, difference
from tests.unit.profiles.world import segment

BUYERS = segment("buyers", {"event": "order_completed", "within": "30d"})
REGULARS = segment("regulars", {"all": [{"segment": "buyers"}, {"event": "email_opened", "within": "7d"}]})
IN_30_DAYS = "People are members while they have bought in the last 30 days."


def test_what_is_added_removed_and_changed_is_told_in_plain_english() -> None:
    # given
    viewers = segment("viewers", {"event": "product_viewed", "within": "7d"})
    carts = segment("carts", {"event": "product_added", "within": "7d"})
    twice = segment("buyers", {"event": "order_completed", "within": "30d", "at_least": 2})
    # when
    found = difference([BUYERS, viewers], [twice, carts])
    # then
    assert found == [
        Change(
            "buyers",
            "changed",
            IN_30_DAYS,
            "People are members while they have bought at least twice in the last 30 days.",
        ),
        Change(
            "carts", "added", "", "People are members while they have added a product to the cart in the last 7 days."
        ),
        Change("viewers", "removed", "People are members while they have viewed a product in the last 7 days."),
    ]


def test_another_description_changes_no_members() -> None:
    [change] = difference([BUYERS], [BUYERS.model_copy(update={"description": "Customers."})])
    assert change == Change("buyers", "described", "buyers", "Customers.")
    assert not change.changes_members


def test_who_refers_to_a_segment_that_changes_follows() -> None:
    # given
    again = segment("again", {"segment": "regulars"})
    twice = segment("buyers", {"event": "order_completed", "within": "30d", "at_least": 2})
    # when
    found = difference([BUYERS, REGULARS, again], [twice, REGULARS, again])
    # then
    assert [(one.segment, one.what) for one in found] == [
        ("again", "follows"),
        ("buyers", "changed"),
        ("regulars", "follows"),
    ]


def test_the_same_is_no_change() -> None:
    assert difference([BUYERS, REGULARS], [REGULARS, BUYERS]) == []
