"""A block: a piece of content with variants, and what is shown when none of them can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from mailtailor.content.address import NAME
from mailtailor.content.inputs import Input, Parameter, Value
from mailtailor.segments.definition import Condition, Filters, conditions

MAX_TEMPLATE: Final = 64_000
"""Characters of one template; Gmail clips a whole mail at 102 KB."""
MAX_BYTES: Final = 25_000
"""Of an answer, unless the block says otherwise: a quarter of what Gmail shows of a mail before it clips it."""
MOST_PRODUCTS: Final = 12
MAX_CONDITIONS: Final = 30
FALLBACK: Final = "fallback"
"""What answers call the static fallback, where they name the variant shown."""
RESERVED: Final = frozenset({"r", "p", "m"})
"""Names of a fetch's own parameters: the recipient's token or profile id, and the message's token."""
CONTEXTS: Final = ("request", "last_viewed", "last_purchased", "place")
"""What `when` may look at, each with names of its own behind a dot."""

_HOST: Final = r"^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,8}$"
_SLUG: Final = r"^(css|html|image)-[a-z0-9-]{1,60}$"

Name = Annotated[str, StringConstraints(pattern=NAME)]
Template = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEMPLATE)]
"""A template's text. In a block.yaml it is the name of the file that holds the text."""
Static = Annotated[str, StringConstraints(max_length=MAX_TEMPLATE)]
"""A text that is no template; empty shows nothing."""


class _Definition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Needs(_Definition):
    """What must be there for a variant to be shown.

    `products` counts those that stem from the recipient's own views and purchases; bestsellers, which fill up the
    rest, do not count. `bestsellers` counts what the catalog offers to everybody, `stores` those near the recipient.
    """

    products: int = Field(default=0, ge=0, le=MOST_PRODUCTS, strict=True)
    bestsellers: int = Field(default=0, ge=0, le=MOST_PRODUCTS, strict=True)
    stores: int = Field(default=0, ge=0, le=3, strict=True)
    offer: bool = Field(default=False, strict=True)


