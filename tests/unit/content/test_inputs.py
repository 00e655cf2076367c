"""What inputs and parameters may hold."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from mailtailor.content.block import RESERVED, Block
from mailtailor.content.inputs import Input
from tests.unit.content.blocks import block

ACCENT: dict[str, Any] = {"type": "colour", "default": "#9a4a1f"}
SHOWN: dict[str, Any] = {"type": "number", "default": 4, "at_least": 1, "at_most": 12}


def read(declared: dict[str, Any]) -> Input:
    made: Input = TypeAdapter(Input).validate_python(declared)
    return made


@pytest.mark.parametrize(("declared", "value"), [(ACCENT, "#AbCdEf"), (SHOWN, 1), (SHOWN, 2.5), (SHOWN, 12)])
def test_what_fits_is_held(declared: dict[str, Any], value: object) -> None:
    assert read(declared).check(value) == value


@pytest.mark.parametrize(
    ("declared", "value", "message"),
    [
        (ACCENT, "#abc", "a colour is needed"),
        (ACCENT, "red", "a colour is needed"),
        (ACCENT, "#ggaabb", "a colour is needed"),
        (ACCENT, "#1_2_34", "a colour is needed"),
        (ACCENT, "#+12345", "a colour is needed"),
        (ACCENT, "#12345\n", "a colour is needed"),
        (ACCENT, 7, "a colour is needed"),
        (SHOWN, "4", "a number is needed"),
        (SHOWN, True, "a number is needed"),
        (SHOWN, 0, "from 1 to 12"),
        (SHOWN, nan, "from 1 to 12"),
        (SHOWN, inf, "from 1 to 12"),
        (SHOWN, 10**400, "from 1 to 12"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(declared: dict[str, Any], value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(declared).check(value)


@pytest.mark.parametrize("bound", ["at_least", "at_most"])
def test_a_number_has_bounds_that_json_can_hold(bound: str) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        read(SHOWN | {bound: inf if bound == "at_most" else -inf})


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_parameter_cannot_be_called_as_what_names_the_recipient_or_the_message(name: str) -> None:
    declared = block("<p>x</p>").model_dump(by_alias=True) | {"request": {name: {"type": "text"}}}

    with pytest.raises(ValidationError, match="every fetch has a parameter"):
        Block.model_validate(declared)
