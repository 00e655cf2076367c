"""What administrators ask about blocks comes as JSON that nobody checked."""

from __future__ import annotations

from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mailtailor.errors import BadInput

R = TypeVar("R", bound="AdminRequest")

_OF_UNIONS: Final = ("constrained-int", "literal['newest']")
"""Pydantic names the members of a union as if they were fields."""


class AdminRequest(BaseModel):
    """A request; it has no fields but those it declares."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_request(payload: object, kind: type[R]) -> R:
    """Return the request that untrusted JSON is; raise `BadInput`, which names the field, if it is none."""
    try:
        return kind.model_validate(payload)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in fault["loc"] if part not in _OF_UNIONS) or "The request"
        message = fault["msg"].removeprefix("Value error, ").rstrip(".")
        raise BadInput(f"{where}: {message}.", f"It takes {', '.join(kind.model_fields)}.") from error
