"""A name that nobody knows, and a comparison of what does not compare, are found where they stand."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mailtailor.events.vocabulary import commerce
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.vocabulary import KNOWN, Declared, Unknown, Vocabulary, check


def checked(rule: str, vocabulary: Vocabulary = KNOWN) -> None:
    data: Any = yaml.safe_load(rule)
    check(SegmentDefinition.model_validate({"name": "s", "description": "d", "rule": data}), vocabulary)


@pytest.mark.parametrize(
    "rule",
    [
        "{event: product_viewed, where: {category: Lighting, price: {at_least: 5}}}",
        "{event: [product_viewed, email_link_clicked], where: {category: {in: [a, b]}}}",
        "{event: order_completed, where: {products.category: {prefix: L, ignore_case: true}}}",
        "{event: order_completed, where: {products: {exists: true}}}",
        "{event: email_opened, where: {prefetch: true, campaign: {not: spring}}}",
        "{event: email_link_clicked, where: {url: {contains: sale}}, older_than: 2d}",
        "{event: order_completed, sum: total, minus: order_refunded, at_least: 100}",
        "{event: order_completed, average: products.price, below: 20}",
        "{event: product_viewed, distinct: product_id, at_least: 3}",
        "{event: product_added, not_followed_by: {event: order_completed}, older_than: 30m}",
        "{event: product_viewed, not_followed_by: {event: product_added, within: 48h, same: product_id}}",
        "{attribute: country, is: GB}",
        "{attribute: score_churn, is: {above: 0.7}}",
        "{attribute: web_anything, is: {in: [1, x, true]}}",
        "{anniversary: birthday, in_days: [0, 7], time_zone_attribute: time_zone}",
    ],
)
def test_what_is_known_and_compares_is_in_order(rule: str) -> None:
    checked(rule)


@pytest.mark.parametrize(
    ("rule", "location", "reason", "hint"),
    [
        ("{event: product_view}", ("rule", "event"), "no event 'product_view'", "Did you mean 'product_viewed'?"),
        ("{event: zzz}", ("rule", "event"), "no event 'zzz'", "events.yaml"),
        ("{event: [page_viewed, zzz]}", ("rule", "event"), "no event 'zzz'", ""),
        ("{event: product_viewed, where: {catgory: x}}", ("rule", "where", "catgory"),
         "product_viewed has no property 'catgory'", "Did you mean 'category'?"),
        ("{event: product_viewed, where: {zzz: x}}", ("rule", "where", "zzz"), "no property 'zzz'", "events.yaml"),
        ("{all: [{event: page_viewed}, {not: {event: zzz}}]}", ("rule", "all", 1, "not", "event"), "no event", ""),
        ("{any: [{event: page_viewed, where: {url: 5}}]}", ("rule", "any", 0, "where", "url"),
         "5 does not compare with a text", ""),
        ("{event: product_viewed, where: {price: {prefix: x}}}", ("rule", "where", "price"), "prefix is for text", ""),
        ("{event: product_viewed, where: {price: '5'}}", ("rule", "where", "price"), "'5' does not compare", ""),
        ("{event: product_viewed, where: {price: true}}", ("rule", "where", "price"), "True does not compare", ""),
        ("{event: product_viewed, where: {price: {in: [1, x]}}}", ("rule", "where", "price"), "'x' does not", ""),
        ("{event: product_viewed, where: {category: {at_least: 3}}}", ("rule", "where", "category"), "3.0 does", ""),
        ("{event: email_opened, where: {prefetch: {at_least: 1}}}", ("rule", "where", "prefetch"), "has no order", ""),
        ("{event: order_completed, where: {products: x}}", ("rule", "where", "products"), "with a list", ""),
        ("{event: order_completed, sum: currency, at_least: 1}", ("rule", "sum"), "which has no sum", ""),
        ("{event: order_completed, average: currency, at_least: 1}", ("rule", "average"), "no average", ""),
        ("{event: order_completed, distinct: products, at_least: 1}", ("rule", "distinct"), "is a list", "product_id"),
        ("{event: order_completed, sum: totl, at_least: 1}", ("rule", "sum"), "no property 'totl'", "'total'"),
        ("{event: order_completed, sum: total, minus: refund, at_least: 1}", ("rule", "minus"), "no event", ""),
        ("{event: product_viewed, last: {zzz: 1}}", ("rule", "last", "zzz"), "no property 'zzz'", ""),
        ("{event: product_viewed, followed_by: {event: zzz}}", ("rule", "followed_by", "event"), "no event 'zzz'", ""),
        ("{event: product_viewed, not_followed_by: {event: page_viewed, within: 1h, same: product_id}}",
         ("rule", "not_followed_by", "same"), "page_viewed has no property 'product_id'", ""),
        ("{attribute: contry, is: GB}", ("rule", "attribute"), "no attribute 'contry'", "mean 'country'? Declare"),
        ("{attribute: zzz, is: GB}", ("rule", "attribute"), "no attribute 'zzz'", "under attributes"),
        ("{attribute: web_, is: GB}", ("rule", "attribute"), "no attribute 'web_'", ""),
        ("{attribute: age, is: x}", ("rule", "is"), "'x' does not compare with a number", ""),
        ("{date: age, in_days: 3}", ("rule", "date"), "age is a number, and no time", ""),
        ("{anniversary: birthdy, in_days: 3}", ("rule", "anniversary"), "no attribute", "'birthday'"),
    ],
)  # fmt: skip
def test_what_nobody_knows_or_does_not_compare_is_refused(
    rule: str, location: tuple[str | int, ...], reason: str, hint: str
) -> None:
    # when
    with pytest.raises(Unknown) as caught:
        checked(rule)
    # then
    assert reason in caught.value.reason
    assert hint in caught.value.hint
    assert caught.value.location == location


def test_what_is_declared_is_known() -> None:
    # given
    vocabulary = KNOWN.with_declared(
        Declared.model_validate(
            {
                "events": {"quiz_finished": {"points": "number"}, "product_viewed": {"colour": "text"}},
                "attributes": {"shoe_size": "number"},
            }
        )
    )
    # when, then
    checked("{event: quiz_finished, where: {points: {above: 3}}}", vocabulary)
    checked("{event: product_viewed, where: {colour: red, category: x}}", vocabulary)
    checked("{attribute: shoe_size, is: 42}", vocabulary)
    with pytest.raises(Unknown, match="'x' does not compare with a number"):
        checked("{attribute: shoe_size, is: x}", vocabulary)


@pytest.mark.parametrize(
    "declared",
    [
        {"events": {"Quiz": {}}},
        {"events": {"quiz": {"points": "integer"}}},
        {"event": {}},
        {"attributes": {"a b": "text"}},
    ],
)
def test_a_declaration_that_is_none_is_refused(declared: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Declared.model_validate(declared)


def test_what_ingestion_brings_to_numbers_and_texts_is_known_as_such() -> None:
    # given
    properties = {
        "price": "2.50",
        "quantity": 1,
        "product_id": 5,
        "category": "x",
        "total": 3,
        "value": 1,
        "revenue": 2,
    }
    # when
    kept = commerce(properties)
    # then
    for name, value in kept.items():
        kind = KNOWN.property_type(["product_viewed"], name)
        assert kind == ("text" if isinstance(value, str) else "number"), name
