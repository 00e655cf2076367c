"""The demonstration's events, as ingestion would hand them to the processor."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from infra.local.demo.invented import invent
from infra.local.demo.sample import load
from mailtailor.events.event import Event
from mailtailor.events.sources import segment
from mailtailor.instant import Instant
from mailtailor.profiles.identity import IdentityKind, Pseudonymizer
from mailtailor.segments.engine import Engine
from mailtailor.segments.files import load_segments

NOW: Instant = 1_790_000_000_000
SEGMENTS = Path(__file__).parents[1] / "layers" / "definitions" / "segments"
PSEUDONYMIZER = Pseudonymizer(b"bench")


def profile_id(customer: str) -> str:
    """Return the pseudonym of a customer."""
    return PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, customer)


@cache
def people_events() -> list[list[Event]]:
    """Return every person's events, in order of their time, the person's introduction first."""
    sample = load()
    shift = NOW - sample.last_order
    reception = segment.Reception(received_at=NOW, pseudonymizer=PSEUDONYMIZER, new_id=lambda: "unused")
    everybody = []
    for person in invent(sample):
        payload = {"batch": [call.payload(person.id, shift) for call in person.calls]}
        result = segment.receive("batch", payload, 1, reception)
        if result.rejected:
            raise ValueError(result.rejected[0].error)
        first, *rest = result.events
        everybody.append([first, *sorted(rest, key=lambda event: event.occurred_at)])
    return everybody


def engine() -> Engine:
    """Return an engine of the repository's segments."""
    return Engine(load_segments(SEGMENTS))
