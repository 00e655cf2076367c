"""Offers: promotions for a place and a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from mailtailor.content.block import Name
from mailtailor.content.catalog import in_shop
from mailtailor.instant import FOREVER, Instant, from_datetime
from mailtailor.tracking.destination import SLOT, BadDestination, check_destination

Line = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True)]


class Offer(BaseModel):
    """One offer: `starts <= now < ends`, for the countries and regions named, or everywhere.

    `url` is an http(s) address, or a path such as `/offers/spring` in the shop that the catalog names.

    Countries and regions are compared with the recipient's attributes `country` and `region` without regard to
    case; name every spelling that your data has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    headline: Line
    text: Line
    url: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
    code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9-]{2,20}$")] | None = None
    countries: tuple[Line, ...] = ()
    regions: tuple[Line, ...] = ()
    starts: AwareDatetime | None = None
    ends: AwareDatetime | None = None

    @field_validator("url")
    @classmethod
    def _leads_somewhere(cls, url: str) -> str:
        try:
            check_destination(in_shop(url, "https://shop.example"))
        except BadDestination as error:
            raise ValueError(error.message) from error
        if SLOT in url:
            raise ValueError("the address holds a character that is none")
        return url

    @model_validator(mode="after")
    def _is_sound(self) -> Offer:
        if self.starts and self.ends and self.ends <= self.starts:
            raise ValueError("the offer ends before it starts")
        return self

    def valid(self, now: Instant) -> bool:
        """Return whether the offer stands at `now`."""
        starts = from_datetime(self.starts) if self.starts else 0
        ends = from_datetime(self.ends) if self.ends else FOREVER
        return starts <= now < ends

    def reach(self, country: str, region: str) -> int | None:
        """Return how closely the offer is meant for a place: 2 its region, 1 its country, 0 all, None not at all."""
        if self.countries and country not in {name.casefold() for name in self.countries}:
            return None
        if not self.regions:
            return 1 if self.countries else 0
        return 2 if region in {name.casefold() for name in self.regions} else None


class OfferList(BaseModel):
    """All offers, in order of preference among equally close ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    offers: tuple[Offer, ...] = Field(max_length=1_000)

    @model_validator(mode="after")
    def _names_are_unique(self) -> OfferList:
        names = [offer.name for offer in self.offers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"there are two offers named {name!r}")
        return self


def choose(offers: Iterable[Offer], attributes: Mapping[str, object], now: Instant) -> Offer | None:
    """Return the offer meant most closely for the recipient's place, the first of equals, None without any."""
    country, region = (_place(attributes.get(name)) for name in ("country", "region"))
    best, best_reach = None, -1
    for offer in offers:
        reach = offer.reach(country, region)
        if reach is not None and reach > best_reach and offer.valid(now):
            best, best_reach = offer, reach
    return best


def _place(value: object) -> str:
    return value.strip().casefold() if isinstance(value, str) else ""
