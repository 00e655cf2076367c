from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from mailtailor.content.block import FALLBACK, Block, Nested
from mailtailor.content.catalog import Catalog, Product
from mailtailor.content.decision import Decision, Skipped, from_json, to_json
from mailtailor.content.files import load_block, load_offers
from mailtailor.content.inputs import TextInput
from mailtailor.content.render import Format, Renderer
from mailtailor.content.select import RecipientView, Request, Served, Shelf, decision_name, serve, unfilled
from mailtailor.instant import DAY, SECOND, to_datetime
from mailtailor.segments.engine import Engine
from mailtailor.segments.files import load_segments
from mailtailor.segments.person import Person
from mailtailor.segments.verdict import ALWAYS, NEVER
from tests.unit.content.blocks import block

DEFINITIONS = Path(__file__).parents[3] / "layers" / "definitions"
GOLDEN = Path(__file__).parent / "golden"
HERO = load_block(DEFINITIONS / "blocks" / "hero" / "block.yaml")
ENGINE = Engine(load_segments(DEFINITIONS / "segments"))
OFFERS = load_offers(DEFINITIONS / "offers.yaml").offers
CATALOG = Catalog(
    [
        Product(
            "A1", "White Hanging Heart T-Light Holder", Decimal("2.95"), "GBP", "https://shop.example/A1", "Home", 1
        ),
        Product("B2", "Regency Cakestand 3 Tier", Decimal("12.75"), "GBP", "https://shop.example/B2", "Kitchen", 2),
        Product("C3", "Jumbo Bag <Red> Retrospot", Decimal("2.08"), "GBP", "https://shop.example/C3", "Bags", 3),
        Product("D4", "Heart of Wicker", Decimal("1.65"), "GBP", "https://shop.example/D4", "Home", 4),
    ],
    shop_url="https://shop.example",
)
SHELF = Shelf(CATALOG, OFFERS)


def member(*segments: str) -> Person:
    return Person("anna", {}, {}, {}, {name: ALWAYS if name in segments else NEVER for name in ENGINE.segments})


ANNA = RecipientView(
    person=member(),
    attributes={"first_name": "Anna {{x}}", "country": "United Kingdom", "region": "London"},
    viewed=(),
    purchased=(),
    now=1_795_000_000_000,
)


def track(url: str, **_: str) -> str:
    return f"https://mail.example/c?{url}"


def hero(view: RecipientView, form: Format = Format.HTML, shelf: Shelf = SHELF, block: Block = HERO) -> Served:
    renderer = Renderer(block, ENGINE.audience)
    return serve(renderer, Request(form), view, shelf, track)


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize(
    ("variant", "view"),
    [
        ("products", replace(ANNA, person=member("browse_abandoners"), viewed=("C3", "A1"), purchased=("B2",))),
        ("offer", replace(ANNA, person=member("recent_purchasers"), purchased=("B2",))),
        ("greeting", ANNA),
    ],
)
def test_each_variant_looks_as_it_was_approved(variant: str, view: RecipientView, form: Format) -> None:
    # when
    served = hero(view, form)

    # then
    assert served.variant == variant
    assert served.body == (GOLDEN / f"hero-{variant}.{form}").read_text(encoding="utf-8")


@pytest.mark.parametrize("segment", ["recent_purchasers", "high_engagement"])
def test_any_of_the_segments_of_an_audience_is_enough(segment: str) -> None:
    assert hero(replace(ANNA, person=member(segment))).variant == "offer"


def test_an_abandoner_whose_products_are_gone_gets_the_next_variant() -> None:
    # given
    abandoner = replace(ANNA, person=member("browse_abandoners", "high_engagement"), viewed=("gone",))

    # when
    served = hero(abandoner)

    # then
    assert served.variant == "offer"
    assert served.skipped == (Skipped("products", "products"),)


def test_without_an_offer_for_the_place_the_greeting_answers() -> None:
    served = hero(replace(ANNA, person=member("high_engagement")), shelf=Shelf(CATALOG, ()))

    assert (served.variant, served.skipped[-1]) == ("greeting", Skipped("offer", "offer"))


def test_without_a_name_and_without_a_catalog_there_is_still_a_greeting() -> None:
    served = hero(replace(ANNA, attributes={}), shelf=Shelf(Catalog(), OFFERS))

    assert served.variant == "greeting"
    assert "Hello there" in served.body


def test_an_offer_in_a_shop_that_the_catalog_does_not_name_is_not_shown() -> None:
    served = hero(replace(ANNA, person=member("high_engagement")), shelf=Shelf(Catalog(), OFFERS))

    assert (served.variant, served.skipped[-1]) == ("greeting", Skipped("offer", "offer"))


def test_nobody_is_shown_what_they_just_bought() -> None:
    served = hero(replace(ANNA, purchased=("A1",)))

    assert "Hanging Heart" not in served.body
    assert "Cakestand" in served.body


def broken(template: str) -> Block:
    faulty = HERO.variants[2].model_copy(update={"name": "faulty", "template": template, "text": None})
    return HERO.model_copy(update={"variants": (faulty, HERO.variants[2])})


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ nothing.here }}", "UndefinedError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ 'a' * 9 }}", "SecurityError"),
        ("{% for", "TemplateSyntaxError"),
    ],
)
def test_a_variant_that_fails_is_passed_over_and_named(template: str, reason: str) -> None:
    served = hero(ANNA, block=broken(template))

    assert served.variant == "greeting"
    assert served.skipped[0].reason == reason
    assert served.skipped[0].is_fault


