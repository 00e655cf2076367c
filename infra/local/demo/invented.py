"""The demonstration's invented part: what the data set does not know about its customers.

Names, consent, regions inside the United Kingdom, visits, mails, opens and clicks are made up from the customer's
number alone, so they are the same on every machine and at every start. The stores are invented, too. Orders are real
and stay as they are.
All times here are historical; `Call.payload` shifts them.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from typing import Any, Final, TypeVar

from infra.local.demo.campaigns import CAMPAIGNS, SHOP, Campaign, sent_at
from infra.local.demo.sample import Customer, Order, Product, Sample
from mailtailor.instant import DAY, HOUR, MINUTE, SECOND, Instant, to_iso

T = TypeVar("T")

VISITS_BEFORE_ORDERS: Final = 60 * DAY
"""Visits are invented for orders of this time only: nothing that was viewed before still matters to any segment."""
BROWSED_WITHIN: Final = 21 * DAY
CURRENCY: Final = "GBP"
HOME: Final = "United Kingdom"

NAMES: Final[Mapping[str, str]] = {
    "United Kingdom": "Alice Amelia Arthur Beatrice Callum Charlotte Daisy Edward Eleanor Fiona Florence George Grace "
    "Hamish Harriet Harry Imogen Isla Jack James Josephine Kate Leo Lucy Mabel Martha Matilda Niamh Nora Oliver Oscar "
    "Owen Poppy Rhys Rosie Samuel Sophie Theo Thomas Violet Winifred Zoe",
    "Germany": "Anja Birgit Carsten Clara Felix Greta Jonas Katrin Lena Matthias Sabine Tobias",
    "France": "Amélie Antoine Camille Chloé Élodie Hugo Julien Lucie Manon Mathieu Océane Thibault",
    "Spain": "Alba Álvaro Carmen Iñigo Javier Lucía Marta Nuria Pablo Rocío",
}
OTHER_NAMES: Final = "Alva Anton Emil Elsa Freja Ida Ines Johan Julia Karin Lukas Maria Mikael Nina Paul Sara"

REGIONS: Final[Mapping[str, int]] = {
    "London": 18,
    "South East": 17,
    "South West": 11,
    "East of England": 9,
    "Midlands": 14,
    "North West": 10,
    "Yorkshire": 8,
    "Scotland": 8,
    "Wales": 5,
}
"""Regions and their shares in percent, roughly by population."""

_STORES: Final[Mapping[str, tuple[str, ...]]] = {
    "London": ("Covent Garden", "Greenwich", "Marylebone"),
    "South East": ("Brighton", "Canterbury"),
    "South West": ("Bath", "Totnes"),
    "East of England": ("Norwich",),
    "Midlands": ("Ludlow",),
    "North West": ("Manchester",),
    "Yorkshire": ("York",),
    "Scotland": ("Edinburgh", "Glasgow"),
    "Wales": ("Hay-on-Wye",),
}


def stores() -> list[dict[str, str]]:
    """Return the shop's stores as the catalog lists them; the data set knows of none, and each says it is invented."""
    return [
        {
            "id": place.lower().replace(" ", "-"),
            "name": f"{SHOP}, {place}",
            "street": f"{number} Lantern Row (invented)",
            "city": "London" if region == "London" else place,
            "region": region,
            "country": HOME,
            "hours": "Monday to Saturday, 10 to 18",
        }
        for region, places in _STORES.items()
        for number, place in enumerate(places, start=7)
    ]


class Engagement(StrEnum):
    """How a recipient takes our mails."""

    KEEN = "keen"
    CALM = "calm"
    QUIET = "quiet"


