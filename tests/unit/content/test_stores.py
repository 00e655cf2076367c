"""Which stores are near somebody."""

from __future__ import annotations

import pytest

from mailtailor.content.stores import Store, nearest

GARDEN = Store("1", "Covent Garden", city="London", postal_code="WC2H 9PR", region="London", country="GB")
BATH = Store("2", "Bath", city="Bath", postal_code="BA1 1AA", region="South West", country="GB")
PARIS = Store("3", "Marais", city="Paris", postal_code="75004", region="Île-de-France", country="FR")
PLACED = (
    GARDEN._replace(latitude=51.514, longitude=-0.126),
    BATH._replace(latitude=51.381, longitude=-2.359),
    PARIS._replace(latitude=48.857, longitude=2.36),
)


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        ({"postal_code": "WC2N 5DU"}, [("1", "postal_code")]),
        ({"postal_code": "ba1 2nb", "country": "gb"}, [("2", "postal_code")]),
        ({"city": "bath "}, [("2", "city")]),
        ({"region": "London", "country": "GB"}, [("1", "region")]),
        ({"region": "London", "country": "CA"}, []),
        ({"postal_code": "NW1 4AB"}, []),
        ({"country": "GB"}, []),
        ({"city": 7, "postal_code": None}, []),
        ({}, []),
    ],
)
def test_without_coordinates_the_words_of_an_address_decide(
    attributes: dict[str, object], found: list[tuple[str, str]]
) -> None:
    assert [(near.store.id, near.by) for near in nearest((GARDEN, BATH, PARIS), attributes)] == found


def test_coordinates_decide_if_there_are_any_and_what_is_far_is_left_out() -> None:
    # given somebody in Reading, whose profile also names a town
    reading = {"latitude": 51.454, "longitude": -0.978, "city": "Paris"}

    # when
    found = nearest(PLACED, reading)

    # then
    assert [near.store.id for near in found] == ["1", "2"]
    assert [round(near.km or 0) for near in found] == [59, 96]


def test_a_store_whose_place_nobody_knows_is_not_near_by_coordinates() -> None:
    assert nearest((GARDEN,), {"latitude": 51.5, "longitude": -0.1}) == ()


def test_no_more_are_returned_than_asked_for() -> None:
    many = [GARDEN._replace(id=str(number)) for number in range(9)]

    assert [near.store.id for near in nearest(many, {"city": "London"}, 2)] == ["0", "1"]
