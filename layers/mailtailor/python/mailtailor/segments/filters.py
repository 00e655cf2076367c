"""Compiles filters: what a property or an attribute must be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from operator import ge, gt, le, lt
from typing import Any

from mailtailor.segments.definition import Filter, Scalar, Test

Matches = Callable[[Mapping[str, Any]], bool]
"""Tells whether an event's properties pass all filters."""
Passes = Callable[[list[Any]], bool]
"""Tells whether the values that a property has pass a filter; an absent one has none."""


def matcher(filters: Iterable[tuple[str, Filter]]) -> Matches:
    """Return a function that tells whether properties pass all `filters`."""
    tests = [(path, passes(wanted)) for path, wanted in filters]
    if not tests:
        return lambda _: True
    return lambda properties: all(test(values_at(properties, path)) for path, test in tests)


def values_at(properties: Mapping[str, Any], path: str) -> list[Any]:
    """Return the values at a path such as `products.category`: several if it passes through a list, none if absent."""
    value = properties.get(path)
    if value is not None:
        return [value]
    return list(_reached(properties, path.split("."))) if "." in path else []


def _reached(value: Any, steps: list[str]) -> Iterator[Any]:  # noqa: ANN401 - JSON
    if not steps:
        if value is not None:
            yield value
    elif isinstance(value, Mapping):
        yield from _reached(value.get(steps[0]), steps[1:])
    elif isinstance(value, list):
        for one in value:
            if isinstance(one, Mapping):
                yield from _reached(one.get(steps[0]), steps[1:])


def accepted(wanted: Filter) -> list[object] | None:
    """Return the values, as `comparable`, of which a property must have one; None if the filter asks for another thing.

    An index by value finds what such filters let pass without trying each.
    """
    if not isinstance(wanted, Test):
        return [comparable(wanted)]
    if wanted.model_fields_set == {"in_"} and wanted.in_:
        return [comparable(one) for one in wanted.in_]
    return [comparable(wanted.is_)] if wanted.model_fields_set == {"is_"} else None


def comparable(value: object) -> object:
    """Keep true apart from 1, and lists and objects (which no filter equals) hashable."""
    return (type(value) is bool, value) if isinstance(value, str | int | float) else None


def passes(wanted: Filter) -> Passes:
    """Return a function that tells whether one of a property's values is wanted, and none unwanted."""
    if not isinstance(wanted, Test):
        only = comparable(wanted)
        return lambda values: any(comparable(value) == only for value in values)
    fold = _folded if wanted.ignore_case else comparable
    positive, negative = list(_positive(wanted, fold)), _negative(wanted, fold)

    def test(values: list[Any]) -> bool:
        if wanted.exists is not None and bool(values) != wanted.exists:
            return False
        if positive and not any(all(one(value) for one in positive) for value in values):
            return False
        return not any(fold(value) in negative for value in values)

    return test


def _folded(value: object) -> object:
    return (False, value.casefold()) if isinstance(value, str) else comparable(value)


def _positive(wanted: Test, fold: Callable[[object], object]) -> Iterator[Callable[[Any], bool]]:
    one_of = [*(wanted.in_ or ())]
    if one_of:
        accepted_ones = {fold(one) for one in one_of}
        yield lambda value: fold(value) in accepted_ones
    if wanted.is_ is not None:
        only = fold(wanted.is_)
        yield lambda value: fold(value) == only
    yield from _of_text(wanted)
    yield from _of_order(wanted)


def _negative(wanted: Test, fold: Callable[[object], object]) -> set[object]:
    unwanted: list[Scalar] = [*(wanted.not_in or ()), *(() if wanted.not_ is None else (wanted.not_,))]
    return {fold(one) for one in unwanted}


def _of_text(wanted: Test) -> Iterator[Callable[[Any], bool]]:
    cased: Callable[[str], str] = str.casefold if wanted.ignore_case else str
    tests: tuple[tuple[str | None, Callable[[str, str], bool]], ...] = (
        (wanted.contains, str.__contains__),
        (wanted.prefix, str.startswith),
        (wanted.suffix, str.endswith),
    )
    for part, test in tests:
        if part is not None:
            yield partial(_text_passes, cased, test, cased(part))


def _text_passes(cased: Callable[[str], str], test: Callable[[str, str], bool], part: str, value: object) -> bool:
    return isinstance(value, str) and test(cased(value), part)


def _of_order(wanted: Test) -> Iterator[Callable[[Any], bool]]:
    tests: tuple[tuple[float | str | None, Callable[[Any, Any], bool]], ...] = (
        (wanted.at_least, ge),
        (wanted.at_most, le),
        (wanted.above, gt),
        (wanted.below, lt),
    )
    for bound, test in tests:
        if bound is not None:
            yield partial(_order_passes, test, bound)


def _order_passes(test: Callable[[Any, Any], bool], bound: float | str, value: object) -> bool:
    return _alike(value, bound) and test(value, bound)


def _alike(value: object, bound: float | str) -> bool:
    if isinstance(bound, str):
        return isinstance(value, str)
    return isinstance(value, int | float) and not isinstance(value, bool)
