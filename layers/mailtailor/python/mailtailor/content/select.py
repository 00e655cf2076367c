"""The ladder: the first variant that is meant for the recipient and can be shown, in the end the fallback.

Who was shown something before is shown the same: a decision that was stored stands in the place of audiences, choice of
products and offers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from hashlib import blake2b
from typing import Any, Final

from mailtailor.content.block import FALLBACK, Block, Needs, Variant
from mailtailor.content.catalog import Catalog, Product, in_shop
from mailtailor.content.decision import Decision, Skipped
from mailtailor.content.inputs import UrlInput, Value
from mailtailor.content.offer import Offer, choose
from mailtailor.content.render import Format, Renderer
from mailtailor.content.sandbox import TrackLink
from mailtailor.content.stores import Near, nearest
from mailtailor.instant import Instant
from mailtailor.recommend.recent import Recommendation, Why, recommend
from mailtailor.segments.person import Person

VARIABLES: Final[tuple[str, ...]] = (
    *("recipient", "place", "products", "bestsellers", "stores", "offer"),
    *("inputs", "request", "images"),
)
"""What templates can use, besides the functions `track`, `block` and `range`."""
OF_EVERYBODY: Final = frozenset({"bestsellers", "offer", "inputs", "request", "images"})
"""What templates of a shared block can use."""
STORES_SHOWN: Final = 3
PLACE: Final = ("city", "region", "country", "postal_code")
LATE: Final = "late"
"""Why a variant was passed over for which no time was left."""


@dataclass(frozen=True, slots=True)
class RecipientView:
    """What blocks may know of a recipient who allowed personal content.

    `person` is what audiences look at, None for somebody of whom nothing may be known; `viewed` and `purchased` are
    product ids, the newest first; `now` is when the mail is sent.
    """

    person: Person | None
    attributes: Mapping[str, Any]
    viewed: tuple[str, ...]
    purchased: tuple[str, ...]
    now: Instant


def everybody(now: Instant) -> RecipientView:
    """Return the view of nobody in particular, by which shared blocks are rendered."""
    return RecipientView(None, {}, (), (), now)


Library = Callable[[str], Renderer | None]
"""Finds another block by its name."""


def no_library(_name: str) -> Renderer | None:
    """Find no other block."""
    return None


@dataclass(frozen=True, slots=True)
class Shelf:
    """What there is to show.

    Attributes
    ----------
    catalog, offers
        Products, stores and offers.
    library
        Finds the blocks that others insert.
    images
        The address that an image's name follows, such as `https://mail.example/image`.
    """

    catalog: Catalog
    offers: tuple[Offer, ...]
    library: Library = no_library
    images: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """What was shown, and the decision to show it."""

    decision: Decision
    body: str

    @property
    def variant(self) -> str:
        """The variant shown, or `fallback`."""
        return self.decision.variant

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The variants that were passed over on the way."""
        return self.decision.skipped


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for besides the recipient.

    `query` holds the fetch's parameters, not checked; `setting` the values that whoever inserts the block gave its
    inputs.
    """

    form: Format
    query: Mapping[str, str] = field(default_factory=dict)
    setting: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is for one recipient in one block."""

    recommended: tuple[Recommendation, ...]
    best: tuple[Recommendation, ...]
    stores: tuple[Near, ...]
    offer: Offer | None

    def lacks(self, needs: Needs) -> str:
        """Return what is missing, empty if nothing is."""
        if sum(recommendation.why.personal for recommendation in self.recommended) < needs.products:
            return "products"
        if len(self.best) < needs.bestsellers:
            return "bestsellers"
        if len(self.stores) < needs.stores:
            return "stores"
        return "offer" if needs.offer and self.offer is None else ""


_NOTHING: Final = _Found((), (), (), None)


def _never() -> bool:
    return False


