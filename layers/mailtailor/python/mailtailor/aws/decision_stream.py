"""Decisions as the stream of their table carries them: in the item, beside those that were there before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mailtailor.aws import decision_table
from mailtailor.events.decision_files import LoggedDecision


def logged(record: Mapping[str, Any]) -> list[LoggedDecision]:
    """Return the decisions that a write added; none if they are not to be logged.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the record is none of the decisions' table.
    """
    change = record["dynamodb"]
    new, old = change.get("NewImage", {}), change.get("OldImage", {})
    if "logged" not in new:
        return []
    message = decision_table.message(new)
    return [
        LoggedDecision(message, name, decision, "sampled" in new)
        for name, decision in decision_table.decisions(new).items()
        if name not in old
    ]
