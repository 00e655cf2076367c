"""Items from outside that could not be used: kept as they came, for a later try by code that knows their form.

They hold whatever the sender sent, personal data included; the bucket encrypts them and forgets them after weeks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mailtailor.instant import Instant, to_datetime

PREFIX: Final = "parked/"
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ParkedItem:
    """One item, and the sentence that said why it could not be used."""

    item: Mapping[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class Parked:
    """What of one delivery could not be used.

    Attributes
    ----------
    source
        The webhook source, or `segment` for the tracking API.
    received_at
        When the delivery arrived.
    items
        Its items that could not be used.
    """

    source: str
    received_at: Instant
    items: Sequence[ParkedItem]

    def to_json(self) -> str:
        """Return the text that is stored."""
        items = [{"item": parked.item, "reason": parked.reason} for parked in self.items]
        return json.dumps({"v": VERSION, "source": self.source, "received_at": self.received_at, "items": items})

    @property
    def key(self) -> str:
        """The object's key: by day, source and content, so that a delivery that comes again overwrites itself."""
        day = to_datetime(self.received_at).date().isoformat()
        content = json.dumps([parked.item for parked in self.items], sort_keys=True).encode()
        return f"{PREFIX}{day}/{self.source}/{hashlib.sha256(content).hexdigest()[:32]}.json"


def parse(text: str) -> Parked:
    """Return what was stored.

    Raises
    ------
    ValueError
        If it is not what `to_json` writes.
    """
    read = json.loads(text)
    if not isinstance(read, dict) or read.get("v") != VERSION:
        raise ValueError(f"not parked items of version {VERSION}")
    items = [ParkedItem(entry["item"], entry["reason"]) for entry in read["items"]]
    return Parked(str(read["source"]), int(read["received_at"]), items)
