"""Versions of the definitions, and which of them rules, as they are stored: items of a table of their own.

`rollout` says which version rules, and how far another one has come (`segments.rollout`); it is written on the
condition that nobody else wrote it since it was read, and is not there before anything was applied. `version#3` holds
all segments of a version, compressed, and is written once; `version#0` is what was deployed before any was applied.
`candidate` holds definitions that a dry run tries; the next one replaces them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from mailtailor.aws.conditional_items import ConditionalItems
from mailtailor.segments.rollout import Phase, Rollout
from mailtailor.segments.versions import BadVersion, Version, pack, unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROLLOUT_ID: Final = "rollout"
CANDIDATE_ID: Final = "candidate"
CANDIDATE: Final = -1
"""The number of a version that has none."""


class DefinitionVersions:
    """The versions.

    Parameters
    ----------
    client, table
        DynamoDB and the definitions' table.
    """

    def __init__(self, *, client: DynamoDBClient, table: str) -> None:
        self._items = ConditionalItems(client=client, table=table)

    def rollout(self) -> Rollout | None:
        """Return which version rules; None before anything was applied."""
        item = self._items.get(ROLLOUT_ID)
        if item is None:
            return None
        state = json.loads(item["state"]["S"])
        return Rollout(**{**state, "phase": Phase(state["phase"])}, revision=int(item["revision"]["N"]))

    def save(self, rollout: Rollout) -> Rollout | None:
        """Store what follows on the state that was read, and return it as stored; None if somebody else was faster."""
        now = replace(rollout, revision=rollout.revision + 1)
        state = asdict(now)
        del state["revision"]
        item = {
            "id": {"S": ROLLOUT_ID},
            "revision": {"N": str(now.revision)},
            "state": {"S": json.dumps(state)},
        }
        return now if self._items.put_if(item, "revision", rollout.revision or None) else None

    def version(self, number: int) -> Version:
        """Return a version.

        Raises
        ------
        BadVersion
            If there is none of this number, or it cannot be read.
        """
        item = self._items.get(_id(number))
        if item is None:
            raise BadVersion(f"there is no version {number}")
        return Version(
            number=number,
            segments=unpack(bytes(item["segments"]["B"])),
            mark=item["mark"]["S"],
            applied_at=int(item["applied_at"]["N"]),
            note=item["note"]["S"],
        )

    def add(self, version: Version) -> bool:
        """Store a version; return whether there was none of its number. A candidate replaces the one before.

        Raises
        ------
        BadVersion
            If it is too large.
        """
        if version.number == CANDIDATE:
            self._items.put(_item(version))
            return True
        return self._items.put_if(_item(version), "id", None)

    def note_deployed(self, version: Version) -> None:
        """Keep what is deployed as version 0, for whoever wants to compare with it or go back to it."""
        item, known = _item(version), self._items.get(_id(version.number))
        if known is None or known["segments"] != item["segments"]:
            self._items.put(item)


def _id(number: int) -> str:
    return CANDIDATE_ID if number == CANDIDATE else f"version#{number}"


def _item(version: Version) -> dict[str, Any]:
    return {
        "id": {"S": _id(version.number)},
        "segments": {"B": pack(version.segments)},
        "mark": {"S": version.mark},
        "applied_at": {"N": str(version.applied_at)},
        "note": {"S": version.note},
    }
