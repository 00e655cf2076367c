"""Tries the templates of a block with sample data, so that what they lack is found before a mail is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes

from mailtailor.content.block import MAX_TEMPLATE, Block, Variant
from mailtailor.content.catalog import Product
from mailtailor.content.offer import Offer
from mailtailor.content.render import Format, Renderer, template_name
from mailtailor.content.sandbox import FUNCTIONS, TemplateEnvironment
from mailtailor.content.select import OF_EVERYBODY, STORES_SHOWN, VARIABLES, variables
from mailtailor.content.stores import Near, Store
from mailtailor.content.template_syntax import did_you_mean
from mailtailor.definition_files import DefinitionError
from mailtailor.recommend.recent import Recommendation, Why

LINK_LENGTH: Final = 300
"""What tracking adds to a link, amply."""
_FAULTS: Final = (TemplateError, ArithmeticError, TypeError, ValueError, RecursionError)
"""What a template can do wrong."""

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
_STORE: Final = Store("s1", "Covent Garden", "12 Neal Street", "London", "WC2H 9PR", "London", "United Kingdom")
_RICH_STORE: Final = _STORE._replace(
    hours="Monday to Saturday 10 to 19", phone="+44 20 7946 0018", url="https://shop.example/stores/s1"
)
_PLACE: Final = {"city": "London", "region": "London", "country": "United Kingdom", "postal_code": "WC2H 9PR"}


def check_templates(folder: Path, named: Block, block: Block) -> None:
    """Compile and try all templates of a block.

    Parameters
    ----------
    folder
        Where the files lie.
    named
        The block with the names of its files.
    block
        The block with their texts.

    Raises
    ------
    DefinitionError
        Names file and line of the first fault.
    """
    known = OF_EVERYBODY if block.cache.kind == "shared" else VARIABLES
    environment = TemplateEnvironment(block.parts, html=True)
    for name, source in block.parts.items():
        _check_names(environment, folder / named.parts[name], source, known=())
    renderer = Renderer(block)
    for names, variant in zip(named.variants, block.variants, strict=True):
        for form, file, source in _templates(names, variant):
            _check_names(environment, folder / file, source, known=known)
            _check_own_names(environment, folder / file, source, block)
            files = {template_name(variant, form): folder / file, **_part_files(folder, named)}
            _try(renderer, variant, form, files)


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
    for node in tree.find_all(nodes.Name):
        if node.name in unknown:
            hint = did_you_mean(node.name, [*known, *FUNCTIONS])
            raise DefinitionError(path, node.lineno, _sentence(f"there is no variable {node.name!r}{hint}"))


def _check_own_names(environment: TemplateEnvironment, path: Path, source: str, block: Block) -> None:
    """Refuse inputs, parameters and inserted blocks that the block does not declare."""
    tree = environment.parse(source)
    for node in tree.find_all(nodes.Getattr):
        if isinstance(node.node, nodes.Name) and node.node.name in {"inputs", "request"}:
            declared = block.inputs if node.node.name == "inputs" else block.request
            if node.attr not in declared:
                message = f"{node.node.name} has no {node.attr!r}{did_you_mean(node.attr, declared)}"
                raise DefinitionError(path, node.lineno, _sentence(message))
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "block":
            name = call.args[0].value if len(call.args) == 1 and isinstance(call.args[0], nodes.Const) else None
            if name not in block.blocks:
                message = "block() takes a name that stands under blocks in block.yaml"
                hint = did_you_mean(str(name), block.blocks) if name else ""
                raise DefinitionError(path, call.lineno, _sentence(f"{message}{hint}"))


def samples(block: Block, variant: Variant) -> Iterator[dict[str, Any]]:
    """Yield the most and the least that the variant may have to be filled with."""
    common = {
        "inputs": block.values(variant.set),
        "request": {name: one.default for name, one in block.request.items()},
        "images": "https://mail.example/image",
    }
    best = [Recommendation(_PRODUCT, Why.BESTSELLER)]
    for why in Why:
        full = [Recommendation(_PRODUCT, why)] * block.products
        stores = [Near(_RICH_STORE, "coordinates", 2.4)] * STORES_SHOWN
        yield variables(_PLACE, full, best * block.products, stores, _RICH_OFFER) | common
    needs = variant.needs
    yield (
        variables(
            {},
            [Recommendation(_PRODUCT, Why.VIEWED)] * needs.products,
            best * needs.bestsellers,
            [Near(_STORE, "region")] * needs.stores,
            _OFFER if needs.offer else None,
        )
        | common
    )


def largest_answer(folder: Path, named: Block, block: Block) -> int:
    """Return the size in bytes of the largest answer that the samples give.

    Parameters
    ----------
    folder, named
        As `check_templates` takes them.
    block
        The block with the compiled texts.

    Raises
    ------
    DefinitionError
        If a template that was in order takes too much once it is compiled; names its file.
    """
    renderer = Renderer(block.model_copy(update={"max_bytes": MAX_TEMPLATE * 10}))
    largest = 0
    for names, variant in zip(named.variants, block.variants, strict=True):
        try:
            for data in samples(block, variant):
                answer = renderer.render(variant, Format.HTML, data, _tracked, lambda _: "")
                largest = max(largest, len(answer.encode()))
        except _FAULTS as error:
            hint = "Compiling writes the rules of a style sheet into each element that they are for; use fewer."
            fault = (error.message if isinstance(error, TemplateError) else "") or str(error)
            raise DefinitionError(folder / names.template, 1, _sentence(f"compiled, {fault}"), hint) from error
    return largest


def _tracked(url: str, *, product_id: str, category: str) -> str:  # noqa: ARG001 - as links are made
    return url + "x" * LINK_LENGTH


def _try(renderer: Renderer, variant: Variant, form: Format, files: dict[str, Path]) -> None:
    """Render with sample data, for the names inside `offer` and `products`, and for sizes."""
    path = files[template_name(variant, form)]
    try:
        for data in samples(renderer.block, variant):
            renderer.render(variant, form, data, _tracked, lambda _: "")
    except UndefinedError as error:
        hint = "Not everybody has everything: test `is defined`, or write `| default('...')`, or state what it needs."
        place, line = _place(error, files, path)
        raise DefinitionError(place, line, _sentence(error.message or "a value is missing"), hint) from error
    except _FAULTS as error:
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
