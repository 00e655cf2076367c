"""The modules that come with the project: how they look for whom, and what they do with data at its edges."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mailtailor.content.catalog import Catalog, Product
from mailtailor.content.files import check_block, load_block, load_countdowns, load_offers
from mailtailor.content.render import Format, Renderer
from mailtailor.content.select import RecipientView, Request, Served, Shelf, serve
from mailtailor.content.stores import Store
from mailtailor.segments.engine import Engine
from mailtailor.segments.files import load_segments
from mailtailor.segments.person import Person
from mailtailor.segments.verdict import NEVER

DEFINITIONS = Path(__file__).parents[3] / "layers" / "definitions"
GOLDEN = Path(__file__).parent / "golden"
FILES = {file.parent.name: file for file in sorted((DEFINITIONS / "blocks").glob("*/block.yaml"))}
ENGINE = Engine(load_segments(DEFINITIONS / "segments"))
LIBRARY = {name: Renderer(load_block(file), ENGINE.audience) for name, file in FILES.items()}
OFFERS = load_offers(DEFINITIONS / "offers.yaml").offers
NAMES = (
    "White Hanging Heart T-Light Holder",
    "Regency Cakestand 3 Tier",
    "Jumbo Bag <Red> Retrospot",
    "Heart of Wicker",
    "Party Bunting",
    "Rabbit Night Light",
    "Assorted Colour Bird Ornament",
)
PRODUCTS = tuple(
    Product(f"P{index}", name, Decimal(295 + index) / 100, "GBP", f"https://shop.example/P{index}", "Home", index + 1)
    for index, name in enumerate(NAMES)
)
STORES = (
    Store(
        *("garden", "Covent Garden", "12 Neal Street", "London", "WC2H 9PR", "London", "United Kingdom"),
        hours="Every day, 10 to 19",
        url="https://shop.example/stores/garden",
        latitude=51.514,
        longitude=-0.126,
    ),
    Store(
        *("leeds", "Leeds", "3 Queens Arcade", "Leeds", "LS1 6LF", "Yorkshire", "United Kingdom"),
        latitude=53.798,
        longitude=-1.541,
    ),
)
CATALOG = Catalog(PRODUCTS, shop_url="https://shop.example", stores=STORES)
SHELF = Shelf(CATALOG, OFFERS, LIBRARY.get, "https://mail.example/image")
BARE = Shelf(Catalog(), (), LIBRARY.get, "https://mail.example/image")
ANNA = RecipientView(
    person=Person("anna", {}, {}, {}, dict.fromkeys(ENGINE.segments, NEVER)),
    attributes={
        "first_name": "Anna {{x}}",
        "country": "United Kingdom",
        "region": "London",
        "latitude": 51.5,
        "longitude": -0.12,
    },
    viewed=("P2", "P0"),
    purchased=("P1",),
    now=1_795_000_000_000,
)
NOBODY = replace(ANNA, attributes={}, viewed=(), purchased=())


def track(url: str, **_: str) -> str:
    return f"https://mail.example/c?{url}"


def shown(
    name: str,
    view: RecipientView = ANNA,
    form: Format = Format.HTML,
    shelf: Shelf = SHELF,
    **setting: str | float,
) -> Served:
    return serve(LIBRARY[name], Request(form, setting=setting), view, shelf, track)


class Elements(HTMLParser):
    """The start tags of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize(
    ("name", "variant", "view"),
    [
        ("header", "greeting", ANNA),
        ("product_grid", "personal", ANNA),
        ("product_grid", "bestsellers", NOBODY),
        ("carousel", "personal", ANNA),
        ("carousel", "bestsellers", NOBODY),
        ("offer", "offer", ANNA),
        ("countdown", "countdown", ANNA),
        ("store_finder", "near", ANNA),
        ("text", "text", NOBODY),
        ("newsletter", "letter", ANNA),
    ],
)
def test_each_variant_looks_as_it_was_approved(name: str, variant: str, view: RecipientView, form: Format) -> None:
    # when
    served = shown(name, view, form)

    # then
    assert served.variant == variant
    assert served.body == (GOLDEN / f"{name}-{variant}.{form}").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_to_be_warned_of(name: str) -> None:
    findings = [str(finding) for finding in check_block(FILES[name]).findings if finding.level != "note"]

    assert findings == []


@pytest.mark.parametrize("name", FILES)
def test_readers_of_screens_hear_no_tables_and_every_image(name: str) -> None:
    # when
    elements = Elements(shown(name).body).found

    # then
    assert {attributes.get("role") for tag, attributes in elements if tag == "table"} <= {"presentation"}
    assert all(attributes.get("alt") for tag, attributes in elements if tag == "img")


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("name", FILES)
def test_with_neither_a_name_nor_a_place_nor_a_catalog_no_variant_fails(name: str, form: Format) -> None:
    # when
    served = shown(name, NOBODY, form, BARE)

    # then
    assert {skipped.reason for skipped in served.skipped} <= {"audience", "products", "bestsellers", "stores", "offer"}


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("name", FILES)
def test_what_a_customer_calls_herself_opens_no_tag_of_an_esp(name: str, form: Format) -> None:
    # given
    hostile = "{{s}} %%=v(@x)=%% *|FNAME|* <b>"
    view = replace(ANNA, attributes={**ANNA.attributes, "first_name": hostile, "city": hostile, "region": hostile})
    products = [product._replace(name=hostile, category=hostile) for product in PRODUCTS]
    stores = [store._replace(name=hostile, street=hostile) for store in STORES]

    # when
    body = shown(name, view, form, Shelf(Catalog(products, stores=stores), OFFERS, LIBRARY.get)).body

    # then
    assert not any(opening in body for opening in ("{{", "%%", "*|"))
    assert form is Format.TEXT or "<b>" not in body


