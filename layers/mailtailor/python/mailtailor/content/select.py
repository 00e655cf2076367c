"""The ladder: the first variant that is meant for the recipient and can be shown, in the end the fallback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, Final

from mailtailor.content.block import FALLBACK, PRODUCTS_SHOWN, Block, Variant
from mailtailor.content.catalog import Catalog, Product, in_shop
from mailtailor.content.offer import Offer, choose
from mailtailor.content.render import Format, Renderer
from mailtailor.content.sandbox import TrackLink
from mailtailor.instant import Instant
from mailtailor.recommend.recent import Recommendation, Why, recommend

VARIABLES: Final[tuple[str, ...]] = ("recipient", "products", "bestsellers", "offer")
"""What templates can use, besides the functions `track` and `range`."""


@dataclass(frozen=True, slots=True)
class RecipientView:
    """What blocks may know of a recipient who allowed personal content.

    `viewed` and `purchased` are product ids, the newest first; `segments` are the memberships at `now`.
    """

    attributes: Mapping[str, Any]
    segments: frozenset[str]
    viewed: tuple[str, ...]
    purchased: tuple[str, ...]
    now: Instant


@dataclass(frozen=True, slots=True)
class Shelf:
    """What there is to show."""

    catalog: Catalog
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A variant that was passed over, and why: `audience`, `products`, `offer`, `text`, or an error's name."""

    variant: str
    reason: str

    @property
    def is_fault(self) -> bool:
        """Whether the variant should have worked."""
        return self.reason not in {"audience", "products", "offer", "text"}


@dataclass(frozen=True, slots=True)
class Served:
    """What was shown and what was passed over on the way."""

    variant: str
    body: str
    skipped: tuple[Skipped, ...] = ()


def serve(renderer: Renderer, form: Format, view: RecipientView, shelf: Shelf, track: TrackLink) -> Served:
    """Return the block as this recipient sees it; a variant that fails is passed over, so this never does."""
    block = renderer.block
    recommended = recommend(shelf.catalog, viewed=view.viewed, purchased=view.purchased, n=PRODUCTS_SHOWN)
    offer = _in_shop(choose(shelf.offers, view.attributes, view.now), shelf.catalog)
    data = variables(view.attributes, recommended, bestsellers(shelf.catalog, view.purchased), offer)
    skipped: list[Skipped] = []
    for variant in block.variants:
        reason = _unfit(variant, form, view, recommended, offer)
        if not reason:
            try:
                return Served(variant.name, renderer.render(variant, form, data, track), tuple(skipped))
            except Exception as error:  # noqa: BLE001 - whatever a template does wrong, the next rung answers
                reason = type(error).__name__
        skipped.append(Skipped(variant.name, reason))
    return Served(FALLBACK, fallback(block, form), tuple(skipped))


def _in_shop(offer: Offer | None, catalog: Catalog) -> Offer | None:
    """Return the offer with its whole address, None if it has none without a shop."""
    url = in_shop(offer.url, catalog.shop_url) if offer else ""
    return offer.model_copy(update={"url": url}) if offer and url else None


def fallback(block: Block, form: Format) -> str:
    """Return what is shown to somebody of whom nothing is known."""
    return block.fallback if form is Format.HTML else block.fallback_text


def _unfit(
    variant: Variant, form: Format, view: RecipientView, recommended: Iterable[Recommendation], offer: Offer | None
) -> str:
    if variant.audience and view.segments.isdisjoint(variant.audience):
        return "audience"
    if sum(recommendation.why.personal for recommendation in recommended) < variant.minimum_products:
        return "products"
    if variant.needs_offer and offer is None:
        return "offer"
    return "text" if form is Format.TEXT and variant.text is None else ""


def bestsellers(catalog: Catalog, purchased: Sequence[str]) -> tuple[Recommendation, ...]:
    """Return what sells best, without what the recipient just bought."""
    return recommend(catalog, viewed=(), purchased=purchased, n=PRODUCTS_SHOWN)


def variables(
    attributes: Mapping[str, Any],
    recommended: Iterable[Recommendation],
    best: Iterable[Recommendation],
    offer: Offer | None,
) -> dict[str, Any]:
    """Return what templates can use; `offer` only if there is one."""
    common = {
        "recipient": attributes,
        "products": [product_variables(*recommendation) for recommendation in recommended],
        "bestsellers": [product_variables(*recommendation) for recommendation in best],
    }
    return common | ({"offer": offer_variables(offer)} if offer else {})


def product_variables(product: Product, why: Why) -> dict[str, str]:
    """Return a product as templates see it."""
    return {
        "id": product.id,
        "name": product.name,
        "price": product.price_text,
        "url": product.url,
        "category": product.category,
        "image_url": product.image_url,
        "why": why.value,
    }


def offer_variables(offer: Offer) -> dict[str, str]:
    """Return an offer as templates see it; `code` and `ends` only if it has them."""
    variables = {"name": offer.name, "headline": offer.headline, "text": offer.text, "url": offer.url}
    if offer.code:
        variables["code"] = offer.code
    if offer.ends:
        last_day = offer.ends.astimezone(UTC) - timedelta(milliseconds=1)
        variables["ends"] = f"{last_day.day} {last_day:%B %Y}"
    return variables
