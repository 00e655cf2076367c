"""What a block may know of a profile."""

from __future__ import annotations

from mailtailor.content.select import RecipientView
from mailtailor.instant import Instant
from mailtailor.profiles.profile import Profile
from mailtailor.segments.engine import Engine


def view_of(profile: Profile, engine: Engine, now: Instant) -> RecipientView:
    """Return what a block may know of somebody who allowed personal content, at an instant."""
    return RecipientView(
        person=engine.reader(profile, now),
        attributes={name: attribute.value for name, attribute in profile.attributes.items()},
        viewed=engine.memory.recent(profile.streams, "viewed"),
        purchased=engine.memory.recent(profile.streams, "purchased"),
        now=now,
    )