OPENS: Final[Mapping[Engagement, float]] = {Engagement.KEEN: 0.93, Engagement.CALM: 0.5, Engagement.QUIET: 0.12}
CLICKS: Final[Mapping[Engagement, tuple[int, ...]]] = {
    Engagement.KEEN: (1, 1, 2, 2, 3),
    Engagement.CALM: (0, 0, 0, 1, 1),
    Engagement.QUIET: (0, 0, 0, 0, 1),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the tracking API that the import makes, at a historical time."""

    id: str
    type: str
    at: Instant
    body: Mapping[str, Any]

    def payload(self, customer: str, shift: int) -> dict[str, Any]:
        """Return the call in Segment's batch format, `shift` milliseconds after its historical time."""
        return {
            "type": self.type,
            "messageId": self.id,
            "userId": customer,
            "timestamp": to_iso(self.at + shift),
            **self.body,
        }


@dataclass(frozen=True)
class Person:
    """A real customer with an invented life around the orders."""

    customer: Customer
    first_name: str
    region: str | None
    tracking: bool
    personalization: bool
    engagement: Engagement
    calls: tuple[Call, ...]

    @property
    def id(self) -> str:
        """The customer's number in the data set."""
        return self.customer.id

    @property
    def consented(self) -> bool:
        """Whether everything is allowed."""
        return self.tracking and self.personalization

    @cached_property
    def events(self) -> tuple[tuple[str, Instant, Mapping[str, Any]], ...]:
        """The tracked events: name, historical time, properties."""
        return tuple(
            (call.body["event"], call.at, call.body["properties"]) for call in self.calls if call.type == "track"
        )


def invent(sample: Sample) -> list[Person]:
    """Return all customers of the sample with what is invented about them."""
    shelves = {campaign.category: sample.best_sellers(campaign.category)[:40] for campaign in CAMPAIGNS}
    now = sample.last_order
    return [_Inventor(customer, now, shelves).person() for customer in sample.customers]


class _Inventor:
    """Makes up one customer's life, always the same one."""

    def __init__(self, customer: Customer, now: Instant, shelves: Mapping[str, Sequence[Product]]) -> None:
        # Not for secrets. `random()` alone is documented to give the same numbers in every version of Python.
        self._random = random.Random(f"mailtailor:{customer.id}")  # noqa: S311
        self._customer = customer
        self._now = now
        self._shelves = shelves
        self._count = 0

    def person(self) -> Person:
        customer = self._customer
        first_name = self._one(NAMES.get(customer.country, OTHER_NAMES).split())
        region = self._weighted(REGIONS) if customer.country == HOME else None
        tracking, personalization = self._weighted(
            {(True, True): 88, (True, False): 6, (False, True): 3, (False, False): 3}
        )
        engagement = self._weighted({Engagement.KEEN: 24, Engagement.CALM: 46, Engagement.QUIET: 30})
        behaviour = sorted(
            [*self._orders(), *self._browsing(), *self._mails(engagement)], key=lambda call: (call.at, call.id)
        )
        # Consent comes first in time, for behaviour before it is not recorded.
        introduction = self._introduction(first_name, region, tracking, personalization, behaviour[0].at - DAY)
        return Person(customer, first_name, region, tracking, personalization, engagement, (introduction, *behaviour))

    def _introduction(
        self, first_name: str, region: str | None, tracking: bool, personalization: bool, at: Instant
    ) -> Call:
        address = {"country": self._customer.country} | ({"region": region} if region else {})
        return Call(
            id=f"demo-{self._customer.id}-0",
            type="identify",
            at=at,
            body={
                # Never leaves the tracking API as it stands: it becomes a pseudonym that leads to the customer.
                "traits": {
                    "firstName": first_name,
                    "email": f"{self._customer.id}@customers.example",
                    "address": address,
                },
                "context": {
                    "consent": {"categoryPreferences": {"tracking": tracking, "personalization": personalization}}
                },
            },
        )

    def _orders(self) -> Iterator[Call]:
        for order in self._customer.orders:
            if order.at > self._now - VISITS_BEFORE_ORDERS:
                yield from self._visit_before(order)
            lines = [{**_about(line.product, line.price), "quantity": line.quantity} for line in order.lines]
            total = round(sum(line.price * line.quantity for line in order.lines), 2)
            yield self._track(
                "Order Completed",
                order.at,
                {"order_id": order.id, "total": total, "currency": CURRENCY, "products": lines},
            )

    def _visit_before(self, order: Order) -> Iterator[Call]:
        at = order.at - self._between(12 * MINUTE, 40 * MINUTE)
        yield self._page("Home", at)
        for line in order.lines[: self._between(2, 5)]:
            at += self._between(20 * SECOND, 80 * SECOND)
            yield self._track("Product Viewed", at, _about(line.product))
            if self._chance(0.7):
                yield self._track("Product Added", at + 9 * SECOND, {**_about(line.product), "quantity": line.quantity})

    def _browsing(self) -> Iterator[Call]:
        """Visits without a purchase; about one customer in five had one within the last two days."""
        if self._chance(0.22):
            yield from self._visit(self._now - self._between(20 * MINUTE, 44 * HOUR))
        for _ in range(self._between(0, 3)):
            yield from self._visit(self._now - self._between(3 * DAY, BROWSED_WITHIN))

    def _visit(self, at: Instant) -> Iterator[Call]:
        shelf = self._shelf()
        yield self._page(shelf[0].category, at)
        viewed = shelf[0]
        for _ in range(self._between(2, 6)):
            at += self._between(15 * SECOND, 90 * SECOND)
            viewed = self._one(shelf)
            yield self._track("Product Viewed", at, _about(viewed))
        if self._chance(0.25):
            yield self._track("Product Added", at + 12 * SECOND, {**_about(viewed), "quantity": 1})

    def _shelf(self) -> Sequence[Product]:
        """Return products of a category that the customer buys from, or now and then of another."""
        bought = [line.product.category for order in self._customer.orders for line in order.lines]
        known = [category for category in bought if category in self._shelves]
        category = self._one(known) if known and self._chance(0.8) else self._one(tuple(self._shelves))
        return self._shelves[category]

    def _mails(self, engagement: Engagement) -> Iterator[Call]:
        for campaign in CAMPAIGNS:
            # Customers get letters from their first order on.
            if self._customer.orders[0].at < sent_at(campaign):
                yield from self._mail(campaign, engagement)

    def _mail(self, campaign: Campaign, engagement: Engagement) -> Iterator[Call]:
        message = {"campaign": campaign.id}
        at = sent_at(campaign) + self._between(SECOND, 15 * MINUTE)
        yield self._track("Email Delivered", at, message)
        if not self._chance(OPENS[engagement]):
            return
        at += self._between(2 * MINUTE, 20 * HOUR)
        yield self._track("Email Opened", at, message)
        for position in range(1, self._one(CLICKS[engagement]) + 1):
            at += self._between(8 * SECOND, 70 * SECOND)
            product = self._shelves[campaign.category][position - 1]
            link = {"product_id": product.id, "category": product.category, "position": position}
            yield self._track("Email Link Clicked", at, {**message, **link})

    def _track(self, event: str, at: Instant, properties: Mapping[str, Any]) -> Call:
        return self._call("track", at, {"event": event, "properties": dict(properties)})

    def _page(self, name: str, at: Instant) -> Call:
        return self._call("page", at, {"name": name})

    def _call(self, kind: str, at: Instant, body: Mapping[str, Any]) -> Call:
        self._count += 1
        return Call(f"demo-{self._customer.id}-{self._count}", kind, min(at, self._now), body)

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _between(self, least: int, most: int) -> int:
        return least + int(self._random.random() * (most - least + 1))

    def _one(self, choices: Sequence[T]) -> T:
        return choices[self._between(0, len(choices) - 1)]

    def _weighted(self, shares: Mapping[T, int]) -> T:
        edges = list(accumulate(shares.values()))
        return list(shares)[bisect(edges, self._random.random() * edges[-1])]


def _about(product: Product, price: float | None = None) -> dict[str, Any]:
    return {
        "product_id": product.id,
        "name": product.name,
        "price": product.price if price is None else price,
        "category": product.category,
    }