def serve(
    renderer: Renderer,
    request: Request,
    view: RecipientView,
    shelf: Shelf,
    track: TrackLink,
    *,
    settled: Decision | None = None,
    out_of_time: Callable[[], bool] = _never,
) -> Served:
    """Return the block as this recipient sees it; a variant that fails is passed over, so this never does.

    Parameters
    ----------
    renderer
        Of the block.
    request, view, shelf, track
        What is asked for, by whom, what there is to show, and what makes links.
    settled
        What was decided for the same message before, of this version of the block; `view.now` then is its instant.
        Its variant is shown with its products and offer, whoever the recipient is by now. If it cannot be any more, the
        variants after it are tried as ever.
    out_of_time
        Asked before each variant; when it says so, the fallback answers.
    """
    block = renderer.block
    found = _found(block, view, shelf) if settled is None else _found_before(settled, block, view, shelf)
    parameters = block.parameters(request.query)
    data = variables(view.attributes, found.recommended, found.best, found.stores, found.offer) | {
        "request": parameters,
        "images": shelf.images,
    }
    context = _context(parameters, view, shelf.catalog)
    skipped = list(settled.skipped) if settled else []
    for variant in _ladder(block, settled):
        is_settled = settled is not None and variant.name == settled.variant
        insert = _Inserting(block, request, view, shelf, track, settled.inside if is_settled and settled else {})
        unfit = "" if is_settled else renderer.audiences[variant.name].unfit(view.person, context, view.now)
        reason = (LATE if out_of_time() else unfit) or found.lacks(variant.needs)
        if not reason:
            inputs = _inputs(block, shelf.catalog, variant.set, request.setting)
            try:
                body = renderer.render(variant, request.form, data | {"inputs": inputs}, track, insert)
            except Exception as error:  # noqa: BLE001 - whatever a template does wrong, the next rung answers
                reason = type(error).__name__
            else:
                inside = insert.decisions
                decision = _decision(renderer, variant.name, view.now, skipped=skipped, found=found, inside=inside)
                return Served(decision, body)
        skipped.append(Skipped(variant.name, reason))
    return unfilled(renderer, request.form, view.now, skipped)


def unfilled(renderer: Renderer, form: Format, at: Instant, skipped: Iterable[Skipped] = ()) -> Served:
    """Return the block's static fallback, and the decision to show it."""
    return Served(_decision(renderer, FALLBACK, at, skipped=skipped), fallback(renderer.block, form))


def decision_name(renderer: Renderer, query: Mapping[str, str], library: Library) -> str:
    """Return under which name a block's decision is kept.

    It has the block's version and those of the blocks inside, and what the fetch says to them. So neither another
    version nor another place in the mail is shown what was decided for this one.
    """
    inside = [found for nested in renderer.block.blocks.values() if (found := library(nested.block))]
    said = [[one.version, one.block.parameters(query)] for one in (renderer, *inside)]
    digest = blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=8).hexdigest()
    return f"{renderer.block.name}@{digest}"


def _ladder(block: Block, settled: Decision | None) -> Iterable[Variant]:
    """Return the variants to try; with a decision, those from the one it chose."""
    names = [variant.name for variant in block.variants]
    if settled is None:
        return block.variants
    return block.variants[names.index(settled.variant) :] if settled.variant in names else ()


def _decision(
    renderer: Renderer,
    variant: str,
    at: Instant,
    *,
    skipped: Iterable[Skipped],
    found: _Found = _NOTHING,
    inside: Mapping[str, Decision] | None = None,
) -> Decision:
    return Decision(
        variant=variant,
        version=renderer.version,
        at=at,
        products=tuple((one.product.id, one.why.value) for one in found.recommended),
        bestsellers=tuple(one.product.id for one in found.best),
        offer=found.offer.name if found.offer else "",
        skipped=tuple(skipped),
        inside=inside or {},
    )


def _found(block: Block, view: RecipientView, shelf: Shelf) -> _Found:
    catalog = shelf.catalog
    return _Found(
        recommended=recommend(catalog, viewed=view.viewed, purchased=view.purchased, n=block.products),
        best=bestsellers(catalog, view.purchased, block.products),
        stores=_stores(block, view, catalog),
        offer=_in_shop(choose(shelf.offers, view.attributes, view.now), catalog),
    )


def _found_before(settled: Decision, block: Block, view: RecipientView, shelf: Shelf) -> _Found:
    """Return what a decision was made of, as far as the catalog and the offers still have it."""
    catalog = shelf.catalog
    best = filter(None, map(catalog.by_id, settled.bestsellers))
    offers = (offer for offer in shelf.offers if offer.name == settled.offer)
    return _Found(
        recommended=tuple(
            Recommendation(product, Why(why)) for id_, why in settled.products if (product := catalog.by_id(id_))
        ),
        best=tuple(Recommendation(product, Why.BESTSELLER) for product in best),
        stores=_stores(block, view, catalog),
        offer=_in_shop(next(offers, None), catalog),
    )


