"""Renders the variants of a block from plain data, within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from mailtailor.content.audience import Audience, RuleOf, nobody
from mailtailor.content.block import Block, Variant
from mailtailor.content.sandbox import Exhausted, InsertBlock, Run, TemplateEnvironment, TrackLink, running

MAX_TEXT: Final = 2_000
"""Characters; an address that was cut would lead elsewhere, so no less than the catalog takes."""
MAX_ITEMS: Final = 50
MAX_DEPTH: Final = 5


class Format(StrEnum):
    """What an answer is made of."""

    HTML = "html"
    TEXT = "txt"


class Renderer:
    """Renders one block; keep it, for it compiles each template and audience once.

    Parameters
    ----------
    block
        The block.
    audience
        Compiles audiences; without it, a variant that has one is for nobody.
    version
        Hash of the block's version, by which decisions are told apart.
    """

    def __init__(self, block: Block, audience: RuleOf = nobody, version: str = "") -> None:
        self.block = block
        self.version = version
        self.audiences = {variant.name: Audience(variant, audience) for variant in block.variants}
        self._environments = {form: _environment(block, form) for form in Format}

    def render(
        self,
        variant: Variant,
        form: Format,
        data: Mapping[str, Any],
        track: TrackLink,
        insert: InsertBlock | None = None,
    ) -> str:
        """Return the variant filled with `data`. Plain text for which there is no template is made of the HTML.

        Parameters
        ----------
        variant
            One of the block's.
        form
            HTML or plain text.
        data
            The template's variables. They are copied into plain values, so a template reaches no object.
        track
            Makes the tracked links.
        insert
            Renders the blocks that templates insert.

        Raises
        ------
        Exception
            Whatever a template can do wrong: a missing value, a forbidden operation, too much work or output.
        """
        if form is Format.TEXT and variant.text is None:
            from mailtailor.content.html_text import text_of  # noqa: PLC0415 - few fetches need a parser

            return text_of(self.render(variant, Format.HTML, data, track, insert))
        variables = {name: copy for name, value in data.items() if (copy := plain(value)) is not None}
        with running(Run(track, insert)):
            template = self._environments[form].get_template(template_name(variant, form))
            chunks: list[str] = []
            size = 0
            for chunk in template.generate(variables):
                size += len(chunk.encode())
                if size > self.block.max_bytes:
                    raise Exhausted(f"the variant is larger than {self.block.max_bytes} bytes")
                chunks.append(chunk)
        return "".join(chunks)


def template_name(variant: Variant, form: Format) -> str:
    """Return the name by which errors call a variant's template."""
    return f"{variant.name}.{form}"


def _environment(block: Block, form: Format) -> TemplateEnvironment:
    texts = {
        template_name(variant, form): text
        for variant in block.variants
        if (text := variant.template if form is Format.HTML else variant.text) is not None
    }
    return TemplateEnvironment({**block.parts, **texts}, html=form is Format.HTML)


def plain(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON value
    """Return a fresh copy of `value` made of dictionaries, lists, texts and numbers only, cut to sane sizes.

    What is nothing of these, `None` included, becomes absent: a template then says what to show instead.
    """
    match value:
        case bool() | int() | float():
            return value
        case str():
            return str(value[:MAX_TEXT])
        case Decimal():
            return float(value)
        case Mapping() if depth < MAX_DEPTH:
            copied = ((str(name), plain(item, depth + 1)) for name, item in list(value.items())[:MAX_ITEMS])
            return {name: item for name, item in copied if item is not None}
        case list() | tuple() if depth < MAX_DEPTH:
            return [copy for item in value[:MAX_ITEMS] if (copy := plain(item, depth + 1)) is not None]
    return None
