"""Revoking what sent mails allow: a profile's content and manage tokens of before are refused from then on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from mailtailor.errors import NotFound, Unavailable
from mailtailor.profiles.profile import Profile
from mailtailor.profiles.store import Conflict, Loaded, ProfileStore

MAX_ATTEMPTS: Final = 12
MAX_HOPS: Final = 4
"""Pointers followed from one profile to another."""


def revoke(store: ProfileStore, profile_id: str, *, pause: Callable[[int], None]) -> Profile:
    """Raise a profile's revocation epoch by one and return the profile, as far as merges led to another one.

    Parameters
    ----------
    store
        Keeps the profile.
    profile_id
        Its id, or one it had before a merge.
    pause
        Waits before a conflict's n-th repetition, counted from 0.

    Raises
    ------
    NotFound
        If there is no such profile.
    Unavailable
        If it is written by others again and again.
    """
    for attempt in range(MAX_ATTEMPTS):
        found = _followed(store, profile_id)
        revoked = replace(found.profile, epoch=found.profile.epoch + 1)
        try:
            store.save(Loaded(revoked, found.stored), ())
        except Conflict:
            pause(attempt)
        else:
            return revoked
    raise Unavailable("The profile is being written by too many at once.", "Try again.")


def _followed(store: ProfileStore, profile_id: str) -> Loaded:
    for _ in range(MAX_HOPS):
        found = store.load([profile_id])[profile_id]
        if found.error is not None:
            raise Unavailable("The profile cannot be read.") from found.error
        if found.stored is None:
            break
        if found.profile.merged_into is None:
            return found
        profile_id = found.profile.merged_into
    raise NotFound(f"There is no profile {profile_id}.", "Ids are in the first column of: mailtailor tokens export")
