"""What segments may ask about: the events and attributes that are known, and the type of each value.

A misspelt name would make a segment that is silently empty, so files with names that nobody knows are refused. The
names are those of Segment's e-commerce (v2), e-mail, mobile and B2B specifications and of what our sources send;
`layers/definitions/events.yaml` declares others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from mailtailor.events.event import EventType
from mailtailor.segments.definition import (
    All,
    AnyOf,
    AttributeIs,
    Average,
    Condition,
    DateIn,
    Distinct,
    Filter,
    First,
    LastIs,
    LastOlderThan,
    Name,
    Not,
    Occurred,
    PropertyName,
    Scalar,
    SegmentDefinition,
    Sequence,
    Step,
    Sum,
    Test,
)

ValueType = Literal["text", "number", "boolean", "time", "list", "any"]
"""A time is text in ISO 8601, a list can only exist or not, and anything compares with what may be anything."""
Location = tuple[str | int, ...]
Types = Mapping[str, ValueType]
OfEvents = Occurred | LastOlderThan | LastIs | First | Sequence | Step | Sum | Average | Distinct

DECLARE_EVENT: Final = "Declare it in layers/definitions/events.yaml, under events, if it is meant."
DECLARE_ATTRIBUTE: Final = "Declare it in layers/definitions/events.yaml, under attributes, if it is meant."
FREE_ATTRIBUTES: Final[Types] = MappingProxyType({"web_": "any", "score_": "number"})
"""What web pages and models state of people may have any name with these beginnings."""


def _of(text: str = "", number: str = "", boolean: str = "", lists: str = "") -> dict[str, ValueType]:
    kinds: tuple[tuple[ValueType, str], ...] = (
        ("text", text),
        ("number", number),
        ("boolean", boolean),
        ("list", lists),
    )
    return {name: kind for kind, names in kinds for name in names.split()}


def _each(names: str, properties: Types) -> dict[str, Types]:
    return dict.fromkeys(names.split(), properties)


_PRODUCT: Final = _of(
    "product_id sku category name brand variant coupon currency url image_url list list_id",
    "price quantity position value total revenue",
)
_PRODUCTS: Final = {"products": "list", **{f"products.{name}": kind for name, kind in _PRODUCT.items()}}
_CART: Final = {**_of("cart_id currency coupon", "value total revenue"), **_PRODUCTS}
_ORDER: Final = {
    **_of("order_id checkout_id cart_id affiliation", "subtotal shipping tax discount"),
    **_CART,
    **_of("payment_method shipping_method reason"),
}
_CHECKOUT: Final = {**_ORDER, **_of(number="step")}
_WISHLIST: Final = {**_PRODUCT, **_of("wishlist_id wishlist_name")}
_LIST: Final = {**_of("list_id list category"), **_PRODUCTS}
_PROMOTION: Final = _of("promotion_id creative name", "position")
_COUPON: Final = _of("order_id cart_id coupon_id coupon_name coupon reason", "discount")
_PAGE: Final = _of("name category url path referrer search title")
_MAIL: Final = _of("campaign instance email_id email_subject campaign_name network user_agent machine method")
_SEEN: Final = {**_MAIL, **_of(boolean="prefetch")}
_CLICK: Final = {**_SEEN, **_of("url link_id product_id category", "position")}
_ACCOUNT: Final = _of("account_name context role type username title name email_verified method plan")
_APPLICATION: Final = _of("version build previous_version previous_build", "", "from_background")

_EVENTS: Final[Mapping[str, Types]] = {
    **_each("product_viewed product_clicked product_added product_removed", {**_PRODUCT, **_of("cart_id")}),
    **_each("product_added_to_wishlist product_removed_from_wishlist", _WISHLIST),
    **_each("wishlist_product_added_to_cart", {**_WISHLIST, **_of("cart_id")}),
    **_each("order_completed order_updated order_cancelled order_refunded", _ORDER),
    **_each("checkout_started checkout_step_viewed checkout_step_completed payment_info_entered", _CHECKOUT),
    **_each("cart_viewed cart_shared", _CART),
    **_each("product_list_viewed product_list_filtered", _LIST),
    **_each("products_searched", {**_of("query"), **_LIST}),
    **_each("product_shared", {**_PRODUCT, **_of("share_via")}),
    **_each("product_reviewed", _of("product_id review_id", "rating")),
    **_each("promotion_viewed promotion_clicked", _PROMOTION),
    **_each("coupon_entered coupon_applied coupon_denied coupon_removed", _COUPON),
    **_each("page_viewed screen_viewed", _PAGE),
    **_each("email_delivered subscribed", _MAIL),
    **_each("email_opened", _SEEN),
    **_each("email_link_clicked", _CLICK),
    **_each("email_bounced email_marked_as_spam unsubscribed", {**_MAIL, **_of("reason")}),
    **_each("signed_up signed_in signed_out account_created account_deleted", _ACCOUNT),
    **_each("trial_started trial_ended", {**_ACCOUNT, **_of("trial_start_date trial_end_date trial_plan")}),
    **_each("application_installed application_opened application_updated", _APPLICATION),
    **_each("grouped", _of("group_id name industry plan website", "employees")),
    **_each("identified aliased consent_changed", {}),
}
_ATTRIBUTES: Final[Types] = {
    **_of("first_name last_name name title username company website avatar description gender industry"),
    **_of("city region country postal_code language locale time_zone timezone plan salesforce_object"),
    **_of(number="age employees latitude longitude"),
    "birthday": "time",
    "created_at": "time",
}


class Unknown(ValueError):
    """A name that nobody knows, or a value of a type that does not compare.

    Attributes
    ----------
    reason, hint
        What is wrong, and what to do.
    location
        Where in the definition it stands, as keys and indexes.
    """

    def __init__(self, reason: str, hint: str = "", location: Location = ()) -> None:
        super().__init__(f"{reason} {hint}".strip())
        self.reason, self.hint, self.location = reason, hint, location


class Declared(BaseModel):
    """The file that declares what is not known without it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: dict[EventType, Annotated[dict[PropertyName, ValueType], Field(max_length=500)]] = Field(
        default_factory=dict, max_length=1_000
    )
    attributes: dict[Name, ValueType] = Field(default_factory=dict, max_length=500)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The events with their properties, and the attributes of people, each with its type."""

    events: Mapping[str, Types]
    attributes: Types

    def with_declared(self, declared: Declared) -> Vocabulary:
        """Return this vocabulary and what was declared; of a known event, further properties."""
        events = {name: {**self.events.get(name, {}), **own} for name, own in declared.events.items()}
        return Vocabulary({**self.events, **events}, {**self.attributes, **declared.attributes})

    def property_type(self, events: Iterable[str], name: str) -> ValueType:
        """Return the type of a property that at least one of these events has.

        Raises
        ------
        Unknown
            If there is no such event, or none of them has it.
        """
        events = tuple(events)
        for event in events:
            self.check_event(event)
        kinds = {self.events[event][name] for event in events if name in self.events[event]}
        if not kinds:
            known = dict.fromkeys(chain.from_iterable(self.events[event] for event in events))
            of = " or ".join(events) if len(events) <= 3 else f"any of the {len(events)} events"
            raise Unknown(f"{of} has no property {name!r}.", suggested(name, known) or DECLARE_EVENT)
        return kinds.pop() if len(kinds) == 1 else "any"

    def check_event(self, name: str) -> None:
        """Refuse an event that nobody knows.

        Raises
        ------
        Unknown
            With the name that may be meant.
        """
        if name not in self.events:
            raise Unknown(f"there is no event {name!r}.", suggested(name, self.events) or DECLARE_EVENT)

    def attribute_type(self, name: str) -> ValueType:
        """Return the type of an attribute of people.

        Raises
        ------
        Unknown
            If nobody knows it; with the name that may be meant, and how to declare it.
        """
        free = next((kind for start, kind in FREE_ATTRIBUTES.items() if name.startswith(start) and name != start), None)
        kind: ValueType | None = self.attributes.get(name) or free
        if kind is None:
            hint = f"{suggested(name, self.attributes)} {DECLARE_ATTRIBUTE}".strip()
            raise Unknown(f"there is no attribute {name!r}.", hint)
        return kind


KNOWN: Final = Vocabulary(_EVENTS, _ATTRIBUTES)
"""What is known without declaring it."""


def suggested(name: str, known: Iterable[str]) -> str:
    """Return the question whether the most similar known name is meant, nothing if none is similar."""
    close = get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def mismatch(wanted: Filter, kind: ValueType) -> str:
    """Return why a filter does not compare with values of a type; empty if it does."""
    if kind == "any":
        return ""
    if not isinstance(wanted, Test):
        return _unlike([wanted], kind)
    bounds = [wanted.at_least, wanted.at_most, wanted.above, wanted.below]
    of_order = [bound for bound in bounds if bound is not None]
    if kind in {"boolean", "list"} and of_order:
        return f"a {kind} has no order"
    parts = (("contains", wanted.contains), ("prefix", wanted.prefix), ("suffix", wanted.suffix))
    of_text = [name for name, part in parts if part is not None]
    if of_text and kind not in {"text", "time"}:
        return f"{of_text[0]} is for text, and this is a {kind}"
    equal = [one for one in (wanted.is_, wanted.not_, *(wanted.in_ or ()), *(wanted.not_in or ())) if one is not None]
    return _unlike([*equal, *of_order], kind)


def _unlike(values: Iterable[Scalar], kind: ValueType) -> str:
    for value in values:
        is_truth, is_text = isinstance(value, bool), isinstance(value, str)
        alike = {
            "text": is_text,
            "time": is_text,
            "number": not is_truth and not is_text,
            "boolean": is_truth,
        }.get(kind, False)
        if not alike:
            return f"{value!r} does not compare with a {kind}"
    return ""


def check(definition: SegmentDefinition, vocabulary: Vocabulary = KNOWN) -> None:
    """Refuse a definition that names what nobody knows, or compares what does not compare.

    Raises
    ------
    Unknown
        With the place of the first fault.
    """
    for location, condition in located(definition.rule, ("rule",)):
        with _at(*location):
            _check(condition, vocabulary)


def located(rule: Condition, location: Location) -> Iterator[tuple[Location, Condition]]:
    """Yield all conditions with where they stand."""
    yield location, rule
    match rule:
        case All():
            for index, one in enumerate(rule.all):
                yield from located(one, (*location, "all", index))
        case AnyOf():
            for index, one in enumerate(rule.any):
                yield from located(one, (*location, "any", index))
        case Not():
            yield from located(rule.not_, (*location, "not"))


@contextmanager
def _at(*location: str | int) -> Iterator[None]:
    """Tell of a fault inside where it stands."""
    try:
        yield
    except Unknown as fault:
        raise Unknown(fault.reason, fault.hint, (*location, *fault.location)) from fault


def _check(condition: Condition, vocabulary: Vocabulary) -> None:
    match condition:
        case Sum():
            _check_events(condition, vocabulary)
            _check_measured(condition, "sum", condition.sum, vocabulary)
        case Average():
            _check_events(condition, vocabulary)
            _check_measured(condition, "average", condition.average, vocabulary)
        case Distinct():
            _check_events(condition, vocabulary)
            _check_measured(condition, "distinct", condition.distinct, vocabulary)
        case Sequence():
            _check_events(condition, vocabulary)
            with _at("followed_by" if condition.followed_by is not None else "not_followed_by"):
                _check_step(condition.event, condition.step, vocabulary)
        case LastIs():
            _check_events(condition, vocabulary)
            _check_filters(condition.event, "last", condition.last, vocabulary)
        case Occurred() | LastOlderThan() | First():
            _check_events(condition, vocabulary)
        case AttributeIs():
            with _at("attribute"):
                kind = vocabulary.attribute_type(condition.attribute)
            with _at("is"):
                _compare(condition.attribute, condition.is_, kind)
        case DateIn():
            _check_date(condition, vocabulary)


def _check_events(condition: OfEvents, vocabulary: Vocabulary) -> None:
    for key, events in (("event", condition.event), ("minus", condition.minus if isinstance(condition, Sum) else ())):
        with _at(key):
            for event in events:
                vocabulary.check_event(event)
    _check_filters(condition.event, "where", condition.where, vocabulary)


def _check_filters(events: tuple[str, ...], key: str, filters: Mapping[str, Filter], vocabulary: Vocabulary) -> None:
    for name, wanted in filters.items():
        with _at(key, name):
            _compare(name, wanted, vocabulary.property_type(events, name))


def _check_measured(condition: Sum | Average | Distinct, key: str, name: str, vocabulary: Vocabulary) -> None:
    with _at(key):
        kind = vocabulary.property_type(condition.event, name)
        if kind == "list":
            raise Unknown(f"{name} is a list.", f"Name a property of its entries, such as {name}.product_id.")
        if key != "distinct" and kind not in {"number", "any"}:
            raise Unknown(f"{name} is a {kind}, which has no {key}.")


def _check_step(first: tuple[str, ...], step: Step, vocabulary: Vocabulary) -> None:
    _check_events(step, vocabulary)
    if step.same is not None:
        with _at("same"):
            vocabulary.property_type(first, step.same)
            vocabulary.property_type(step.event, step.same)


def _check_date(condition: DateIn, vocabulary: Vocabulary) -> None:
    for key, kinds in (
        ("date", "time text any"),
        ("anniversary", "time text any"),
        ("time_zone_attribute", "text any"),
    ):
        name = getattr(condition, key)
        if name is not None:
            with _at(key):
                kind = vocabulary.attribute_type(name)
                if kind not in kinds.split():
                    raise Unknown(f"{name} is a {kind}, and no {kinds.split()[0]}.")


def _compare(name: str, wanted: Filter, kind: ValueType) -> None:
    if fault := mismatch(wanted, kind):
        raise Unknown(f"{name}: {fault}.")
