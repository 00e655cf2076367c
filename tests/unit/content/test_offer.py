from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mailtailor.content.files import load_offers
from mailtailor.content.offer import Offer, OfferList, choose
from mailtailor.instant import from_datetime

SHIPPED = load_offers(Path(__file__).parents[3] / "layers" / "definitions" / "offers.yaml").offers
SUMMER = from_datetime(datetime(2026, 7, 1, tzinfo=UTC))


def offer(name: str, **fields: Any) -> Offer:
    base = {"name": name, "headline": "Headline", "text": "Text", "url": "https://shop.example/offer"}
    return Offer.model_validate(base | fields)


def chosen(offers: tuple[Offer, ...], now: int = SUMMER, **attributes: object) -> str | None:
    found = choose(offers, attributes, now)
    return found.name if found else None


@pytest.mark.parametrize(
    ("country", "region", "name"),
    [
        ("United Kingdom", "London", "london_late_opening"),
        (" united kingdom ", "LONDON", "london_late_opening"),
        ("GB", "South East", "south_east_next_day"),
        ("United Kingdom", "Scotland", "scotland_free_delivery"),
        ("United Kingdom", "Wales", "uk_wrapping"),
        ("United Kingdom", None, "uk_wrapping"),
        ("EIRE", None, "ireland_no_duties"),
        ("Germany", None, "germany_delivery"),
        ("France", None, "france_delivery"),
        ("Canada", "London", "everywhere"),
        (None, None, "everywhere"),
        (49, ["London"], "everywhere"),
    ],
)
def test_the_shipped_offer_for_a_place_is_the_one_meant_most_closely(
    country: object, region: object, name: str
) -> None:
    assert chosen(SHIPPED, country=country, region=region) == name


def test_an_offer_stands_from_its_start_up_to_but_not_at_its_end() -> None:
    # given
    advent = offer("advent", starts=datetime(2026, 11, 16, tzinfo=UTC), ends=datetime(2026, 11, 29, tzinfo=UTC))
    start, end = (from_datetime(datetime(2026, 11, day, tzinfo=UTC)) for day in (16, 29))

    # then
    assert [chosen((advent,), now) for now in (start - 1, start, end - 1, end)] == [None, "advent", "advent", None]


def test_of_equally_close_offers_the_first_that_stands_is_shown() -> None:
    offers = (offer("past", ends=datetime(2026, 1, 1, tzinfo=UTC)), offer("first"), offer("second"))

    assert chosen(offers) == "first"


def test_no_offers_are_no_offer() -> None:
    assert choose((), {}, SUMMER) is None


@pytest.mark.parametrize(
    "fault",
    [
        {"url": "javascript:alert(1)"},
        {"url": "https://shop.example/?a=\0"},
        {"url": "https://shop@evil.example/"},
        {"starts": "2026-11-16T00:00:00"},
        {"starts": "2026-11-16T00:00:00Z", "ends": "2026-11-16T00:00:00Z"},
        {"code": "a code"},
        {"headline": " "},
        {"region": ["London"]},
    ],
)
def test_an_offer_that_makes_no_sense_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        offer("wrong", **fault)


def test_two_offers_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two offers named 'a'"):
        OfferList(offers=(offer("a"), offer("a")))
