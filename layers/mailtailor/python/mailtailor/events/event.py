"""The normalized event: who did what, when, and where we know it from.

Its JSON Schema is published as docs/event.schema.json. A field that is added, with a default, keeps the version; one
that changes its meaning or goes away needs a new one, which readers of the archive and of queues are taught first.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from mailtailor.consent.policy import Basis, Purpose
from mailtailor.events.names import EventType as EventType  # noqa: PLC0414 - names of events are looked for here
from mailtailor.events.names import ProfileId as ProfileId  # noqa: PLC0414
from mailtailor.instant import Instant
from mailtailor.profiles.identity import IdentityKind

MAX_EVENT_ID: Final = 200
_WORD_BREAK: Final = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")


class Identity(BaseModel):
    """An outside key of a profile, as a pseudonym: the id of the profile it would have by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: IdentityKind
    id: ProfileId


class Event(BaseModel):
    """One thing that happened.

    `occurred_at` is the source's time, clamped to `received_at`, for a clock that runs ahead must not keep a
    recipient in a segment. `profile_id` comes from a token; otherwise `identities` holds pseudonyms, strongest
    first. `properties` say what happened, `attributes` what the person is from then on, `context` around what it
    happened (page, campaign, device), `consent` what was stated with it. `basis` is why it may be kept; whoever
    admits it sets it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    id: str = Field(min_length=1, max_length=MAX_EVENT_ID)
    type: EventType
    source: str = Field(min_length=1, max_length=40)
    profile_id: ProfileId | None = None
    identities: tuple[Identity, ...] = Field(default=(), max_length=4)
    occurred_at: Instant = Field(ge=0)
    received_at: Instant = Field(ge=0)
    properties: dict[str, JsonValue] = Field(default_factory=dict)
    attributes: dict[str, JsonValue] = Field(default_factory=dict)
    context: dict[str, JsonValue] = Field(default_factory=dict)
    consent: dict[Purpose, bool] = Field(default_factory=dict)
    basis: Basis | None = None

    @model_validator(mode="before")
    @classmethod
    def _clamp(cls, data: Any) -> Any:  # noqa: ANN401 - pydantic hands over whatever came in
        if isinstance(data, dict):
            occurred, received = data.get("occurred_at"), data.get("received_at")
            if isinstance(occurred, int) and isinstance(received, int) and occurred > received:
                return {**data, "occurred_at": received}
        return data

    @model_validator(mode="after")
    def _names_somebody(self) -> Event:
        if self.profile_id is None and not self.identities:
            raise ValueError("the event names nobody: profile_id or identities is needed")
        return self


def event_type(name: str) -> str:
    """Return an event's name in our form: Segment's "Product Viewed" becomes `product_viewed`.

    Source of the names: Segment's e-commerce and e-mail event specifications.
    """
    return "_".join(part.lower() for part in _WORD_BREAK.split(name) if part)[:64]
