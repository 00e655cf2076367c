"""What share of recipients would see which variant of a block, and why not another one. Pure; knows no names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Final

from mailtailor.content.block import FALLBACK, Block, Variant
from mailtailor.content.select import Served

NO_CONSENT: Final = "no_consent"
NO_VARIANT: Final = "no_variant"
"""Why somebody is shown the static variant."""
_NORMAL: Final = 1.96
"""Standard deviations around the mean that hold 95 % of a normal distribution."""


@dataclass(slots=True)
class Coverage:
    """What some recipients would see.

    Attributes
    ----------
    looked_at
        How many they are.
    shown
        How many see which variant, `fallback` among them.
    passed_over
        How many a variant was passed over for, by variant and reason.
    fallbacks
        How many see the static variant, by reason.
    unreadable
        Profiles that could not be read, which are not counted otherwise.
    """

    looked_at: int = 0
    shown: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[tuple[str, str]] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0

    def add(self, served: Served | None) -> None:
        """Count somebody: what they are shown, None for the static variant because they allowed nothing personal."""
        self.looked_at += 1
        if served is None:
            self.shown[FALLBACK] += 1
            self.fallbacks[NO_CONSENT] += 1
            return
        self.shown[served.variant] += 1
        self.passed_over.update((skipped.variant, skipped.reason) for skipped in served.skipped)
        if served.variant == FALLBACK:
            self.fallbacks[NO_VARIANT] += 1

    def unite(self, other: Coverage) -> None:
        """Add what other recipients would see."""
        self.looked_at += other.looked_at
        self.unreadable += other.unreadable
        self.shown += other.shown
        self.passed_over += other.passed_over
        self.fallbacks += other.fallbacks

    def payload(self) -> dict[str, Any]:
        """Return this as JSON; `read_coverage` reads it."""
        return {
            "looked_at": self.looked_at,
            "shown": dict(self.shown),
            "passed_over": [[*key, number] for key, number in self.passed_over.items()],
            "fallbacks": dict(self.fallbacks),
            "unreadable": self.unreadable,
        }


def read_coverage(payload: Mapping[str, Any]) -> Coverage:
    """Return what `Coverage.payload` told."""
    passed_over = {(variant, reason): number for variant, reason, number in payload["passed_over"]}
    return Coverage(
        payload["looked_at"],
        Counter(payload["shown"]),
        Counter(passed_over),
        Counter(payload["fallbacks"]),
        payload["unreadable"],
    )


def margin(number: int, of: int) -> float:
    """Return by how much a share in a sample may be off, 0 to 1, in 95 of 100 samples.

    Wilson's interval, which unlike the usual one is none of width zero for shares of zero. Source: E. B. Wilson,
    Probable Inference, the Law of Succession, and Statistical Inference (1927).
    """
    if not of:
        return 1.0
    share, squared = number / of, _NORMAL**2
    middle = (share + squared / (2 * of)) / (1 + squared / of)
    half = _NORMAL * sqrt(share * (1 - share) / of + squared / (4 * of**2)) / (1 + squared / of)
    return max(middle + half - share, share - middle + half)


def is_generic(variant: Variant) -> bool:
    """Return whether a variant needs nothing of the recipient, so that it is nobody's in particular."""
    needs = variant.needs
    return variant.audience is None and not variant.when and not (needs.products or needs.stores or needs.offer)


def generic(block: Block) -> tuple[str, ...]:
    """Return the variants of a block that are nobody's in particular, the static one among them."""
    return (*_names(filter(is_generic, block.variants)), FALLBACK)


def _names(variants: Iterable[Variant]) -> Iterable[str]:
    return (variant.name for variant in variants)
