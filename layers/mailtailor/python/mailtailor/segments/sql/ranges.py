"""What a value, an age or a number must be, and all that several comparisons with it leave over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from mailtailor.segments.definition import Filter, Scalar, Test

Tests = Mapping[str, Any]
"""A `Test` as a mapping; equality is `in`, of one value too."""
OPPOSITES: Final = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
MIRRORED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""What `5 < price` says of the price."""
BOUNDS: Final = {">=": "at_least", "<=": "at_most", ">": "above", "<": "below"}
_TEXTS: Final = ("contains", "prefix", "suffix")


class Impossible(Exception):
    """Comparisons that nothing passes."""


class Apart(Exception):
    """Comparisons that one test cannot hold together."""


@dataclass(frozen=True, slots=True)
class Ages:
    """From which age on, and up to which: half-open, in milliseconds; no `end` is as far back as profiles remember."""

    least: int = 0
    end: int | None = None

    def narrowed(self, other: Ages) -> Ages:
        """Return the ages in both.

        Raises
        ------
        Impossible
            If there is none.
        """
        ends = [one.end for one in (self, other) if one.end is not None]
        both = Ages(max(self.least, other.least), min(ends) if ends else None)
        if both.end is not None and both.end <= both.least:
            raise Impossible
        return both


ALL_AGES: Final = Ages()


def ages(operator: str, before_now: int) -> Ages:
    """Return the ages of what a time compares so with "now less `before_now`"; events are of whole milliseconds.

    Raises
    ------
    Impossible
        If there is none, for nothing happens in the future.
    """
    match operator:
        case ">":
            return ALL_AGES.narrowed(Ages(0, before_now))
        case ">=":
            return ALL_AGES.narrowed(Ages(0, before_now + 1))
        case "<":
            return Ages(max(0, before_now + 1))
        case _:
            return Ages(max(0, before_now))


def numbers(operator: str, value: Decimal) -> tuple[int, int | None]:
    """Return the least and the greatest whole number from 0 on that compares so.

    Raises
    ------
    Impossible
        If there is none.
    """
    found: tuple[int, int | None]
    match operator:
        case "==":
            found = (math.ceil(value), math.floor(value))
        case ">":
            found = (max(0, math.floor(value) + 1), None)
        case ">=":
            found = (max(0, math.ceil(value)), None)
        case "<":
            found = (0, math.ceil(value) - 1)
        case _:
            found = (0, math.floor(value))
    if found[1] is not None and found[1] < found[0]:
        raise Impossible
    return found


def both(one: Tests, other: Tests) -> dict[str, Any]:
    """Return the test of values that pass both.

    Raises
    ------
    Impossible
        If none does.
    Apart
        If a single test cannot say so.
    """
    if _of_text(one) and _of_text(other) and one.get("ignore_case", False) != other.get("ignore_case", False):
        raise Apart
    result = dict(one)
    for key, value in other.items():
        result[key] = _joined(key, result[key], value) if key in result else value
    if result.get("exists") is False and len(result) > 1:
        raise Impossible
    _check_bounds(result)
    return _without_unwanted(result)


def _check_bounds(tests: Tests) -> None:
    for low in ("at_least", "above"):
        for high in ("at_most", "below"):
            if low in tests and high in tests:
                narrow = (low, high) == ("at_least", "at_most")
                if tests[low] > tests[high] or (tests[low] == tests[high] and not narrow):
                    raise Impossible


def _without_unwanted(tests: dict[str, Any]) -> dict[str, Any]:
    """Return the same test without values that it wants and does not want."""
    if "in" not in tests or "not_in" not in tests or tests.get("ignore_case"):
        return tests
    unwanted = {_same(value) for value in tests["not_in"]}
    left = tuple(value for value in tests["in"] if _same(value) not in unwanted)
    if not left:
        raise Impossible
    return {**{key: value for key, value in tests.items() if key != "not_in"}, "in": left}


def _of_text(tests: Tests) -> bool:
    values = [*tests.get("in", ()), *tests.get("not_in", ())]
    return any(key in tests for key in _TEXTS) or any(isinstance(one, str) for one in values)


def _joined(key: str, one: Any, other: Any) -> Any:  # noqa: ANN401 - whatever a test compares with
    match key:
        case "in":
            common = tuple(value for value in one if _same(value) in {_same(wanted) for wanted in other})
            if not common:
                raise Impossible
            return common
        case "not_in":
            return tuple({_same(value): value for value in (*one, *other)}.values())
        case "at_least" | "above":
            return max(one, other)
        case "at_most" | "below":
            return min(one, other)
        case "ignore_case":
            return one
        case "exists" if one != other:
            raise Impossible
        case _ if one != other:
            raise Apart
    return one


def _same(value: Scalar) -> tuple[bool, Scalar]:
    return isinstance(value, bool), value


def either(one: Tests, other: Tests) -> dict[str, Any] | None:
    """Return the test of values that pass one of two equalities, None if they are other tests."""
    keys = set(one) | set(other)
    if "in" not in one or "in" not in other or keys - {"in", "ignore_case"}:
        return None
    if one.get("ignore_case", False) != other.get("ignore_case", False):
        return None
    return {**one, "in": tuple({_same(value): value for value in (*one["in"], *other["in"])}.values())}


def as_filter(tests: Tests) -> Filter:
    """Return tests as definitions have them: the plain value, or `is` and `not`, for lists of one."""
    written = dict(tests)
    for many, single in (("in", "is"), ("not_in", "not")):
        if len(written.get(many, ())) == 1:
            written[single] = written.pop(many)[0]
    if written.get("exists") and set(written) - {"exists", "not", "not_in", "ignore_case"}:
        del written["exists"]
    if set(written) == {"is"}:
        value: Scalar = written["is"]
        return value
    return Test.model_validate(written)
