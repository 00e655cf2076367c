"""A later try with items that could not be used when they came."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from mailtailor.errors import BadInput
from mailtailor.events.event import Event
from mailtailor.events.parked import Parked, ParkedItem
from mailtailor.events.sources import segment
from mailtailor.events.sources.registry import webhook_source
from mailtailor.events.sources.webhook import Normalizing, normalized
from mailtailor.profiles.identity import Pseudonymizer


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a later try gave: events, and the items that still cannot be used, with today's reason."""

    events: list[Event]
    left: tuple[ParkedItem, ...]


def replay(parked: Parked, pseudonymizer: Pseudonymizer) -> Replayed:
    """Normalize parked items as if they had just come, at the time at which they did come.

    Raises
    ------
    NotFound
        If their source is not known any more.
    """
    events: list[Event] = []
    left: list[ParkedItem] = []
    for one in parked.items:
        try:
            events += _events(parked, one, pseudonymizer)
        except BadInput as error:
            left.append(ParkedItem(one.item, error.message))
    return Replayed(events, tuple(left))


def _events(parked: Parked, one: ParkedItem, pseudonymizer: Pseudonymizer) -> list[Event]:
    if parked.source == segment.SOURCE:
        reception = segment.Reception(parked.received_at, pseudonymizer, new_id=lambda: uuid4().hex)
        return segment.replayed(one.item, reception)
    source = webhook_source(parked.source)
    return normalized(source, one.item, Normalizing(source.name, parked.received_at, pseudonymizer))
