"""The catalog: what a shop sells and where, as blocks show it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

from mailtailor.content.stores import Store
from mailtailor.errors import BadInput
from mailtailor.tracking.destination import SLOT, BadDestination, check_destination

SYMBOLS: Final = {"GBP": "£", "EUR": "€", "USD": "$"}
UNRANKED: Final = 1 << 31
MAX_TEXT: Final = 2_000
MAX_PRICE: Final = 1_000_000_000
MAX_STORES: Final = 2_000
"""More would be a list to search in, not a few to go to."""


class Product(NamedTuple):
    """One product; `rank` orders by popularity, 1 is the bestseller.

    A tuple, because a cold function makes thousands of them before its first answer.
    """

    id: str
    name: str
    price: Decimal
    currency: str
    url: str
    category: str = ""
    rank: int = UNRANKED
    image_url: str = ""

    @property
    def price_text(self) -> str:
        """The price as people read it: `£12.50`, or `12.50 SEK` for a currency without a well-known sign."""
        symbol = SYMBOLS.get(self.currency)
        return f"{symbol}{self.price:,.2f}" if symbol else f"{self.price:,.2f} {self.currency}"


class Catalog:
    """Products by id, by popularity and by category, and stores.

    Parameters
    ----------
    products
        In any order; of two with one id the first counts.
    shop_url
        The shop's address, which paths of products, offers and stores follow; may be empty.
    stores
        Where there are shops to walk into.
    """

    def __init__(self, products: Iterable[Product] = (), *, shop_url: str = "", stores: Iterable[Store] = ()) -> None:
        self.shop_url = shop_url
        self.stores: tuple[Store, ...] = tuple(stores)
        self._by_id: dict[str, Product] = {}
        for product in products:
            self._by_id.setdefault(product.id, product)
        self.bestsellers: tuple[Product, ...] = tuple(
            sorted(self._by_id.values(), key=lambda product: (product.rank, product.id))
        )
        self._by_category: dict[str, list[Product]] = {}
        for product in self.bestsellers:
            self._by_category.setdefault(product.category, []).append(product)

    def __len__(self) -> int:
        return len(self._by_id)

    def by_id(self, product_id: str) -> Product | None:
        """Return the product, None if the catalog has it no more."""
        return self._by_id.get(product_id)

    def by_category(self, category: str) -> tuple[Product, ...]:
        """Return the category's products, the most popular first; no category has none."""
        return tuple(self._by_category.get(category, ())) if category else ()


@dataclass(frozen=True, slots=True)
class ParsedCatalog:
    """A catalog and how many products and stores were left out because they could not be shown."""

    catalog: Catalog
    refused: int


def parse(document: bytes) -> ParsedCatalog:
    """Return the catalog in a JSON document `{"shop_url", "products": [{"id", "name", ...}], "stores": [...]}`.

    A product without a name, a price or an http(s) address is left out and counted, as is a store without id and name:
    one bad row must not cost a shop all recommendations.

    Raises
    ------
    BadInput
        If the document is no such JSON.
    """
    try:
        content = json.loads(document, parse_float=Decimal)
        rows, shop_url = content["products"], _text(content.get("shop_url")).rstrip("/")
        places = content.get("stores", [])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadInput("The catalog is no JSON object with a list of products.") from error
    if not isinstance(rows, list) or not isinstance(places, list):
        raise BadInput("The catalog is no JSON object with a list of products.")
    products = [product for row in rows if (product := _product(row, shop_url)) is not None]
    stores = [store for row in places[:MAX_STORES] if (store := _store(row, shop_url)) is not None]
    refused = len(rows) - len(products) + len(places) - len(stores)
    return ParsedCatalog(Catalog(products, shop_url=shop_url, stores=stores), refused)


def _product(row: Any, shop_url: str) -> Product | None:  # noqa: ANN401 - whatever stands in the file
    if not isinstance(row, Mapping):
        return None
    product = Product(
        id=_text(row.get("id")),
        name=_text(row.get("name")),
        price=_amount(row.get("price")),
        currency=_text(row.get("currency", "GBP")),
        url=in_shop(_text(row.get("url")), shop_url),
        category=_text(row.get("category")),
        rank=rank if type(rank := row.get("rank")) is int else UNRANKED,
        image_url=_text(row.get("image_url")),
    )
    complete = product.id and product.name and product.currency and product.price >= 0
    return product if complete and _leads_somewhere(product.url) else None


def _store(row: Any, shop_url: str) -> Store | None:  # noqa: ANN401 - whatever stands in the file
    if not isinstance(row, Mapping):
        return None
    texts = {name: _text(row.get(name)) for name in Store._fields if name not in {"latitude", "longitude"}}
    url = in_shop(texts.pop("url"), shop_url)
    latitude, longitude = _degrees(row.get("latitude"), 90), _degrees(row.get("longitude"), 180)
    store = Store(**texts, url=url if _leads_somewhere(url) else "", latitude=latitude, longitude=longitude)
    return store if store.id and store.name else None


def in_shop(url: str, shop_url: str) -> str:
    """Return `url`, completed by the shop's address if it is a path; empty if there is no shop to complete it."""
    if not url.startswith("/") or url.startswith("//"):
        return url
    return f"{shop_url}{url}" if shop_url else ""


def _leads_somewhere(url: str) -> bool:
    """Return whether a tracked link may lead to `url`; later it would cost the whole variant."""
    try:
        check_destination(url)
    except BadDestination:
        return False
    # Slots are for what an ESP merges into a mail; here nothing would fill them.
    return SLOT not in url


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= MAX_TEXT else ""


def _amount(value: object) -> Decimal:
    """Return a price, or -1 for what is none; a float would already have lost it."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and 0 <= value < MAX_PRICE:
        return Decimal(value)
    return Decimal(-1)


def _degrees(value: object, most: int) -> float | None:
    usable = isinstance(value, int | Decimal) and not isinstance(value, bool) and -most <= value <= most
    return float(value) if usable and isinstance(value, int | Decimal) else None