def test_a_name_in_another_script_is_kept() -> None:
    assert "Hello نور الهدى" in shown("header", replace(ANNA, attributes={"first_name": "نور الهدى"})).body


def test_a_name_that_is_too_long_is_cut() -> None:
    body = shown("header", replace(ANNA, attributes={"first_name": "x" * 500, "region": "y" * 500})).body

    assert "x" * 41 not in body
    assert "y" * 41 not in body


def test_where_the_parcels_go_is_told_only_if_it_is_known() -> None:
    assert "Delivering to London" in shown("header").body
    assert "Delivering" not in shown("header", replace(ANNA, attributes={"first_name": "Anna"})).body


@pytest.mark.parametrize(
    ("in_catalog", "at_most", "expected"), [(0, 4, 0), (1, 4, 1), (7, 4, 4), (7, 5, 5), (7, 12, 7), (12, 12, 12)]
)
def test_the_grid_holds_as_many_products_as_there_are_and_may_be(in_catalog: int, at_most: int, expected: int) -> None:
    # given
    products = [PRODUCTS[0]._replace(id=f"N{index}", name=f"Number {index}") for index in range(in_catalog)]

    # when
    served = shown("product_grid", NOBODY, shelf=Shelf(Catalog(products), ()), shown=at_most)

    # then
    assert served.body.count('aria-hidden="true"') == expected
    assert served.variant == ("bestsellers" if expected else "fallback")


def test_a_product_with_an_image_is_shown_by_it() -> None:
    # given
    pictured = [product._replace(image_url="https://shop.example/a.jpg") for product in PRODUCTS]

    # when
    images = [
        attributes
        for name in ("product_grid", "carousel")
        for tag, attributes in Elements(shown(name, shelf=Shelf(Catalog(pictured), ())).body).found
        if tag == "img"
    ]

    # then
    assert {image["src"] for image in images} == {"https://shop.example/a.jpg"}
    assert "Jumbo Bag <Red> Retrospot" in {image["alt"] for image in images}


def test_an_offer_without_code_and_end_shows_neither() -> None:
    # given
    plain = [offer for offer in OFFERS if offer.name == "uk_wrapping"]

    # when
    html, text = (shown("offer", form=form, shelf=Shelf(CATALOG, tuple(plain))).body for form in Format)

    # then
    assert plain[0].headline in html
    assert "Courier" not in html
    assert "Code:" not in text
    assert "Until" not in html + text


def test_outlook_is_drawn_the_button_with_the_same_link() -> None:
    assert shown("offer").body.count('href="https://mail.example/c?https://shop.example/offers/london"') == 2


def test_the_countdown_says_in_words_what_its_image_counts_down_to() -> None:
    # given
    sale = next(one for one in load_countdowns(DEFINITIONS / "countdowns.yaml").countdowns if one.name == "winter_sale")

    # then
    assert LIBRARY["countdown"].block.inputs["until"].default == sale.until
    assert sale.until in shown("countdown").body
    assert sale.until in shown("countdown", form=Format.TEXT).body


def test_the_countdown_shows_its_image_under_an_address_of_the_reader() -> None:
    # when
    served = serve(
        LIBRARY["countdown"],
        Request(Format.HTML, {"reader": "a/b"}),
        ANNA,
        SHELF,
        track,
    )

    # then
    assert 'src="https://mail.example/image/winter_sale/a%2Fb.gif"' in served.body


def test_without_a_store_near_by_the_store_finder_speaks_of_all() -> None:
    served = shown("store_finder", replace(ANNA, attributes={"country": "France"}))

    assert served.variant == "fallback"
    assert "Come and see us." in served.body


def test_a_text_without_words_for_a_button_has_none() -> None:
    assert "v:roundrect" not in shown("text").body
    assert "Read on" in shown("text", button="Read on").body


def test_what_has_nothing_to_show_leaves_no_gap_in_a_newsletter() -> None:
    # given
    gap = '<div style="height:16px'

    # when
    whole, without_offer = shown("newsletter").body, shown("newsletter", shelf=replace(SHELF, offers=())).body

    # then
    assert whole.count(gap) - without_offer.count(gap) == 1
    assert "LONDON15" in whole


def test_a_newsletter_of_the_longest_data_is_still_shown() -> None:
    # given
    long = [
        product._replace(name="Wide " * 300, category="Wide " * 300, url=f"https://shop.example/{'p' * 400}")
        for product in PRODUCTS
    ]
    stores = [STORES[0]._replace(street="Long " * 40, hours="Long " * 40, city="Long " * 40) for _ in range(3)]
    attributes = {**ANNA.attributes, "first_name": "Anna " * 300, "city": "City " * 300}
    catalog = Catalog(long, shop_url="https://shop.example", stores=stores)

    # when
    served = shown("newsletter", replace(ANNA, attributes=attributes), shelf=replace(SHELF, catalog=catalog))

    # then
    assert served.variant == "letter"
    assert all(words in served.body for words in ("Hello Anna", "Chosen with you", "Ends 31 Jan", "Directions"))
    assert len(served.body.encode()) < LIBRARY["newsletter"].block.max_bytes
