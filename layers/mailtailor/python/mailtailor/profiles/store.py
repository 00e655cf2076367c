"""What processing needs of the place where profiles are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mailtailor.profiles.profile import Flip, Profile

if TYPE_CHECKING:
    from mailtailor.profiles.projection import Merged


@dataclass(frozen=True, slots=True)
class Loaded:
    """A profile as read, with what was stored, so that a write that would change nothing is left out.

    `error` says that what is stored cannot be read; then only this profile's events wait, not the batch's.
    """

    profile: Profile
    stored: Any
    error: Exception | None = None


class Conflict(Exception):
    """Somebody else wrote one of the profiles since it was read; read again and repeat."""


class ProfileStore(Protocol):
    """Keeps profiles, each write on the condition that nobody else wrote since the read."""

    def load(self, ids: Iterable[str]) -> dict[str, Loaded]:
        """Return the profiles of `ids`; an unknown id gives a profile of version 0."""

    def save(self, prepared: Loaded, flips: Sequence[Flip], merged: Sequence[Merged] = ()) -> bool:
        """Write a profile, its flips, and the pointers that remain of profiles merged into it, all or nothing.

        Returns
        -------
        False if nothing had changed, so that nothing was written.

        Raises
        ------
        Conflict
            If one of the profiles was written since it was read.
        """

    def point(self, identity: str, *, to: str) -> Loaded | None:
        """Make `identity` a pointer to the profile `to`, unless something is there; return what is there."""
