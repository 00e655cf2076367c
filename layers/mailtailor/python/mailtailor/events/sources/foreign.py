"""Names of events that a sender chose, as types of ours."""

from __future__ import annotations

from typing import Final

from mailtailor.consent.policy import NEEDS_NO_TRACKING
from mailtailor.events.event import event_type
from mailtailor.events.sources.mail_events import MAIL_TYPES
from mailtailor.events.untrusted import BadField

_OURS: Final = NEEDS_NO_TRACKING.keys() | MAIL_TYPES


def foreign_type(name: str, field: str) -> str:
    """Return the type of an event that has a name of its sender's own.

    Raises
    ------
    BadField
        If it is no name, or would be taken for one that means more to us: mails are counted by their campaign, and
        what needs no consent to tracking must not be had by a name alone.
    """
    kind = event_type(name)
    if not kind[:1].isalpha():
        raise BadField(field, "must begin with a Latin letter")
    if kind in _OURS:
        raise BadField(field, "is a name that this source must not use")
    return kind
