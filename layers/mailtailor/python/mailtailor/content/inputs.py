"""What can be set in a block from outside: by a marketer in its inputs, by the ESP in its request."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, field_validator, model_validator

from mailtailor.tracking.destination import SLOT, BadDestination, check_destination

Value = str | int | float
"""What an input holds."""
_COLOUR: Final = r"^#[0-9a-fA-F]{6}$"
Colour = Annotated[str, StringConstraints(pattern=_COLOUR)]
MAX_TEXT: Final = 1_000
_PATH_IN_SHOP: Final = "https://shop.example"


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = Field(default="", max_length=300)


class TextInput(_Input):
    """A line or paragraph of plain text; what it holds is escaped like all data."""

    type: Literal["text"]
    default: str = ""
    max_length: int = Field(default=200, ge=1, le=MAX_TEXT, strict=True)

    @model_validator(mode="after")
    def _default_fits(self) -> TextInput:
        self.check(self.default)
        return self

    def check(self, value: object) -> str:
        """Return `value` if the input may hold it.

        Raises
        ------
        ValueError
            Says why not.
        """
        if not isinstance(value, str):
            raise ValueError("a text is needed")  # noqa: TRY004 - pydantic tells of a ValueError alone
        if len(value) > self.max_length:
            raise ValueError(f"the text has more than {self.max_length} characters")
        return value

    def read(self, raw: str) -> str:
        """Return what a query holds; raise `ValueError` as `check` does."""
        return self.check(raw)


class NumberInput(_Input):
    """A number between two others, both included."""

    type: Literal["number"]
    default: int | float = 0
    at_least: int | FiniteFloat = 0
    at_most: int | FiniteFloat = 1_000_000

    @model_validator(mode="after")
    def _default_fits(self) -> NumberInput:
        self.check(self.default)
        return self

    def check(self, value: object) -> int | float:
        """Return `value` if the input may hold it; raise `ValueError` if not."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError("a number is needed")  # noqa: TRY004 - as above
        if not self.at_least <= value <= self.at_most:
            raise ValueError(f"the number must be from {self.at_least} to {self.at_most}")
        return value

    def read(self, raw: str) -> int | float:
        """Return the number that a query holds; raise `ValueError` if it is none, or out of bounds."""
        if len(raw) > 20 or "_" in raw:
            raise ValueError("a number is needed")
        try:
            number: int | float = float(raw) if set(raw) & set(".eE") else int(raw)
        except ValueError as error:
            raise ValueError("a number is needed") from error
        return self.check(number)


class ColourInput(_Input):
    """A colour, `#rrggbb`: mail clients know no other form everywhere."""

    type: Literal["colour"]
    default: Colour

    def check(self, value: object) -> str:
        """Return `value` if it is a colour; raise `ValueError` if not."""
        if not isinstance(value, str) or not re.fullmatch(_COLOUR, value):
            raise ValueError("a colour is needed, such as #9a4a1f")
        return value


class UrlInput(_Input):
    """Where a link leads: an http(s) address, or a path in the catalog's shop."""

    type: Literal["url"]
    default: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]

    @field_validator("default")
    @classmethod
    def _leads_somewhere(cls, url: str) -> str:
        return _checked_url(url)

    def check(self, value: object) -> str:
        """Return `value` if a tracked link may lead there; raise `ValueError` if not."""
        return _checked_url(value)


class ChoiceInput(_Input):
    """One of a few words; the first is the default unless another is named."""

    type: Literal["choice"]
    of: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=60)], ...], Field(min_length=1, max_length=100)
    ]
    default: str = ""

    @model_validator(mode="before")
    @classmethod
    def _first_by_default(cls, data: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
        choices = data.get("of") if isinstance(data, dict) else None
        return {"default": choices[0], **data} if isinstance(choices, list) and choices else data

    @model_validator(mode="after")
    def _default_fits(self) -> ChoiceInput:
        self.check(self.default)
        return self

    def check(self, value: object) -> str:
        """Return `value` if it is one of the choices; raise `ValueError` if not."""
        if value not in self.of:
            raise ValueError(f"it must be one of {', '.join(self.of)}")
        return str(value)

    def read(self, raw: str) -> str:
        """Return what a query holds; raise `ValueError` as `check` does."""
        return self.check(raw)


Input = Annotated[TextInput | NumberInput | ColourInput | UrlInput | ChoiceInput, Field(discriminator="type")]
"""What a marketer may set."""
Parameter = Annotated[TextInput | NumberInput | ChoiceInput, Field(discriminator="type")]
"""What an ESP may add to a fetch's query. No address and no colour: whoever writes the query would choose them."""


def _checked_url(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("an address is needed")  # noqa: TRY004 - as above
    try:
        check_destination(_PATH_IN_SHOP + value if value.startswith("/") and not value.startswith("//") else value)
    except BadDestination as error:
        raise ValueError(error.message) from error
    if SLOT in value:
        raise ValueError("the address holds a character that is none")
    return value