def _stores(block: Block, view: RecipientView, catalog: Catalog) -> tuple[Near, ...]:
    near = any(variant.needs.stores for variant in block.variants)
    return nearest(catalog.stores, view.attributes, STORES_SHOWN) if near else ()


def _context(parameters: Mapping[str, Value], view: RecipientView, catalog: Catalog) -> dict[str, Any]:
    return {
        "request": parameters,
        "last_viewed": _product_context(view.viewed[:1], catalog),
        "last_purchased": _product_context(view.purchased[:1], catalog),
        "place": _place(view.attributes),
    }


def _product_context(ids: Sequence[str], catalog: Catalog) -> dict[str, Any]:
    for product_id in ids:
        product = catalog.by_id(product_id)
        category = {"category": product.category, "price": float(product.price)} if product else {}
        return {"product_id": product_id, **category}
    return {}


def _inputs(block: Block, catalog: Catalog, *settings: Mapping[str, Value]) -> dict[str, Value]:
    values = block.values(*settings)
    for name, one in block.inputs.items():
        if isinstance(one, UrlInput):
            values[name] = in_shop(str(values[name]), catalog.shop_url)
    return values


@dataclass(slots=True)
class _Inserting:
    """Renders the blocks inside one variant, each once however often it is inserted; see `InsertBlock`."""

    block: Block
    request: Request
    view: RecipientView
    shelf: Shelf
    track: TrackLink
    settled: Mapping[str, Decision]
    decisions: dict[str, Decision] = field(default_factory=dict)
    _bodies: dict[str, str] = field(default_factory=dict)

    def __call__(self, name: str) -> str:
        if name not in self._bodies:
            self._bodies[name] = self._render(name)
        return self._bodies[name]

    def _render(self, name: str) -> str:
        nested = self.block.blocks[name]
        renderer = self.shelf.library(nested.block)
        if renderer is None:
            raise LookupError(f"there is no block {nested.block}")
        served = serve(
            renderer,
            Request(self.request.form, self.request.query, nested.set),
            self.view,
            # Without the library: what is inside another block inserts no third.
            replace(self.shelf, library=no_library),
            self.track,
            settled=self.settled.get(name),
        )
        self.decisions[name] = served.decision
        return served.body


def _in_shop(offer: Offer | None, catalog: Catalog) -> Offer | None:
    """Return the offer with its whole address, None if it has none without a shop."""
    url = in_shop(offer.url, catalog.shop_url) if offer else ""
    return offer.model_copy(update={"url": url}) if offer and url else None


def fallback(block: Block, form: Format) -> str:
    """Return what is shown to somebody of whom nothing is known."""
    return block.fallback if form is Format.HTML else block.fallback_text


def bestsellers(catalog: Catalog, purchased: Sequence[str], n: int) -> tuple[Recommendation, ...]:
    """Return what sells best, without what the recipient just bought."""
    return recommend(catalog, viewed=(), purchased=purchased, n=n)


def variables(
    attributes: Mapping[str, Any],
    recommended: Iterable[Recommendation],
    best: Iterable[Recommendation],
    stores: Iterable[Near],
    offer: Offer | None,
) -> dict[str, Any]:
    """Return what templates can use of a recipient and a shop; `offer` only if there is one."""
    common = {
        "recipient": attributes,
        "place": _place(attributes),
        "products": [product_variables(*recommendation) for recommendation in recommended],
        "bestsellers": [product_variables(*recommendation) for recommendation in best],
        "stores": [store_variables(near) for near in stores],
    }
    return common | ({"offer": offer_variables(offer)} if offer else {})


def _place(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return where the recipient lives, as far as the profile knows it as text."""
    return {name: value.strip() for name in PLACE if isinstance(value := attributes.get(name), str) and value.strip()}


def store_variables(near: Near) -> dict[str, Any]:
    """Return a store as templates see it; `km` only if it is known, and what the catalog leaves open is empty."""
    store = near.store
    common = {name: getattr(store, name) for name in store._fields if name not in {"latitude", "longitude"}}
    return common | {"by": near.by} | ({"km": round(near.km)} if near.km is not None else {})


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
