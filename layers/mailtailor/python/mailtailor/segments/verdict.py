"""A rule's truth at an instant, and how long it holds if nothing happens."""

from __future__ import annotations

from typing import Final

from mailtailor.instant import FOREVER, Instant

Verdict = tuple[bool, Instant]
"""A truth, and the instant up to which, not included, it holds unless an event arrives.

A plain tuple: thousands are made an event, and a class of its own takes eight times as long to make.
"""

NEVER: Final[Verdict] = (False, FOREVER)
"""False, and no time changes it."""
ALWAYS: Final[Verdict] = (True, FOREVER)


def once(since: Instant, until: Instant, now: Instant, upcoming: Instant = FOREVER) -> Verdict:
    """Return the verdict of what is true from `since` up to `until`, unless something comes at `upcoming` before."""
    if now < since:
        turns = since if since < until else FOREVER
        return False, min(turns, upcoming)
    return (True, min(until, upcoming)) if now < until else (False, upcoming)
