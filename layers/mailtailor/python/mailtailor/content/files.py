"""Reads blocks, offers and countdowns from files, and checks them so that a mistake stops the deploy and not a mail.

A block is a directory with a `block.yaml` and the template files that it names. Each template is compiled and tried
with sample data; every error names the file and the line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from mailtailor.content.block import CONTEXTS, Block
from mailtailor.content.clients import Support
from mailtailor.content.compile import CannotCompile, compiled
from mailtailor.content.countdown import Countdown, CountdownList, end_text
from mailtailor.content.html_text import text_of
from mailtailor.content.inputs import Value
from mailtailor.content.lint import Finding, Rules, lint
from mailtailor.content.offer import OfferList
from mailtailor.content.select import PLACE
from mailtailor.content.template_syntax import did_you_mean
from mailtailor.content.trial import check_templates, largest_answer
from mailtailor.definition_files import DefinitionError, line_in, load
from mailtailor.segments.definition import InSegment, SegmentDefinition
from mailtailor.segments.engine import BadReference, Engine
from mailtailor.segments.vocabulary import KNOWN, Unknown, ValueType, Vocabulary, check, located, mismatch

BLOCK_FILE: Final = "block.yaml"
NOTHING: Final = "nothing"
"""What a block names as its fallback that shows nothing when all variants fail."""
WARN_FROM: Final = 0.8
"""Of the size budget: with longer names and addresses than the sample's, an answer soon is too large."""
_OF_PRODUCTS: Final[Mapping[str, ValueType]] = {"product_id": "text", "category": "text", "price": "number"}
_CONTEXT_TYPES: Final[Mapping[str, Mapping[str, ValueType]]] = {
    "last_viewed": _OF_PRODUCTS,
    "last_purchased": _OF_PRODUCTS,
    "place": dict.fromkeys(PLACE, "text"),
}


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
    return [load_block(file) for file in files]


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


def _written_out(path: Path, index: int, countdown: Countdown) -> Countdown:
    try:
        zone = ZoneInfo(countdown.time_zone)
    except (ValueError, KeyError, OSError) as error:
        line = line_in(path, ("countdowns", index, "time_zone"))
        message = f"there is no time zone {countdown.time_zone!r}; write one such as Europe/London."
        raise DefinitionError(path, line, message) from error
    return countdown.model_copy(update={"until": countdown.until or end_text(countdown, zone)})


@dataclass(frozen=True, slots=True)
class Checked:
    """A block as it is published, None if there are errors, and what there is to say of its templates."""

    block: Block | None
    findings: tuple[Finding, ...]


def load_block(path: Path) -> Block:
    """Return the block of a `block.yaml`, compiled and tried; raise `DefinitionError` as `load_blocks` does.

    What it refers to outside, segments and other blocks, is not looked for: see `check_references`.
    """
    checked = check_block(path)
    if checked.block is None:
        error = checked.findings[0]
        raise DefinitionError(path.parent / error.file, error.line, _sentence(error.message))
    return checked.block


def check_block(path: Path) -> Checked:
    """Return the block of a `block.yaml` with all that there is to say of its templates, errors first.

    Raises
    ------
    DefinitionError
        If it cannot be used at all; names file and line of the first fault.
    """
    named = load(path, Block)
    if named.name != path.parent.name:
        message = f"the block is named {named.name!r}, its directory {path.parent.name!r}; make them equal."
        raise DefinitionError(path, line_in(path, ("name",)), message)
    _check_contexts(path, named)
    source = _with_texts(path, named)
    check_templates(path.parent, named, source)
    found = sorted(_findings(named, source), key=lambda finding: finding.level != "error")
    if found and found[0].level == "error":
        return Checked(None, tuple(found))
    block = _compiled(path, named, source)
    return Checked(block, (*found, *_size_findings(path, named, block)))


def _html_files(named: Block, source: Block) -> Iterator[tuple[str, str, dict[str, Value], bool]]:
    """Yield the HTML files of a block: name, text, what inputs hold in it, and whether it is a template."""
    for variant, texts in zip(named.variants, source.variants, strict=True):
        yield variant.template, texts.template, source.values(variant.set), True
    for name, file in named.parts.items():
        yield file, source.parts[name], source.values(), True
    if source.fallback:
        yield named.fallback, source.fallback, {}, False


def _findings(named: Block, source: Block) -> Iterator[Finding]:
    seen: set[str] = set()
    told: set[str] = set()
    for file, text, values, is_template in _html_files(named, source):
        if file not in seen:
            seen.add(file)
            # What only looks plainer is told once a block; what breaks a layout, in each file.
            support = Support((*named.enhancements, *told))
            yield from lint(file, text, Rules(named.hosts, values, tracked=is_template, support=support))
            told |= support.plainer


def _size_findings(path: Path, named: Block, block: Block) -> Iterator[Finding]:
    largest = largest_answer(path.parent, named, block)
    if largest > block.max_bytes * WARN_FROM:
        message = f"an answer may be {largest:,} bytes; {block.max_bytes:,} are the most, and the next variant answers"
        yield Finding("warning", path.name, line_in(path, ("max_bytes",)), message)


def _compiled(path: Path, named: Block, source: Block) -> Block:
    """Return the block with its HTML as it is rendered, and a plain-text fallback if it has none."""

    def html(file: str, text: str) -> str:
        try:
            return compiled(text, file)
        except CannotCompile as error:
            raise DefinitionError(path.parent / file, error.line, _sentence(str(error))) from error

    data = source.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for index, variant in enumerate(named.variants):
        data["variants"][index]["template"] = html(variant.template, source.variants[index].template)
    if source.parts:
        data["parts"] = {name: html(file, source.parts[name]) for name, file in named.parts.items()}
    if source.fallback:
        data["fallback"] = html(named.fallback, source.fallback)
    if not named.fallback_text:
        data["fallback_text"] = text_of(data["fallback"])
    try:
        return Block.model_validate(data)
    except ValueError as error:
        raise DefinitionError(path, 1, "a template is longer than 64,000 characters, compiled.") from error