def test_plain_text_is_made_of_the_html_of_a_variant_that_brings_none() -> None:
    served = hero(ANNA, Format.TEXT, block=broken("<p>Hello {{ recipient.first_name }}</p><a href='/x'>Look</a>"))

    assert (served.variant, served.body) == ("faulty", "Hello Anna \uff5b\uff5bx\uff5d\uff5d\n\nLook\n/x")


def test_when_all_variants_fail_the_fallback_answers() -> None:
    faulty = HERO.model_copy(update={"variants": broken("{{ x.y }}").variants[:1]})

    assert hero(ANNA, block=faulty) == Served(
        Decision(FALLBACK, "", ANNA.now, skipped=(Skipped("faulty", "UndefinedError"),)), HERO.fallback
    )


def settle(served: Served, view: RecipientView, shelf: Shelf = SHELF, block: Block = HERO) -> Served:
    """Return what a later fetch for the same message shows."""
    renderer = Renderer(block, ENGINE.audience)
    settled = from_json(to_json(served.decision))
    at = replace(view, now=settled.at)
    return serve(renderer, Request(Format.HTML), at, shelf, track, settled=settled)


@pytest.mark.parametrize(
    "first",
    [
        replace(ANNA, person=member("browse_abandoners"), viewed=("C3", "A1"), purchased=("B2",)),
        replace(ANNA, person=member("recent_purchasers"), purchased=("B2",)),
        ANNA,
    ],
)
def test_who_was_shown_something_is_shown_it_again_whatever_they_did_meanwhile(first: RecipientView) -> None:
    # given
    served = hero(first)

    # when they bought all that they were shown, and are in other segments
    later = replace(
        first, person=member("recent_purchasers"), viewed=("D4",), purchased=("C3", "A1", "B2"), now=first.now + DAY
    )

    # then
    assert settle(served, later) == served
    assert hero(later) != served


def test_an_offer_that_was_shown_stays_though_it_has_ended() -> None:
    # given an offer that ends a second after it was shown
    offer = OFFERS[0].model_copy(update={"ends": to_datetime(ANNA.now + SECOND)})
    short = Shelf(CATALOG, (offer,))
    view = replace(ANNA, person=member("high_engagement"))
    served = hero(view, shelf=short)

    # when
    later = replace(view, now=view.now + DAY)

    # then
    assert settle(served, later, short) == served
    assert hero(later, shelf=short).variant == "greeting"


def test_when_all_that_was_shown_is_gone_the_next_variant_answers() -> None:
    # given
    served = hero(replace(ANNA, person=member("browse_abandoners"), viewed=("C3",)))
    assert served.variant == "products"

    # when
    again = settle(served, replace(ANNA, person=member("high_engagement")), Shelf(Catalog(), OFFERS))

    # then: what was decided before is not undone above it
    assert (again.variant, again.skipped[0]) == ("greeting", Skipped("products", "products"))


def test_who_was_shown_the_fallback_is_shown_it_again() -> None:
    late = unfilled(Renderer(HERO, ENGINE.audience), Format.HTML, ANNA.now, (Skipped("", "late"),))

    assert settle(late, ANNA) == late


def test_when_no_time_is_left_the_fallback_answers_and_says_so() -> None:
    # given: enough for one look at the clock
    looks = iter((False, True, True, True))
    block = broken("{{ nothing.here }}")

    # when
    renderer = Renderer(block, ENGINE.audience)
    served = serve(renderer, Request(Format.HTML), ANNA, SHELF, track, out_of_time=lambda: next(looks))

    # then
    assert served.variant == FALLBACK
    assert served.skipped == (Skipped("faulty", "UndefinedError"), Skipped("greeting", "late"))
    assert served.decision.has_fault


def test_another_version_and_another_place_have_a_decision_of_their_own() -> None:
    # given a block that reads a parameter, and one inside another
    season = HERO.model_copy(update={"request": {"season": TextInput(type="text", default="")}})
    outer = HERO.model_copy(update={"name": "outer", "blocks": {"in": Nested(block="hero")}})

    def name(block: Block, version: str = "1", inner: str = "1", **query: str) -> str:
        library = {"hero": Renderer(HERO, ENGINE.audience, inner)}.get
        return decision_name(Renderer(block, ENGINE.audience, version), query, library)

    # then
    assert name(HERO) == name(HERO, season="summer")
    assert len({name(HERO), name(HERO, "2"), name(season), name(season, season="summer")}) == 4
    assert name(outer) != name(outer, inner="2")
    assert name(outer).startswith("outer@")


def test_a_block_inside_another_is_rendered_once_however_often_it_is_inserted() -> None:
    # given
    outer = block("{% for i in range(9) %}{{ block('in') }};{% endfor %}")
    outer = outer.model_copy(update={"blocks": {"in": Nested(block="link")}})
    inner = Renderer(block("{{ track('https://shop.example/') }}"))
    links = []

    def count(url: str, **_: str) -> str:
        links.append(url)
        return url

    # when
    shelf = replace(SHELF, library=lambda name: inner if name == "link" else None)
    served = serve(Renderer(outer), Request(Format.HTML), ANNA, shelf, count)

    # then
    assert served.body == "https://shop.example/;" * 9
    assert len(links) == 1