def _any_segment(value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
    """Read a list of segments as "in any of them"."""
    if isinstance(value, list | tuple) and value and all(isinstance(one, str) for one in value):
        return {"any": [{"segment": one} for one in value]}
    return value


class Variant(_Definition):
    """One way to fill a block.

    Attributes
    ----------
    audience
        Whom it is for, in the language of segments; a list of names means "in any of these segments". Without it,
        everybody who allowed personal content.
    when
        What the fetch and the recipient's last view and purchase must be, such as `request.season: summer`.
    needs
        What must be there to fill it.
    template, text
        HTML, and plain text; without a text it is made of the HTML.
    set
        Values of the block's inputs in this variant.
    """

    name: Name
    audience: Annotated[Condition | None, BeforeValidator(_any_segment)] = None
    when: Filters = Field(default_factory=dict)
    needs: Needs = Field(default_factory=Needs)
    template: Template
    text: Template | None = None
    set: dict[Name, Value] = Field(default_factory=dict, max_length=50)

    @model_validator(mode="after")
    def _is_sound(self) -> Variant:
        if self.audience is not None and len(conditions(self.audience)) > MAX_CONDITIONS:
            raise ValueError(f"an audience has at most {MAX_CONDITIONS} conditions; make it a segment")
        for path in self.when:
            if path.partition(".")[0] not in CONTEXTS or "." not in path:
                raise ValueError(f"when looks at {', '.join(f'{one}.…' for one in CONTEXTS)}, not at {path!r}")
        return self


class Nested(_Definition):
    """Another block that templates insert by `{{ block("...") }}`, with values for its inputs."""

    block: Name
    set: dict[Name, Value] = Field(default_factory=dict, max_length=50)


class Cache(_Definition):
    """Who may keep an answer, and for how many seconds.

    A personal answer is never kept; `seconds` then are for what somebody of whom nothing is known is shown. A shared
    block is the same for everybody, so it has no audience and sees no recipient.
    """

    kind: Literal["personal", "shared"] = "personal"
    seconds: int = Field(default=60, ge=0, le=86_400, strict=True)


class Block(_Definition):
    """A block: variants in order of preference, and a static fallback.

    Attributes
    ----------
    inputs
        What a marketer may set; templates read `inputs.<name>`.
    request
        What a fetch may say in its query; templates read `request.<name>`. What does not fit is the default.
    products
        How many products are recommended.
    variants
        The first that is meant for the recipient and can be filled is shown.
    parts
        Templates that the variants import macros from, by name.
    blocks
        Other blocks that the templates insert, by the name they use; these insert no others.
    cache
        Who may keep an answer.
    max_bytes
        The largest answer, in bytes of UTF-8.
    hosts
        The hosts that addresses written into the templates may name; without any, all.
    enhancements
        Features (slugs of Can I email) that the templates do without where they are missing, so nobody need be told.
    fallback, fallback_text
        No templates: shown as they stand, without consent, without a profile, and when all else fails. Empty shows
        nothing.
    """

    name: Name
    description: str = Field(min_length=1, max_length=500)
    inputs: dict[Name, Input] = Field(default_factory=dict, max_length=50)
    request: dict[Name, Parameter] = Field(default_factory=dict, max_length=10)
    products: int = Field(default=3, ge=0, le=MOST_PRODUCTS, strict=True)
    variants: tuple[Variant, ...] = Field(min_length=1, max_length=20)
    parts: dict[Name, Template] = Field(default_factory=dict, max_length=8)
    blocks: dict[Name, Nested] = Field(default_factory=dict, max_length=8)
    cache: Cache = Field(default_factory=Cache)
    max_bytes: int = Field(default=MAX_BYTES, ge=1_000, le=60_000, strict=True)
    hosts: tuple[Annotated[str, StringConstraints(pattern=_HOST)], ...] = Field(default=(), max_length=50)
    enhancements: tuple[Annotated[str, StringConstraints(pattern=_SLUG)], ...] = Field(default=(), max_length=50)
    fallback: Static
    fallback_text: Static = ""

    @model_validator(mode="after")
    def _is_sound(self) -> Block:
        names = [variant.name for variant in self.variants]
        for name in names:
            if names.count(name) > 1 or name == FALLBACK:
                raise ValueError(f"the variant name {name!r} is already taken")
        for name in self.request:
            if name in RESERVED:
                raise ValueError(f"every fetch has a parameter {name!r}; give this one another name")
        for variant in self.variants:
            checked(self.inputs, variant.set)
            if variant.needs.products > self.products:
                raise ValueError(f"the variant {variant.name!r} needs more products than are recommended")
            if self.cache.kind == "shared" and not _for_everybody(variant):
                raise ValueError(f"a shared block is the same for all, and the variant {variant.name!r} is not")
        for nested in self.blocks.values():
            if nested.block == self.name:
                raise ValueError("a block cannot be inside itself")
        return self

    def values(self, *settings: Mapping[str, Value]) -> dict[str, Value]:
        """Return the inputs' values: their defaults, and over them `settings`, the last one first."""
        values: dict[str, Value] = {name: one.default for name, one in self.inputs.items()}
        for setting in settings:
            values |= {name: value for name, value in setting.items() if name in values}
        return values

    def parameters(self, query: Mapping[str, str]) -> dict[str, Value]:
        """Return what a fetch says; the default for what it does not say, or not in a way that fits."""
        return {name: _read(parameter, query.get(name)) for name, parameter in self.request.items()}


def checked(inputs: Mapping[str, Input], setting: Mapping[str, Value]) -> None:
    """Refuse values that the inputs may not hold.

    Raises
    ------
    ValueError
        Names the first one.
    """
    for name, value in setting.items():
        if name not in inputs:
            raise ValueError(f"there is no input {name!r}{_known(inputs)}")
        try:
            inputs[name].check(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


def _known(names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f"; there are {listed}" if listed else ""


def _read(parameter: Parameter, raw: str | None) -> Value:
    try:
        return parameter.default if raw is None else parameter.read(raw)
    except ValueError:
        return parameter.default


def _for_everybody(variant: Variant) -> bool:
    if variant.audience is not None or variant.needs.products or variant.needs.stores:
        return False
    return all(path.startswith("request.") for path in variant.when)