def check_references(
    blocks: Iterable[Block],
    directory: Path,
    *,
    engine: Engine,
    vocabulary: Vocabulary | None = KNOWN,
    others: Mapping[str, Block] | None = None,
) -> None:
    """Refuse audiences that ask for what nobody knows, and insertions of blocks that there are not.

    Parameters
    ----------
    blocks
        What was read from `directory`.
    directory
        Where each block has its own directory.
    engine
        The segments.
    vocabulary
        What their language may name; None takes any name.
    others
        Blocks that exist besides, by name.

    Raises
    ------
    DefinitionError
        Names file and line of the first fault, and what was probably meant.
    """
    read = {block.name: block for block in blocks}
    known = {**(others or {}), **read}
    for block in read.values():
        path = directory / block.name / BLOCK_FILE
        _check_audiences(path, block, engine, vocabulary)
        for name, nested in block.blocks.items():
            line = line_in(path, ("blocks", name, "block"))
            if nested.block not in known:
                message = f"there is no block {nested.block!r}{did_you_mean(nested.block, known)}"
                raise DefinitionError(path, line, _sentence(message))
            if known[nested.block].blocks:
                message = f"the block {nested.block!r} inserts blocks itself; they nest one level."
                raise DefinitionError(path, line, message)
            _check_setting(path, line, known[nested.block], nested.set)


def _check_setting(path: Path, line: int, nested: Block, setting: Mapping[str, object]) -> None:
    for name, value in setting.items():
        if name not in nested.inputs:
            message = f"{nested.name} has no input {name!r}{did_you_mean(name, nested.inputs)}"
            raise DefinitionError(path, line, _sentence(message))
        try:
            nested.inputs[name].check(value)
        except ValueError as error:
            raise DefinitionError(path, line, f"{name}: {error}.") from error


def _check_audiences(path: Path, block: Block, engine: Engine, vocabulary: Vocabulary | None) -> None:
    for index, variant in enumerate(block.variants):
        if variant.audience is None:
            continue
        place: tuple[str | int, ...] = ("variants", index, "audience")
        for location, condition in located(variant.audience, place):
            if isinstance(condition, InSegment) and condition.segment not in engine.segments:
                # The list of names that stands for "in any of them" has no such keys; the nearest line is found.
                hint = did_you_mean(condition.segment, engine.segments)
                message = f"there is no segment {condition.segment!r}{hint}"
                raise DefinitionError(path, line_in(path, (*location, "segment")), _sentence(message))
        try:
            if vocabulary is not None:
                check(SegmentDefinition(name="audience", description="An audience.", rule=variant.audience), vocabulary)
            engine.audience(variant.audience)
        except Unknown as error:
            raise DefinitionError(
                path, line_in(path, (*place, *error.location[1:])), error.reason, error.hint
            ) from error
        except BadReference as error:
            hint = "Write the condition as a segment, and name that as the audience."
            raise DefinitionError(path, line_in(path, place), f"{error}.", hint) from error


def _check_contexts(path: Path, block: Block) -> None:
    """Refuse a `when` that looks at what no fetch has."""
    request: dict[str, ValueType] = {
        name: "number" if parameter.type == "number" else "text" for name, parameter in block.request.items()
    }
    types = {**_CONTEXT_TYPES, "request": request}
    paths = {f"{context}.{name}": kind for context in CONTEXTS for name, kind in types[context].items()}
    for index, variant in enumerate(block.variants):
        for name, wanted in variant.when.items():
            line = line_in(path, ("variants", index, "when", name))
            if name not in paths:
                raise DefinitionError(path, line, _sentence(f"when knows no {name!r}{did_you_mean(name, paths)}"))
            if fault := mismatch(wanted, paths[name]):
                raise DefinitionError(path, line, f"{name}: {fault}.")


def _with_texts(path: Path, named: Block) -> Block:
    """Return the block with each file name replaced by the file's text."""

    def text(file: str, *location: int | str) -> str:
        return _file_text(path, file, line_in(path, location))

    data = named.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for index, variant in enumerate(named.variants):
        data["variants"][index]["template"] = text(variant.template, "variants", index, "template")
        if variant.text is not None:
            data["variants"][index]["text"] = text(variant.text, "variants", index, "text")
    if named.parts:
        data["parts"] = {name: text(file, "parts", name) for name, file in named.parts.items()}
    data["fallback"] = "" if named.fallback == NOTHING else text(named.fallback, "fallback")
    if named.fallback_text:
        data["fallback_text"] = text(named.fallback_text, "fallback_text")
    try:
        return Block.model_validate(data)
    except ValueError as error:
        raise DefinitionError(path, 1, "a template is longer than 64,000 characters.") from error


def _file_text(path: Path, file: str, line: int) -> str:
    """Return the text of a file that a `block.yaml` names at `line`."""
    if "/" in file or "\\" in file or file.startswith("."):
        raise DefinitionError(path, line, f"{file!r} must be a file beside {BLOCK_FILE}.")
    try:
        content = (path.parent / file).read_text(encoding="utf-8")
    except OSError as error:
        raise DefinitionError(path, line, f"the template file {file!r} is missing.") from error
    except UnicodeDecodeError as error:
        raise DefinitionError(path.parent / file, 1, "the file is not UTF-8 text.") from error
    if not content.strip():
        raise DefinitionError(path.parent / file, 1, "the file is empty.")
    return content


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."
