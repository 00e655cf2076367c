"""Writes a rule as people would: the YAML of which it could have been read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import yaml

from mailtailor.instant import DAY, HOUR, MINUTE, SECOND, Instant
from mailtailor.segments.definition import Condition

_UNITS: Final = ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (1, "ms"))
_DURATIONS: Final = ("within", "older_than", "between")
_TYPES: Final = ("event", "minus")
_NAMED_BY_PEOPLE: Final = ("where", "last", "is", "of")
"""What is below these has names of its own."""


def as_yaml(rule: Condition) -> str:
    """Return `rule` as YAML that reads back as the same rule."""
    data = _plain(rule.model_dump(by_alias=True, exclude_defaults=True))
    text: str = yaml.safe_dump({"rule": data}, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return text


def _plain(value: Any, *, of_rule: bool = True) -> Any:  # noqa: ANN401 - whatever a rule has
    match value:
        case dict():
            return _condition(value) if of_rule else {key: _plain(one, of_rule=False) for key, one in value.items()}
        case tuple():
            return [_plain(one, of_rule=of_rule) for one in value]
        case Decimal():
            return _number(value)
        case str():
            # Of an enumeration's member, its text.
            return str(value)
    return value


def _condition(data: dict[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {}
    # What happened stands first, whatever it is asked for.
    for key in sorted(data, key=lambda key: key != "event"):
        value = data[key]
        if key in _DURATIONS:
            written[key] = _duration(value)
        elif key in _TYPES and len(value) == 1:
            written[key] = value[0]
        else:
            written[key] = _plain(value, of_rule=key not in _NAMED_BY_PEOPLE)
    return written


def _number(value: Decimal) -> int | float | str:
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(str(float(value))) == value else str(value)


def _duration(value: Instant | tuple[Instant, Instant]) -> str | list[str]:
    if isinstance(value, tuple):
        return [_written(one) for one in value]
    return _written(value)


def _written(duration: Instant) -> str:
    size, unit = next((size, unit) for size, unit in _UNITS if duration % size == 0)
    return f"{duration // size}{unit}"
