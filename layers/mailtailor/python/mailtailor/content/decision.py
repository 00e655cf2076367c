"""What a block showed somebody in one message, and why: kept, so that each fetch for that message shows the same.

An ESP fetches a block more than once for a mail: for the HTML, the text part, a check, a retry. The first fetch
decides; its decision is stored under the message's key, the block and the block's version, and later ones show what it
says. It is small, for it is stored for each mail: ids and names only, in JSON of one letter a field.

| letter | meaning |
|---|---|
| v | variant |
| b | hash of the block's version |
| t | when it was decided, ms UTC; links and offers are of that instant |
| p | products recommended: [id, why] |
| s | bestsellers, ids |
| o | offer's name |
| k | variants passed over: [name, reason] |
| n | blocks inside it, by name: the same again |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from mailtailor.instant import Instant

EXPECTED: Final = frozenset({"audience", "context", "products", "bestsellers", "stores", "offer"})
"""Reasons for which a variant is passed over by intent; every other one is a fault."""


class MessageKey(NamedTuple):
    """One mailing to one recipient: the profile named by the recipient's token, the campaign, the send instance."""

    profile_id: str
    campaign: str
    instance: str


class Skipped(NamedTuple):
    """A variant that was passed over, and why: one of `EXPECTED`, or a fault such as an error's name."""

    variant: str
    reason: str

    @property
    def is_fault(self) -> bool:
        """Whether the variant should have worked."""
        return self.reason not in EXPECTED


@dataclass(frozen=True, slots=True)
class Decision:
    """What a block showed.

    Attributes
    ----------
    variant
        Which one, or `fallback`.
    version
        Hash of the block's version.
    at
        When it was decided.
    products
        Ids of those recommended, with why, whether or not the variant printed them all.
    bestsellers
        Ids of what everybody buys, as far as the block asks for them.
    offer
        Name of the offer there was, empty without one.
    skipped
        Variants before it, and why.
    inside
        Decisions of the blocks inside it, by the names by which it inserts them.
    """

    variant: str
    version: str
    at: Instant
    products: tuple[tuple[str, str], ...] = ()
    bestsellers: tuple[str, ...] = ()
    offer: str = ""
    skipped: tuple[Skipped, ...] = ()
    inside: Mapping[str, Decision] = field(default_factory=dict)

    @property
    def has_fault(self) -> bool:
        """Whether a variant, here or inside, was passed over that should have worked."""
        return any(skipped.is_fault for skipped in self.skipped) or any(one.has_fault for one in self.inside.values())


def to_json(decision: Decision) -> str:
    """Return a decision as it is stored; what is empty is left out."""
    return json.dumps(_plain(decision), separators=(",", ":"), ensure_ascii=False)


def _plain(decision: Decision) -> dict[str, Any]:
    optional = {
        "p": decision.products,
        "s": decision.bestsellers,
        "o": decision.offer,
        "k": decision.skipped,
        "n": {name: _plain(one) for name, one in decision.inside.items()},
    }
    always = {"v": decision.variant, "b": decision.version, "t": decision.at}
    return always | {letter: value for letter, value in optional.items() if value}


def from_json(text: str) -> Decision:
    """Return a decision as `to_json` wrote it.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        return _decision(json.loads(text))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("not a decision") from error


def _decision(plain: Mapping[str, Any]) -> Decision:
    return Decision(
        variant=str(plain["v"]),
        version=str(plain["b"]),
        at=int(plain["t"]),
        products=tuple((str(id_), str(why)) for id_, why in plain.get("p", ())),
        bestsellers=tuple(map(str, plain.get("s", ()))),
        offer=str(plain.get("o", "")),
        skipped=tuple(Skipped(str(variant), str(reason)) for variant, reason in plain.get("k", ())),
        inside={str(name): _decision(one) for name, one in plain.get("n", {}).items()},
    )


def in_sample(message: MessageKey, per_cent: int) -> bool:
    """Return whether a message's decisions belong to a sample: always the same ones, all or none of a message's.

    A hash decides, so the sample is biased by nothing that a recipient, a campaign or a time has.
    """
    digest = blake2b("\0".join(message).encode(), digest_size=8, person=b"decisions").digest()
    return int.from_bytes(digest, "big") * 100 < per_cent << 64
