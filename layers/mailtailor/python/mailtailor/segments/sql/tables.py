"""The tables that queries read: views of what happened and of who people are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from mailtailor.segments.vocabulary import DECLARE_EVENT, Unknown, ValueType, Vocabulary, suggested

Kind = Literal["events", "profiles", "segments"]
Role = Literal["user", "event", "row", "last", "first", "value"]
"""What a column is: who, what happened, when (this row, the person's last or first one), or any other value."""

USER: Final = frozenset({"user_id", "profile_id"})
EVENT: Final = frozenset({"event", "event_type", "type"})
SEGMENT: Final = frozenset({"segment", "segment_name", "name"})
_TIMES: Final = frozenset({"occurred_at", "timestamp", "ts", "time", "event_time", "event_date", "created_at"})
_WORDS: Final = ("occurred", "seen", "event")


@dataclass(frozen=True, slots=True)
class Table:
    """A view.

    Attributes
    ----------
    name, kind
        As queries name it, and what its rows are.
    events
        Which events are its rows; none for all.
    words
        What happened, as in `viewed_at`, `last_viewed` and `first_viewed`.
    columns
        Other names of properties.
    """

    name: str
    kind: Kind = "events"
    events: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Column:
    """What a column is, and of a value the property's or attribute's name and type."""

    role: Role
    name: str
    type: ValueType = "any"


def _view(name: str, events: str, words: str, columns: Mapping[str, str] | None = None) -> Table:
    return Table(name, "events", tuple(events.split()), tuple(words.split()), columns or {})


_PRODUCT: Final = {"product": "product_id"}
_BOUGHT: Final = dict.fromkeys(("product", "product_purchased"), "products.product_id")
_VIEWS: Final = {
    one.name: one
    for one in (
        Table("events"),
        Table("profiles", "profiles"),
        Table("segments", "segments"),
        _view(
            "browsing_events",
            "product_viewed email_link_clicked",
            "viewed clicked browsed",
            _PRODUCT | {"product_viewed": "product_id"},
        ),
        _view("purchases", "order_completed", "purchase purchased order ordered", _BOUGHT),
        _view("orders", "order_completed", "purchase purchased order ordered", _BOUGHT),
        _view("refunds", "order_refunded", "refund refunded", _BOUGHT),
        _view("cart_additions", "product_added", "added", _PRODUCT | {"product_added": "product_id"}),
        _view("deliveries", "email_delivered", "delivered delivery"),
        _view("opens", "email_opened", "opened open"),
        _view("clicks", "email_link_clicked", "clicked click", _PRODUCT),
        _view("page_views", "page_viewed", "viewed view"),
    )
}


def table(name: str, vocabulary: Vocabulary) -> Table:
    """Return the view of a name; each known event has one of its own.

    Raises
    ------
    Unknown
        If there is none.
    """
    known = _VIEWS.get(name)
    if known is not None:
        return known
    if name in vocabulary.events:
        return Table(name, "events", (name,), (name.rpartition("_")[2],))
    hint = suggested(name, [*_VIEWS, *vocabulary.events])
    raise Unknown(f"there is no table {name!r}.", hint or f"There are {', '.join(_VIEWS)}, and one of each event.")


def column(of: Table, name: str, vocabulary: Vocabulary) -> Column:
    """Return what a column of a table is.

    Raises
    ------
    Unknown
        If there is none of that name.
    """
    if name in USER:
        return Column("user", "user_id", "text")
    if of.kind == "profiles":
        return Column("value", name, vocabulary.attribute_type(name))
    if of.kind == "segments":
        if name in SEGMENT:
            return Column("value", "segment", "text")
        raise Unknown(f"{of.name} has no column {name!r}.", "It has user_id and segment.")
    return _of_events(of, name, vocabulary)


def _of_events(of: Table, name: str, vocabulary: Vocabulary) -> Column:
    if name in EVENT and not of.events:
        return Column("event", name, "text")
    path = of.columns.get(name, name)
    events = of.events or tuple(vocabulary.events)
    # An order has no category, its products have.
    for known in (path, f"products.{path}"):
        if any(known in vocabulary.events.get(event, ()) for event in events):
            return Column("value", known, vocabulary.property_type(events, known))
    if name in EVENT:
        return Column("event", name, "text")
    rows = {*_TIMES, *(f"{word}_{end}" for word in of.words for end in ("at", "date", "time"))}
    if name in rows:
        return Column("row", name, "time")
    moments = {*rows, *of.words, *_WORDS}
    edge, _, rest = name.partition("_")
    if rest in moments and edge in {"last", "first"}:
        return Column("last" if edge == "last" else "first", name, "time")
    values = {one.removeprefix("products.") for event in events for one in vocabulary.events.get(event, ())}
    edges = {f"{edge}_{one}" for edge in ("last", "first") for one in moments}
    hint = suggested(name, [*values, *of.columns, *rows, *edges, "user_id", "event"])
    raise Unknown(f"{of.name} has no column {name!r}.", hint or DECLARE_EVENT)
