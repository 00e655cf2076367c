"""Reads blocks, offers and countdowns from files, and checks them so that a mistake stops the deploy and not a mail.

A block is a directory with a `block.yaml` and the template files that it names. Each template is compiled and tried
with sample data; every error names the file and the line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes

from mailtailor.content.block import PRODUCTS_SHOWN, Block, Variant
from mailtailor.content.catalog import Product
from mailtailor.content.countdown import Countdown, CountdownList, end_text
from mailtailor.content.offer import Offer, OfferList
from mailtailor.content.render import Format, Renderer, template_name
from mailtailor.content.sandbox import FUNCTIONS, TemplateEnvironment, did_you_mean
from mailtailor.content.select import VARIABLES, variables
from mailtailor.definition_files import DefinitionError, line_in, load
from mailtailor.recommend.recent import Recommendation, Why

BLOCK_FILE: Final = "block.yaml"
LINK_LENGTH: Final = 300
"""What tracking adds to a link, amply."""

_PRODUCT: Final = Product(
    id="85123A",
    name="White Hanging Heart T-Light Holder",
    price=Decimal("1012.95"),
    currency="GBP",
    url="https://shop.example/products/85123A",
    category="Home",
    image_url="https://shop.example/images/85123A.jpg",
)
_OFFER: Final = Offer.model_validate(
    {"name": "spring", "headline": "Free delivery", "text": "This week.", "url": "https://shop.example/offers/spring"}
)
_RICH_OFFER: Final = _OFFER.model_copy(update={"code": "SPRING26", "ends": datetime(2026, 3, 1, tzinfo=UTC)})


def load_blocks(directory: Path) -> list[Block]:
    """Return the blocks under `directory`, one a subdirectory, in the order of their names.

    Raises
    ------
    DefinitionError
        Names file and line of the first thing that cannot be used.
    """
    files = sorted(directory.glob(f"*/{BLOCK_FILE}")) if directory.is_dir() else []
    if not files:
        raise DefinitionError(directory, 1, f"there is no block; expected <block>/{BLOCK_FILE} in this directory.")
    for folder in sorted(path for path in directory.iterdir() if path.is_dir()):
        if not (folder / BLOCK_FILE).exists():
            raise DefinitionError(folder / BLOCK_FILE, 1, "the file is missing.")
    return [_load_block(file) for file in files]


def load_offers(path: Path) -> OfferList:
    """Return the offers in `path`; raise `DefinitionError` as `load_blocks` does."""
    return load(path, OfferList)


def load_countdowns(path: Path, blocks: Iterable[str] = ()) -> CountdownList:
    """Return the countdowns in `path`, their ends written out; raise `DefinitionError` as `load_blocks` does.

    No countdown may have the name of one of `blocks`: in reports and addresses one would be taken for the other.
    """
    taken = set(blocks)
    listed = load(path, CountdownList).countdowns
    for index, countdown in enumerate(listed):
        if countdown.name in taken:
            line = line_in(path, ("countdowns", index, "name"))
            raise DefinitionError(path, line, f"there is a block named {countdown.name!r}; choose another name.")
    return CountdownList(countdowns=tuple(_written_out(path, index, one) for index, one in enumerate(listed)))


def check_audiences(blocks: Iterable[Block], segments: Iterable[str], directory: Path) -> None:
    """Refuse an audience that names no segment.

    Raises
    ------
    DefinitionError
        Names the file and line of the first unknown segment.
    """
    known = set(segments)
    for block in blocks:
        for index, variant in enumerate(block.variants):
            for place, segment in enumerate(variant.audience):
                if segment not in known:
                    path = directory / block.name / BLOCK_FILE
                    raise DefinitionError(
                        path,
                        line_in(path, ("variants", index, "audience", place)),
                        _sentence(f"there is no segment {segment!r}{did_you_mean(segment, known)}"),
                    )


def _written_out(path: Path, index: int, countdown: Countdown) -> Countdown:
    try:
        zone = ZoneInfo(countdown.time_zone)
    except (ValueError, KeyError, OSError) as error:
        line = line_in(path, ("countdowns", index, "time_zone"))
        message = f"there is no time zone {countdown.time_zone!r}; write one such as Europe/London."
        raise DefinitionError(path, line, message) from error
    return countdown.model_copy(update={"until": countdown.until or end_text(countdown, zone)})


def _load_block(path: Path) -> Block:
    named = load(path, Block)
    if named.name != path.parent.name:
        message = f"the block is named {named.name!r}, its directory {path.parent.name!r}; make them equal."
        raise DefinitionError(path, line_in(path, ("name",)), message)
    block = _inlined(path, named)
    _check_templates(path.parent, named, block)
    return block


def _inlined(path: Path, named: Block) -> Block:
    """Return the block with each file name replaced by the file's text."""

    def text(file: str, *location: int | str) -> str:
        line = line_in(path, location)
        if "/" in file or "\\" in file:
            raise DefinitionError(path, line, f"{file!r} must be a file beside {BLOCK_FILE}.")
        try:
            content = (path.parent / file).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise DefinitionError(path, line, f"the template file {file!r} is missing.") from error
        except UnicodeDecodeError as error:
            raise DefinitionError(path.parent / file, 1, "the file is not UTF-8 text.") from error
        if not content.strip():
            raise DefinitionError(path.parent / file, 1, "the file is empty.")
        return content

    variants = [
        variant.model_dump()
        | {"template": text(variant.template, "variants", index, "template")}
        | ({"text": text(variant.text, "variants", index, "text")} if variant.text else {})
        for index, variant in enumerate(named.variants)
    ]
    try:
        return Block.model_validate(
            named.model_dump()
            | {"variants": variants}
            | {"parts": {name: text(file, "parts", name) for name, file in named.parts.items()}}
            | {"fallback": text(named.fallback, "fallback")}
            | {"fallback_text": text(named.fallback_text, "fallback_text")}
        )
    except ValueError as error:
        raise DefinitionError(path, 1, "a template is longer than 32,000 characters.") from error


