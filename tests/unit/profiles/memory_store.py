"""Profiles and cursors in memory, with the same conditions as the tables: fakes, not mocks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mailtailor.aws.profile_item import encode, same_content
from mailtailor.aws.profile_table import loaded
from mailtailor.profiles.profile import Flip, Profile
from mailtailor.profiles.projection import Merged
from mailtailor.profiles.store import Conflict, Loaded
from mailtailor.profiles.sweep import Place


class MemoryStore:
    """Keeps items as the table would; `before` is called with the name of each operation and may raise."""

    def __init__(self, before: Callable[[str], None] = lambda _operation: None) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.published: list[tuple[str, int, Flip]] = []
        self.writes = 0
        self.before = before

    def load(self, ids: Iterable[str]) -> dict[str, Loaded]:
        self.before("load")
        return {one: self._loaded(one) for one in ids}

    def _loaded(self, profile_id: str) -> Loaded:
        item = copy.deepcopy(self.items.get(profile_id))
        return loaded(item) if item else Loaded(Profile(profile_id), None)

    def save(self, prepared: Loaded, flips: Sequence[Flip], merged: Sequence[Merged] = ()) -> bool:
        self.before("save")
        item = encode(prepared.profile, flips)
        if not merged and not flips and prepared.stored is not None and same_content(item, prepared.stored):
            return False
        puts = [
            (prepared.profile, item, flips),
            *((one.pointer, encode(one.pointer, one.exits), one.exits) for one in merged),
        ]
        for profile, _, _ in puts:
            current = self.items.get(profile.id)
            if (int(current["version"]["N"]) if current else 0) != profile.version:
                raise Conflict(profile.id)
        for profile, put, said in puts:
            self.items[profile.id] = copy.deepcopy(put)
            self.writes += 1
            self.published += [(profile.id, profile.version + 1, flip) for flip in said]
        self.before("saved")
        return True

    def point(self, identity: str, *, to: str) -> Loaded | None:
        self.before("point")
        if identity in self.items:
            return self._loaded(identity)
        self.items[identity] = encode(Profile(identity, merged_into=to), ())
        self.writes += 1
        return None

    def profile(self, profile_id: str) -> Profile:
        return self._loaded(profile_id).profile


class MemoryCursor:
    """A walk's place."""

    def __init__(self) -> None:
        self.place: Place | None = None

    def read(self) -> Place | None:
        return self.place

    def move(self, since: Place | None, to: Place) -> bool:
        if self.place != since:
            return False
        self.place = to
        return True
