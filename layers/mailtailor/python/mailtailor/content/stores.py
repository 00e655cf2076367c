"""Stores: which of them are near a recipient, by what the profile says of where they live.

No map service is asked: the nearest by coordinates if the profile has them, else those of the same postal district,
town, region or country. An address that a mail client's proxy has tells nothing of where its reader is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from mailtailor.segments.person_rules import distance_from, radians_of

NEAR_KM: Final = 150.0
"""Beyond, a store is not near any more."""


class Store(NamedTuple):
    """One store; `latitude` and `longitude` are None if the catalog does not say."""

    id: str
    name: str
    street: str = ""
    city: str = ""
    postal_code: str = ""
    region: str = ""
    country: str = ""
    hours: str = ""
    phone: str = ""
    url: str = ""
    latitude: float | None = None
    longitude: float | None = None


class Near(NamedTuple):
    """A store, how it was found to be near (`coordinates`, `postal_code`, `city`, `region`), and how far it is."""

    store: Store
    by: str
    km: float | None = None


def nearest(stores: Iterable[Store], attributes: Mapping[str, Any], n: int = 3) -> tuple[Near, ...]:
    """Return at most `n` stores near a recipient, the nearest first; none if nothing says where they live.

    Parameters
    ----------
    stores
        All stores.
    attributes
        The recipient's: `latitude` and `longitude` in degrees, `postal_code`, `city`, `region`, `country`.
    n
        How many.
    """
    latitude, longitude = radians_of(attributes.get("latitude"), 90), radians_of(attributes.get("longitude"), 180)
    if latitude is not None and longitude is not None:
        return _by_distance(stores, latitude, longitude)[:n]
    found = [(rank, store) for store in stores if (rank := _closeness(store, attributes))]
    # Stable: of equally close ones the first of the catalog.
    found.sort(key=lambda one: -one[0])
    return tuple(Near(store, _BY[min(rank, len(_BY) - 1)]) for rank, store in found[:n])


def _by_distance(stores: Iterable[Store], latitude: float, longitude: float) -> tuple[Near, ...]:
    """Return the stores that are not too far, the nearest first; latitude and longitude are radians."""
    measured = [
        (distance_from(store.latitude, store.longitude)(latitude, longitude), store)
        for store in stores
        if store.latitude is not None and store.longitude is not None
    ]
    near = sorted(((km, store) for km, store in measured if km <= NEAR_KM), key=lambda one: one[0])
    return tuple(Near(store, "coordinates", km) for km, store in near)


_BY: Final = ("", "region", "city", "postal_code")


def _closeness(store: Store, attributes: Mapping[str, Any]) -> int:
    """Return 0 if the store is not near, else the more the closer it is."""
    country = _folded(attributes.get("country"))
    if country and store.country and country != _folded(store.country):
        return 0
    code, other = _district(attributes.get("postal_code")), _district(store.postal_code)
    if code and other:
        same = _shared(code, other)
        if same >= 2:
            return len(_BY) - 1 + same
    for rank, name in ((2, "city"), (1, "region")):
        place = _folded(attributes.get(name))
        if place and place == _folded(getattr(store, name)):
            return rank
    return 0


def _district(code: object) -> str:
    """Return what of a postal code says where it is: without blanks, and of a British one the outward code."""
    parts = code.upper().split() if isinstance(code, str) else []
    return parts[0][:10] if parts else ""


def _shared(one: str, other: str) -> int:
    """Return how many characters two codes begin with in common."""
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _folded(value: object) -> str:
    return value.strip().casefold() if isinstance(value, str) else ""