def _check_templates(folder: Path, named: Block, block: Block) -> None:
    environment = TemplateEnvironment(block.parts, html=True)
    for name, source in block.parts.items():
        _check_names(environment, folder / named.parts[name], source, known=())
    renderer = Renderer(block)
    for names, variant in zip(named.variants, block.variants, strict=True):
        for form, file, source in _templates(names, variant):
            _check_names(environment, folder / file, source, known=VARIABLES)
            _try(renderer, variant, form, {template_name(variant, form): folder / file, **_part_files(folder, named)})


def _templates(names: Variant, variant: Variant) -> Iterator[tuple[Format, str, str]]:
    yield Format.HTML, names.template, variant.template
    if names.text is not None and variant.text is not None:
        yield Format.TEXT, names.text, variant.text


def _part_files(folder: Path, named: Block) -> dict[str, Path]:
    return {name: folder / file for name, file in named.parts.items()}


def _check_names(environment: TemplateEnvironment, path: Path, source: str, *, known: Iterable[str]) -> None:
    """Refuse templates that do not compile, and variables and parts that do not exist."""
    try:
        environment.compile(source)
        tree = environment.parse(source)
        unknown = meta.find_undeclared_variables(tree) - {*known, *FUNCTIONS}
    except TemplateSyntaxError as error:
        raise DefinitionError(path, error.lineno, _sentence(error.message or "not a valid template")) from error
    except (RecursionError, SyntaxError, MemoryError) as error:
        raise DefinitionError(path, 1, "the template is nested too deeply.") from error
    for node in tree.find_all(nodes.Name):
        if node.name in unknown:
            hint = did_you_mean(node.name, [*known, *FUNCTIONS])
            raise DefinitionError(path, node.lineno, _sentence(f"there is no variable {node.name!r}{hint}"))


def _samples(variant: Variant) -> Iterator[dict[str, Any]]:
    """Yield the most and the least that the variant may have to be filled with."""
    for why in Why:
        full = [Recommendation(_PRODUCT, why)] * PRODUCTS_SHOWN
        yield variables({}, full, [Recommendation(_PRODUCT, Why.BESTSELLER)] * PRODUCTS_SHOWN, _RICH_OFFER)
    least = [Recommendation(_PRODUCT, Why.VIEWED)] * variant.minimum_products
    yield variables({}, least, [], _OFFER if variant.needs_offer else None)


def _try(renderer: Renderer, variant: Variant, form: Format, files: dict[str, Path]) -> None:
    """Render with sample data, for the names inside `offer` and `products`, and for sizes."""
    path = files[template_name(variant, form)]
    try:
        for data in _samples(variant):
            renderer.render(variant, form, data, lambda url, **_: url + "x" * LINK_LENGTH)
    except UndefinedError as error:
        hint = "Not everybody has everything: test `is defined`, or write `| default('...')`, or state what it needs."
        place, line = _place(error, files, path)
        raise DefinitionError(place, line, _sentence(error.message or "a value is missing"), hint) from error
    except (TemplateError, ArithmeticError, TypeError, ValueError, RecursionError) as error:
        place, line = _place(error, files, path)
        raise DefinitionError(place, line, _sentence(str(error) or type(error).__name__)) from error


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


def _place(error: BaseException, files: dict[str, Path], default: Path) -> tuple[Path, int]:
    """Return the file and line of a template in which `error` arose, from the traceback that Jinja rewrote."""
    place, line = default, 1
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name in files:
            place, line = files[name], trace.tb_lineno
        trace = trace.tb_next
    return place, line
