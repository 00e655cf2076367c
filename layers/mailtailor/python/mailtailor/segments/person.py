"""What rules look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mailtailor.consent.policy import ConsentRecord
from mailtailor.instant import Instant
from mailtailor.segments.streams import Streams
from mailtailor.segments.verdict import Verdict


class Stated(Protocol):
    """An attribute's statement."""

    @property
    def value(self) -> Any:  # noqa: ANN401 - JSON
        """What was stated."""

    @property
    def at(self) -> Instant:
        """When it happened that states it."""


@dataclass(slots=True)
class Person:
    """What rules look at, for one evaluation."""

    id: str
    streams: Streams
    attributes: Mapping[str, Stated]
    consent: ConsentRecord
    verdicts: dict[object, Verdict] = field(default_factory=dict)
    """Of what several rules ask, once it is known."""
    definitions: str = ""
    """The fingerprint of those by which this person is looked at."""


Rule = Callable[[Person, Instant], Verdict]
"""Evaluates a condition of a person at an instant."""
