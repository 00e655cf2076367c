"""What administrators ask about one profile: which one, and at which instant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from mailtailor.aws.observability import logger
from mailtailor.aws.profile_item import decode
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.instant import Instant, from_datetime
from mailtailor.profiles.profile import Profile

_PROFILE_ID: Final = re.compile(r"[A-Za-z0-9_-]{22}")
_LAST_YEAR: Final = 9_000
"""Leaves room for what ends later than the instant asked for."""


def instant(text: str) -> Instant:
    """Return the instant that a query names.

    Raises
    ------
    BadInput
        If it is no time with a time zone, or one that nothing can be said of.
    """
    # Of a query that nobody encoded, the sign of +01:00 arrives as a space.
    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
        at = from_datetime(moment)
    except ValueError as error:
        hint = "Write it with its time zone, such as 2026-11-20T10:00:00Z."
        raise BadInput("at is no time with a time zone.", hint) from error
    if at < 0 or moment.year > _LAST_YEAR:
        raise BadInput("at is too long ago, or too far ahead.", f"Ask for a time from 1970 to {_LAST_YEAR}.")
    return at


def stored(profile_id: str, profiles: ProfileTable) -> Mapping[str, Any]:
    """Return what is stored of a profile, or of the one that it became part of.

    Raises
    ------
    NotFound
        If nothing is.
    """
    if not _PROFILE_ID.fullmatch(profile_id):
        raise NotFound("There is no profile of this id.", "An id is the 22 characters that stand for an identity.")
    item = profiles.read_item(profile_id)
    if item is None:
        raise NotFound("There is no profile of this id.", "It was erased, or nothing was ever recorded of it.")
    return item


def decoded(item: Mapping[str, Any]) -> Profile:
    """Return the profile that is stored as `item`.

    Raises
    ------
    MailtailorError
        If it cannot be read; the log names it.
    """
    try:
        return decode(item)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        logger.error("A profile cannot be read.", extra={"profile_id": item["id"]["S"], "error": type(error).__name__})
        raise MailtailorError("The profile cannot be read.", "The function's log says why.") from error
