"""What a fetch asks for and gets: blocks, packed in the way that was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from mailtailor.content.address import Shape
from mailtailor.content.block import FALLBACK
from mailtailor.content.decision import Skipped
from mailtailor.content.render import Format, Renderer
from mailtailor.content.select import Served, unfilled

MAX_TOTAL: Final = 100_000
"""Bytes of all blocks of one fetch; Gmail clips a mail at 102 KB."""
TOO_MUCH: Final = "size"
"""Why a block was passed over for which the blocks before it left no room."""
INTENDED: Final = frozenset({"anonymous", "credential", "unknown", "revoked", "consent"})
"""Reasons to show nothing personal that are no fault of ours, beside those of tokens."""
UNREADABLE: Final = "blocks_unreadable"
"""Why nothing was shown of a block that perhaps there is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a block showed.

    Attributes
    ----------
    block
        Its name.
    renderer, served
        Its version and what was shown; None if there is no such block.
    reason
        Why nothing personal was, empty if the ladder itself decided.
    keep_seconds
        How long anybody may keep it; None if nobody may, for it is personal or not as it should be.
    """

    block: str
    renderer: Renderer | None = None
    served: Served | None = None
    reason: str = ""
    keep_seconds: int | None = None

    @property
    def body(self) -> str:
        """The text of it."""
        return self.served.body if self.served else ""

    @property
    def is_known(self) -> bool:
        """Whether there is such a block, or may be: only of an unknown one the ESP is told that there is none."""
        return self.served is not None or self.reason == UNREADABLE

    @property
    def is_fault(self) -> bool:
        """Whether nothing personal was shown by a fault of ours."""
        return bool(self.reason) and self.reason not in INTENDED and not self.reason.startswith("token_")

    @property
    def faults(self) -> tuple[Skipped, ...]:
        """The variants that were passed over and should have worked; what has a reason of its own is none of them."""
        return tuple(one for one in self.served.skipped if one.is_fault and one.variant) if self.served else ()


def fitting(answers: Iterable[Answer], form: Format, *, most: int = MAX_TOTAL) -> Iterator[Answer]:
    """Yield the answers as far as they fit together; a block that does not shows its fallback, or else nothing."""
    left = most
    for answer in answers:
        fits = answer
        if answer.renderer and answer.served and _size(answer.served) > left:
            before = answer.served.decision
            skipped = (*before.skipped, Skipped(before.variant, TOO_MUCH))
            smaller = unfilled(answer.renderer, form, before.at, skipped)
            fits = replace(
                answer, served=smaller if _size(smaller) <= left else replace(smaller, body=""), keep_seconds=None
            )
        left -= len(fits.body.encode())
        yield fits


def _size(served: Served) -> int:
    return len(served.body.encode())


def packed(answers: Sequence[Answer], shape: Shape, *, by_name: bool) -> str:
    """Return the answers as one text.

    HTML and plain text are one block after the other. JSON is an object, for Braze reads no other kind: of a block, or
    `by_name` of such objects; names that no block has are left out.
    """
    if shape is not Shape.JSON:
        return ("\n\n" if shape is Shape.TEXT else "\n").join(answer.body for answer in answers if answer.body)
    objects = {answer.block: _object(answer) for answer in answers if answer.is_known}
    return json.dumps(objects if by_name else next(iter(objects.values()), {}), ensure_ascii=False)


def _object(answer: Answer) -> dict[str, Any]:
    variant = answer.served.variant if answer.served else FALLBACK
    return {"block": answer.block, "variant": variant, "fallback": variant == FALLBACK, "html": answer.body}


def keep_seconds(answers: Iterable[Answer]) -> int | None:
    """Return how long anybody may keep all of it, None if nobody may: the strictest of them decides."""
    seconds = [answer.keep_seconds for answer in answers if answer.is_known]
    known = [one for one in seconds if one is not None]
    return min(known) if known and len(known) == len(seconds) else None
