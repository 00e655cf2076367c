"""What is asked of previews and of coverage."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from mailtailor.content.admin_request import AdminRequest
from mailtailor.content.block import Block, Name
from mailtailor.content.preview import Who
from mailtailor.content.render import Format
from mailtailor.content.versions import Number
from mailtailor.instant import Instant, from_datetime

MAX_BYTES: Final = 1_000_000
"""Of a request: a block and those inside it, with their templates."""
MAX_DRAFTS: Final = 9
"""A block and the eight that it may insert."""
PARTS: Final = 64
"""Parts of the profiles' table that can be looked at by themselves: a power of two that makes even small ones even."""
MAX_LOOK: Final = 500
"""Profiles of one part that one request looks at, which takes a few seconds."""
_LAST_YEAR: Final = 9_000
"""Leaves room for what ends later than the instant asked for."""
_FORMS: Final = {"html": Format.HTML, "text": Format.TEXT}

Setting = Annotated[str, StringConstraints(max_length=2_000)]
ProfileId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}$")]


class BlockRequest(AdminRequest):
    """What both take.

    Attributes
    ----------
    at
        When the mail is sent; now, if not given.
    set
        Values of the block's inputs and of what a fetch says, as text.
    drafts
        Compiled blocks that take the place of published ones; the block itself may be among them.
    version
        A version of the block that was pushed, by its number (0 as deployed) or `newest`; the published one, if not
        given.
    """

    at: AwareDatetime | None = None
    set: dict[Name, Setting] = Field(default_factory=dict, max_length=60)
    drafts: tuple[Block, ...] = Field(default=(), max_length=MAX_DRAFTS)
    version: Number | Literal["newest"] | None = None

    @model_validator(mode="after")
    def _at_is_near(self) -> BlockRequest:
        if self.at is not None and not (self.at.year < _LAST_YEAR and self.at.timestamp() >= 0):
            raise ValueError(f"at is from 1970 to {_LAST_YEAR}")
        return self

    def instant(self, now: Instant) -> Instant:
        """Return when the mail is sent."""
        return now if self.at is None else from_datetime(self.at)

    @property
    def drafts_by_name(self) -> dict[str, Block]:
        """The drafts by their names."""
        return {draft.name: draft for draft in self.drafts}


class PreviewRequest(BlockRequest):
    """Whose mail shall be looked at, and in which form; `profile` names the recipient."""

    who: Who = Who.ANONYMOUS
    profile: ProfileId | None = None
    form: str = Field(default="html", pattern="^(html|text)$")

    @model_validator(mode="after")
    def _names_whom_it_needs(self) -> PreviewRequest:
        if (self.who is Who.RECIPIENT) != (self.profile is not None):
            raise ValueError("profile names the recipient if who is recipient, and is left out else")
        return self

    @property
    def format(self) -> Format:
        """The form, as renderers call it."""
        return _FORMS[self.form]


class CoverageRequest(BlockRequest):
    """Which part of the profiles shall be looked at, and how many of it at most."""

    part: int = Field(ge=0, lt=PARTS, strict=True)
    limit: int = Field(ge=1, le=MAX_LOOK, strict=True)
