"""The segment language: a tree of conditions, as people write it and as functions load it.

A definition is untrusted text, so pydantic reads it: unknown keys, empty lists and windows of nothing are refused
with the place where they stand.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from mailtailor.events.event import EventType
from mailtailor.instant import DAY, HOUR, MINUTE, SECOND

MAX_WINDOW: Final = 400 * DAY
"""As long as profiles remember; a longer window would silently count less than it says."""
MAX_COUNT: Final = 1_000

_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_DURATION: Final = re.compile(r"^(\d{1,9})\s*([smhd])$")


def _duration(value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
    if isinstance(value, str):
        match = _DURATION.match(value.strip())
        if match is None:
            raise ValueError(f"{value!r} is no duration; write a number and s, m, h or d, such as 48h or 30d")
        return int(match[1]) * _UNITS[match[2]]
    return value


Duration = Annotated[int, BeforeValidator(_duration), Field(gt=0, le=MAX_WINDOW, strict=True)]
"""Milliseconds; written as `30m`, `48h`, `7d`."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Scalar = str | int | float | bool


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class In(_Node):
    """The property equals one of these."""

    in_: Annotated[tuple[Scalar, ...], Field(alias="in", min_length=1, max_length=1_000)]


class Exists(_Node):
    """The property is present, or absent."""

    exists: bool


Filter = Scalar | In | Exists
"""What an event's property must be: a value it equals, or a condition."""
Filters = dict[str, Filter]


class Occurred(_Node):
    """At least so many matching events in a window that ends now: `ts <= now < ts + within`."""

    event: tuple[EventType, ...] = Field(min_length=1)
    where: Filters = Field(default_factory=dict)
    at_least: int = Field(default=1, ge=1, le=MAX_COUNT, strict=True)
    within: Duration
    include_machine: bool = Field(default=False, strict=True)
    """Count opens and clicks that machines made, too."""

    _events = field_validator("event", mode="before")(lambda value: [value] if isinstance(value, str) else value)


class LastOlderThan(_Node):
    """There is a matching event, and the last is at least this old: true from `ts + older_than` on."""

    event: tuple[EventType, ...] = Field(min_length=1)
    where: Filters = Field(default_factory=dict)
    older_than: Duration
    include_machine: bool = Field(default=False, strict=True)
    """Count opens and clicks that machines made, too."""

    _events = field_validator("event", mode="before")(lambda value: [value] if isinstance(value, str) else value)


class OpenedShare(_Node):
    """Of the messages delivered in the window, at least this share was opened; false when none was delivered."""

    opened_share: Decimal = Field(gt=0, le=1)
    within: Duration
    include_machine: bool = Field(default=False, strict=True)
    """Count opens and clicks that machines made, too."""


class All(_Node):
    """All conditions hold."""

    all: tuple[Condition, ...] = Field(min_length=1)


class AnyOf(_Node):
    """At least one condition holds."""

    any: tuple[Condition, ...] = Field(min_length=1)


class Not(_Node):
    """The condition does not hold."""

    not_: Annotated[Condition, Field(alias="not")]


_KEYS: Final = {
    "all": "all",
    "any": "any",
    "not": "not",
    "not_": "not",
    "older_than": "last_older_than",
    "opened_share": "opened_share",
    "event": "occurred",
}


def _kind(value: Any) -> str | None:  # noqa: ANN401 - whatever stands in the file
    """Tell a condition's kind by the key that only it has, so that an error speaks of that kind alone."""
    keys = value.keys() if isinstance(value, dict) else type(value).model_fields if isinstance(value, _Node) else ()
    return next((kind for key, kind in _KEYS.items() if key in keys), None)


Condition = Annotated[
    Annotated[All, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")]
    | Annotated[Occurred, Tag("occurred")]
    | Annotated[LastOlderThan, Tag("last_older_than")]
    | Annotated[OpenedShare, Tag("opened_share")],
    Discriminator(
        _kind,
        custom_error_type="unknown_condition",
        custom_error_message="a condition has one of the keys all, any, not, event, older_than, opened_share",
    ),
]

MAX_DEPTH: Final = 20


class SegmentDefinition(_Node):
    """A segment: its name, what it means to people, and its rule."""

    name: Name
    description: str = Field(min_length=1, max_length=500)
    rule: Condition

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, data: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
        if _depth(data) > MAX_DEPTH:
            raise ValueError(f"conditions are nested deeper than {MAX_DEPTH}")
        return data


def _depth(data: Any) -> int:  # noqa: ANN401 - whatever stands in the file
    """Return how deep `data` is nested, without recursion: it may be hostile."""
    depth, level = 0, [data]
    while level and depth < MAX_DEPTH * 2 + 2:
        depth += 1
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return depth // 2
