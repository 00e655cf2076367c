"""Checks blocks, and publishes them while the system runs: `mailtailor blocks check`, `push`, `publish`, `rollback`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from mailtailor.aws.block_objects import BlockObjects
from mailtailor.aws.definition_versions import DefinitionVersions
from mailtailor.content.block import Block
from mailtailor.content.files import BLOCK_FILE, check_block, check_references
from mailtailor.content.lint import Level
from mailtailor.content.versions import DEPLOYED, History, Manifest
from mailtailor.definition_files import DefinitionError
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import Engine
from mailtailor.segments.files import load_segments, load_vocabulary
from mailtailor.segments.vocabulary import suggested
from mailtailor_cli.connection import Connection, Where, connect
from mailtailor_cli.keys import asking
from mailtailor_cli.recompute import minute, say
from mailtailor_cli.segments import DEFINITIONS as SEGMENTS

BLOCKS: Final = SEGMENTS.parent / "blocks"
_COLOURS: Final[Mapping[Level, str]] = {"error": "red", "warning": "yellow", "note": "dim"}

Sources = Annotated[
    list[Path] | None,
    typer.Argument(help="Directories of blocks, or of one block; all of them, if not given.", show_default=False),
]
Name = Annotated[str, typer.Argument(help="The block's name.", show_default=False)]
On = Annotated[Where, typer.Option("--on", help="The system to work on.")]


def check(sources: Sources = None) -> None:
    """Compile blocks and say what mail clients and people would stumble over; nothing is sent anywhere.

    Audiences are checked against the segments in the files, and blocks inside
    blocks against those beside them.
    """
    blocks = _checked(_files(sources), {"error", "warning", "note"})
    beside = {path for folder in {path.parent for path in blocks} for path in folder.glob(f"*/{BLOCK_FILE}")}
    others = {name: block for name in _wanted(blocks.values()) if (block := _beside(name, beside)) is not None}
    _check_references(blocks, load_segments(SEGMENTS), others)
    say(f"In order: {', '.join(block.name for block in blocks.values())}.")


def push(
    sources: Sources = None,
    *,
    publish_: Annotated[bool, typer.Option("--publish", help="Show them from now on, all at once.")] = False,
    note: Annotated[str, typer.Option("--note", help="What for, kept with the versions.", show_default=False)] = "",
    after: Annotated[
        int | None,
        typer.Option("--after", min=0, help="Push only if this is the newest version.", show_default=False),
    ] = None,
    on: On = Where.AUTO,
) -> None:
    """Check and compile blocks, and keep them as new versions, which nobody is shown until they are published.

    All of them are kept, or none. A block that has not changed since its
    newest version gets no new one. Nothing is deployed.
    """
    blocks = _checked(_files(sources), {"error", "warning"})
    if after is not None and len(blocks) > 1:
        raise BadInput("--after is for one block.", "Name its directory.")
    with asking(system := connect(on)):
        objects = _objects(system)
        before = objects.manifest()
        _check_references(blocks, _segments(system), _published(objects, before, _wanted(blocks.values())))
        made = objects.push(blocks.values(), system.clock(), note=note, after=after, publish=publish_)
    for block in blocks.values():
        history, was = made.history(block.name), before.blocks.get(block.name)
        unchanged = was is not None and was.newest == history.newest
        what = "is unchanged since" if unchanged else "is pushed as"
        shown = "" if history.published == history.newest.number else f"; {_shown(history)} is shown"
        say(f"{block.name} {what} version {history.newest.number}{shown}.")
    if not publish_:
        say("Look at it with: mailtailor blocks preview NAME --draft. Show it with: mailtailor blocks publish NAME")


def publish(
    name: Name,
    *,
    version: Annotated[
        int | None,
        typer.Option(
            "--version", min=0, help="Its number, 0 as deployed; the newest, if not given.", show_default=False
        ),
    ] = None,
    on: On = Where.AUTO,
) -> None:
    """Show a version of a block from now on."""
    with asking(system := connect(on)):
        _tell(_objects(system).publish(name, version), name)


def rollback(name: Name, *, on: On = Where.AUTO) -> None:
    """Show again what a block showed before the version that it shows."""
    with asking(system := connect(on)):
        _tell(_objects(system).roll_back(name), name)


def list_(*, on: On = Where.AUTO) -> None:
    """List the blocks that were ever pushed; all others are shown as deployed."""
    with asking(system := connect(on)):
        manifest = _objects(system).manifest()
    if not manifest.blocks:
        say("No block was ever pushed; all are shown as deployed.")
        return
    table = Table(Column("Block", overflow="fold"), "Shown", "Newest", Column("Pushed", no_wrap=True))
    table.add_column("Note", overflow="fold")
    for name, history in sorted(manifest.blocks.items()):
        newest = history.newest
        table.add_row(name, _shown(history), str(newest.number), minute(newest.at), escape(newest.note))
    Console().print(table)


def versions(name: Name, *, on: On = Where.AUTO) -> None:
    """List the versions of a block that are kept, and say which one is shown."""
    with asking(system := connect(on)):
        history = _objects(system).manifest().history(name)
    table = Table(Column("Version", justify="right"), Column("Pushed", no_wrap=True), "SHA-256", "")
    table.add_column("Note", overflow="fold")
    marks = {history.published: "shown"}
    if history.before:
        marks[history.before[-1]] = "shown before"
    for one in reversed(history.versions):
        table.add_row(str(one.number), minute(one.at), one.sha256[:12], marks.get(one.number, ""), escape(one.note))
    table.add_row(str(DEPLOYED), "", "", marks.get(DEPLOYED, ""), "as deployed")
    Console().print(table)


def _shown(history: History) -> str:
    return f"version {history.published}" if history.published else "the deployed version"


def _tell(manifest: Manifest, name: str) -> None:
    say(f"{name} shows {_shown(manifest.history(name))} from now on; functions ask every few seconds.")


def _objects(system: Connection) -> BlockObjects:
    if "CatalogBucket" not in system.outputs:
        raise MailtailorError(f"{system.subject} has no place for versions of blocks.", "Deploy it again.")
    return BlockObjects(system.client("s3"), system.outputs["CatalogBucket"])


def _files(sources: Iterable[Path] | None) -> list[Path]:
    """Return the `block.yaml` of each block in directories."""
    found: list[Path] = []
    for given in sources or [BLOCKS]:
        # A block is told by the name of its directory, which "." does not tell.
        source = given.resolve() if given.name in {"", ".."} else given
        files = [source / BLOCK_FILE] if (source / BLOCK_FILE).is_file() else sorted(source.glob(f"*/{BLOCK_FILE}"))
        if not files:
            beside = [path.name for path in source.parent.glob("*") if path.is_dir()] if source.parent.is_dir() else []
            hint = suggested(source.name, beside) or f"A block is a directory with a {BLOCK_FILE}."
            raise NotFound(f"There is no block in {source}.", hint)
        found += files
    return sorted(set(found))


def _checked(files: Iterable[Path], levels: set[Level]) -> dict[Path, Block]:
    """Return the blocks, compiled, by their directories; print what there is to say, and refuse errors.

    Raises
    ------
    BadInput
        If there are errors, or two blocks of one name.
    """
    console, blocks, errors = Console(stderr=True, highlight=False, soft_wrap=True), {}, 0
    for file in files:
        try:
            checked = check_block(file)
        except DefinitionError as error:
            console.print(f"[red]{escape(str(error))}[/]")
            errors += 1
            continue
        for finding in checked.findings:
            if finding.level in levels:
                console.print(f"[{_COLOURS[finding.level]}]{escape(str(file.parent / str(finding)))}[/]")
            errors += finding.level == "error"
        if checked.block is not None:
            blocks[file.parent] = checked.block
    if errors:
        raise BadInput(f"{errors} {'error stands' if errors == 1 else 'errors stand'} in the way.", "Mend them first.")
    names = [block.name for block in blocks.values()]
    if len(set(names)) < len(names):
        raise BadInput("Two of these directories hold a block of the same name.", "Push them one by one.")
    return blocks


def _check_references(
    blocks: Mapping[Path, Block], segments: Sequence[SegmentDefinition], others: Mapping[str, Block]
) -> None:
    """Refuse audiences and insertions of what there is not, as `check_references` does; blocks may know each other."""
    engine, vocabulary = Engine(segments), load_vocabulary(SEGMENTS)
    known = {**others, **{block.name: block for block in blocks.values()}}
    for folder, paths in groupby(sorted(blocks), key=lambda path: path.parent):
        inside = [blocks[path] for path in paths]
        check_references(inside, folder, engine=engine, vocabulary=vocabulary, others=known)


def _wanted(blocks: Iterable[Block]) -> set[str]:
    """Return the names of blocks that are inserted and are not among these."""
    blocks = list(blocks)
    return {nested.block for one in blocks for nested in one.blocks.values()} - {one.name for one in blocks}


def _beside(name: str, files: Iterable[Path]) -> Block | None:
    file = next((file for file in files if file.parent.name == name and file.is_file()), None)
    return check_block(file).block if file is not None else None


def _segments(system: Connection) -> Sequence[SegmentDefinition]:
    """Return the segments that rule; until some were applied, those that were deployed, which the files hold."""
    if table := system.outputs.get("DefinitionsTable"):
        stored = DefinitionVersions(client=system.client("dynamodb"), table=table)
        if (rollout := stored.rollout()) is not None:
            return stored.version(rollout.active).segments
    return load_segments(SEGMENTS)


def _published(objects: BlockObjects, manifest: Manifest, names: Iterable[str]) -> dict[str, Block]:
    """Return blocks as they are shown; those as deployed are in the files."""
    found = {}
    for name in names:
        version = manifest.published(name)
        block = objects.block(name, version) if version else _beside(name, [BLOCKS / name / BLOCK_FILE])
        if block is not None:
            found[name] = block
    return found
