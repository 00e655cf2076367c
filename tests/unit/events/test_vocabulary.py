from __future__ import annotations

import pytest

from mailtailor.events.untrusted import BadField
from mailtailor.events.vocabulary import commerce, mail


@pytest.mark.parametrize(
    ("properties", "product_id"),
    [
        ({"product_id": "A", "sku": "B"}, "A"),
        ({"productId": 7}, "7"),
        ({"product_id": " ", "sku": "B"}, "B"),
        ({"product_id": 22423}, "22423"),
    ],
)
def test_a_product_is_named_by_its_id_else_by_its_sku(properties: dict[str, object], product_id: str) -> None:
    assert commerce(properties)["product_id"] == product_id


def test_prices_written_as_text_are_numbers() -> None:
    assert commerce({"price": " 12.50 ", "quantity": "3", "total": -1}) == {"price": 12.5, "quantity": 3.0, "total": -1}


def test_what_is_null_is_left_out_and_what_is_unknown_stays() -> None:
    assert commerce({"price": None, "category": "", "colour": None}) == {"colour": None}


def test_the_input_is_not_changed() -> None:
    # given
    properties = {"products": [{"sku": "A"}]}

    # when
    commerce(properties)

    # then
    assert properties == {"products": [{"sku": "A"}]}


def test_our_name_wins_over_segment_s_where_both_are_given() -> None:
    assert mail({"campaign": "ours", "campaign_id": "theirs"}) == {"campaign": "ours", "campaign_id": "theirs"}


@pytest.mark.parametrize("campaign", [{"name": "spring"}, ["spring"], 1.5])
def test_a_campaign_that_is_no_text_is_refused(campaign: object) -> None:
    with pytest.raises(BadField, match=r"properties\.campaign must be text"):
        mail({"campaign": campaign})
