"""Segments, blocks, offers and countdowns as the build compiled them, validated and read once."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from mailtailor.content.block import Block
from mailtailor.content.offer import OfferList
from mailtailor.errors import MailtailorError
from mailtailor.segments.definition import SegmentDefinition

if TYPE_CHECKING:
    from mailtailor.content.countdown import CountdownList

T = TypeVar("T")

PACKAGE: Final = "mailtailor_definitions"
_HINT: Final = "Build and deploy the definitions layer again."


@cache
def segments() -> tuple[SegmentDefinition, ...]:
    """Return all segments; raise `MailtailorError` if the layer lacks them or holds something else."""
    return _read("segments.json", TypeAdapter(tuple[SegmentDefinition, ...]))


@cache
def blocks() -> tuple[Block, ...]:
    """Return all blocks; raise `MailtailorError` as `segments` does."""
    return _read("blocks.json", TypeAdapter(tuple[Block, ...]))


@cache
def offers() -> OfferList:
    """Return all offers; raise `MailtailorError` as `segments` does."""
    return _read("offers.json", TypeAdapter(OfferList))


@cache
def countdowns() -> CountdownList:
    """Return all countdowns; raise `MailtailorError` as `segments` does."""
    from mailtailor.content.countdown import CountdownList  # noqa: PLC0415 - only images need it, and blocks are in a hurry

    return _read("countdowns.json", TypeAdapter(CountdownList))


def _read(name: str, model: TypeAdapter[T]) -> T:
    try:
        document = resources.files(PACKAGE).joinpath(name).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise MailtailorError(f"The function has no definitions: {PACKAGE}/{name} is missing.", _HINT) from error
    try:
        return model.validate_json(document)
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise MailtailorError(f"{PACKAGE}/{name} cannot be used: {where}: {fault['msg']}.", _HINT) from error
