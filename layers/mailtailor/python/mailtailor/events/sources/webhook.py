"""What a webhook source is: a function from a signed delivery to events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mailtailor.events.event import Event
from mailtailor.instant import Instant
from mailtailor.profiles.identity import Pseudonymizer


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery: header names in lower case, the body raw as it was signed."""

    headers: Mapping[str, str]
    body: bytes
    received_at: Instant


class Receive(Protocol):
    """Verifies a delivery with any of the source's secrets, then returns its events."""

    def __call__(self, delivery: Delivery, *, secrets: Sequence[str], pseudonymizer: Pseudonymizer) -> list[Event]:
        """Return the events, none if the delivery is of a kind that does not count; `Unauthorized` if not signed."""
        ...
