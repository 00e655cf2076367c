"""What the command that estimates asks of each bucket of the archive: one invocation, which carries the definitions."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from mailtailor.errors import BadInput
from mailtailor.events.archive import BUCKETS
from mailtailor.instant import Instant
from mailtailor.segments import versions
from mailtailor.segments.definition import SegmentDefinition

MAX_AT: Final = 253_402_300_799_999
"""The end of the year 9999, in milliseconds."""
MOST: Final = 2
"""Sets of definitions: those to be tried, and those that rule."""
_OTHER_VERSION: Final = "Command and system may be of different versions: deploy again."

Definitions = Sequence[SegmentDefinition]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")

    bucket: Annotated[int, Field(ge=0, lt=BUCKETS, strict=True)]
    at: Annotated[int, Field(ge=0, le=MAX_AT, strict=True)]
    definitions: Annotated[list[Base64Bytes], Field(min_length=1, max_length=MOST)]
    skip_unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked.

    Attributes
    ----------
    bucket
        Of the archive.
    at
        The instant at which everybody is evaluated, the same for all buckets.
    definitions
        Sets of definitions, each of which everybody is evaluated by.
    skip_unreadable
        Whether files that cannot be read are left out.
    """

    bucket: int
    at: Instant
    definitions: tuple[Definitions, ...]
    skip_unreadable: bool


def pack(asked: Asked) -> dict[str, Any]:
    """Return the message.

    Raises
    ------
    BadVersion
        If the definitions are too large.
    """
    packed = [b64encode(versions.pack(tuple(one))).decode() for one in asked.definitions]
    return {
        "bucket": asked.bucket,
        "at": asked.at,
        "definitions": packed,
        "skip_unreadable": asked.skip_unreadable,
    }


def unpack(message: Mapping[str, Any]) -> Asked:
    """Return what a message asks.

    Raises
    ------
    BadInput
        If it is not one of ours, or has definitions that this version of the system does not know.
    """
    try:
        read = _Message.model_validate(message)
        definitions = tuple(versions.unpack(one) for one in read.definitions)
    except ValidationError as error:
        raise BadInput("This is no request for an estimate.", _OTHER_VERSION) from error
    except versions.BadVersion as error:
        raise BadInput("The definitions cannot be read.", _OTHER_VERSION) from error
    return Asked(read.bucket, read.at, definitions, read.skip_unreadable)
