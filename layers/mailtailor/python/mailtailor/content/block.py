"""A block: a piece of content with variants, and what is shown when none of them can be."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MAX_TEMPLATE: Final = 32_000
"""Characters of one template; Gmail clips a whole mail at 102 KB."""
PRODUCTS_SHOWN: Final = 3
"""As many products as are recommended."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Template = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEMPLATE)]
"""A template's text. In a block.yaml it is the name of the file that holds the text."""


class _Definition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Variant(_Definition):
    """One way to fill a block.

    `audience` names segments of which the recipient must be in at least one; none means everybody who allowed
    personal content. `minimum_products` counts products that stem from the recipient's own views and purchases;
    bestsellers, which fill up the rest, do not count.
    """

    name: Name
    audience: tuple[Name, ...] = ()
    template: Template
    text: Template | None = None
    minimum_products: int = Field(default=0, ge=0, le=PRODUCTS_SHOWN, strict=True)
    needs_offer: bool = False


class Block(_Definition):
    """A block: variants in order of preference, and a static fallback.

    `parts` are templates that the variants import macros from, by name. The fallback is no template: it is shown
    as it stands, without consent, without a profile, and when all else fails.
    """

    name: Name
    description: str = Field(min_length=1, max_length=500)
    variants: tuple[Variant, ...] = Field(min_length=1, max_length=20)
    parts: dict[Name, Template] = Field(default_factory=dict, max_length=8)
    fallback: Template
    fallback_text: Template

    @model_validator(mode="after")
    def _names_are_unique(self) -> Block:
        names = [variant.name for variant in self.variants]
        for name in names:
            if names.count(name) > 1 or name == FALLBACK:
                raise ValueError(f"the variant name {name!r} is already taken")
        return self


FALLBACK: Final = "fallback"
"""What answers call the static fallback, where they name the variant shown."""
