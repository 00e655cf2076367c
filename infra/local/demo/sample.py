"""The demonstration's real part: customers, orders and products of the sample, read from its files."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

from mailtailor.instant import Instant, from_datetime

DATA: Final = Path(__file__).parent / "data"

# The first category with a word of the name decides, so the telling words come before the general ones.
CATEGORY_WORDS: Final[Mapping[str, str]] = {
    "Christmas": "CHRISTMAS XMAS ADVENT SANTA REINDEER NOEL BAUBLE SNOWFLAKE SNOWMAN STOCKING",
    "Lighting": "LIGHT LIGHTS T-LIGHT T-LIGHTS LANTERN LANTERNS LAMP LAMPSHADE CANDLE CANDLES CANDLESTICK CHANDELIER "
    "NIGHTLIGHT CANDLEHOLDER TLIGHT",
    "Bags": "BAG BAGS SHOPPER PURSE RUCKSACK HANDBAG SATCHEL HOLDALL TOTE WASHBAG SUITCASE",
    "Toys": "TOY TOYS GAME GAMES PUZZLE PUZZLES JIGSAW DOLL DOLLS DOLLY PLAYHOUSE SKITTLES MARBLES DOMINOES SNAP LUDO "
    "SPACEBOY CHILDS CHILDRENS CHILDREN KIDS BALLOONS SKIPPING SPINNING DINOSAUR MONEY ROBOT CIRCUS GLIDER INFLATABLE",
    "Garden": "GARDEN GARDENERS WATERING PLANT PLANTER FLOWER PARASOL BIRDCAGE BIRDHOUSE SEED SEEDS HERB TROWEL "
    "WINDMILL BUNTING PICNIC HANGING BUTTERFLY FEEDER",
    "Stationery": "CARD CARDS WRAP NOTEBOOK NOTEBOOKS JOURNAL PENCIL PENCILS PEN PENS PAPER TAPE TAPES STICKER "
    "STICKERS STAMP STICKY CHALKBOARD BLACKBOARD ENVELOPE RULER MEMO CALENDAR BOOK RIBBON RIBBONS TAGS CRAYONS ERASERS",
    "Kitchen": "MUG MUGS CUP CUPS BOWL BOWLS PLATE PLATES TEA TEAPOT COFFEE JAM KITCHEN BAKING CAKE CAKES CAKESTAND "
    "APRON TRAY JUG JAR JARS SPOON SPOONS CUTLERY EGG NAPKINS TOWEL TOWELS OVEN RECIPE SNACK LUNCH BOTTLE GLASS COOKIE "
    "COLANDER SCALES MILK BREAD COASTER COASTERS DISH TIN TINS PANTRY BISCUIT POPCORN FRYING SPATULA WHISK",
    "Accessories": "NECKLACE BRACELET EARRINGS RING RINGS HAIR UMBRELLA CHARM JEWEL SCARF KEYRING BROOCH BANGLE "
    "KEY-RING COMB HAIRCLIP WATCH SUNGLASSES",
}
OTHER_CATEGORY: Final = "Home"
CATEGORIES: Final = (*CATEGORY_WORDS, OTHER_CATEGORY)

_SMALL: Final = frozenset({"A", "AND", "AT", "BY", "FOR", "FROM", "IN", "OF", "ON", "THE", "TO", "WITH"})
_KEPT: Final = frozenset({"UK", "USA", "DIY", "LED", "TV", "I", "II", "III"})
_UNIT: Final = re.compile(r"\d+(\.\d+)?(CM|MM|M|ML|L|KG|G|PC|X\d+)\.?")


@dataclass(frozen=True, slots=True)
class Product:
    """A real product; the category is derived from the name, the rank from how often it was bought here."""

    id: str
    name: str
    price: float
    category: str
    rank: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an order."""

    product: Product
    quantity: int
    price: float


@dataclass(frozen=True, slots=True)
class Order:
    """A real order, at its historical time."""

    id: str
    at: Instant
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Customer:
    """A real customer: a number and a country are all that the data set knows."""

    id: str
    country: str
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """The whole sample."""

    customers: tuple[Customer, ...]
    products: Mapping[str, Product]

    @property
    def last_order(self) -> Instant:
        """When the last order was placed, in historical time; the demonstration takes it for now."""
        return max(order.at for customer in self.customers for order in customer.orders)

    def best_sellers(self, category: str) -> tuple[Product, ...]:
        """Return the products of a category, the most bought first."""
        of_category = (product for product in self.products.values() if product.category == category)
        return tuple(sorted(of_category, key=lambda product: product.rank))


@cache
def load(folder: Path = DATA) -> Sample:
    """Return the sample in `folder`, read once."""
    rows = list(_rows(folder / "order_lines.csv"))
    bought = Counter(row["product_id"] for row in rows)
    ranks = {
        product: rank for rank, (product, _) in enumerate(sorted(bought.items(), key=lambda one: (-one[1], one[0])), 1)
    }
    products = {
        row["product_id"]: Product(
            id=row["product_id"],
            name=tidy(row["name"]),
            price=float(row["price"]),
            category=category(row["name"]),
            rank=ranks[row["product_id"]],
        )
        for row in _rows(folder / "products.csv")
    }
    lines: dict[str, list[Line]] = {}
    for row in rows:
        line = Line(products[row["product_id"]], int(row["quantity"]), float(row["unit_price"]))
        lines.setdefault(row["order_id"], []).append(line)
    orders: dict[str, list[Order]] = {}
    for row in _rows(folder / "orders.csv"):
        at = from_datetime(datetime.fromisoformat(row["ordered_at"]))
        orders.setdefault(row["customer_id"], []).append(Order(row["order_id"], at, tuple(lines[row["order_id"]])))
    customers = (
        Customer(row["customer_id"], row["country"], tuple(sorted(orders[row["customer_id"]], key=lambda one: one.at)))
        for row in _rows(folder / "customers.csv")
    )
    return Sample(tuple(customers), products)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def category(name: str) -> str:
    """Return the category that words of a product's name tell; the data set has none."""
    words = set(re.split(r"[^A-Z0-9-]+", name.upper()))
    return next((known for known, telling in _telling_words() if words & telling), OTHER_CATEGORY)


@cache
def _telling_words() -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple((known, frozenset(words.split())) for known, words in CATEGORY_WORDS.items())


def tidy(name: str) -> str:
    """Return a product's name in title case; the data set shouts."""
    words = re.sub(r"\s+", " ", name.replace(" ,", ",").replace(",", ", ")).strip(" .,").split(" ")
    return " ".join(_tidy_word(word, first=index == 0) for index, word in enumerate(words))


def _tidy_word(word: str, *, first: bool) -> str:
    if word in _KEPT:
        return word
    if (word in _SMALL and not first) or _UNIT.fullmatch(word):
        return word.lower()
    return re.sub(r"(\d+')?[A-Z]+('[A-Z]+)?", lambda found: found[0].capitalize(), word)
