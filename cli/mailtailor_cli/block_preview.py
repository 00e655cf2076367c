"""What somebody sees in a block, and what everybody would: `mailtailor blocks preview` and `coverage`."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text
from rich.tree import Tree

from mailtailor.content.block import FALLBACK
from mailtailor.content.coverage import NO_CONSENT, NO_VARIANT, Coverage, margin, read_coverage
from mailtailor.content.files import BLOCK_FILE, load_block
from mailtailor.content.preview import NOT_REACHED, SHOWN, Who
from mailtailor.content.preview_request import MAX_LOOK, PARTS
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor_cli import pictures
from mailtailor_cli.admin_routes import AdminFunction
from mailtailor_cli.conditions import condition_tree, second
from mailtailor_cli.connection import Where, connect
from mailtailor_cli.preview_page import LOOKS, Look, framed, overview

PREVIEW: Final = AdminFunction("BlockPreview", "previews of blocks", "preview the block")
COVERAGE: Final = AdminFunction("BlockCoverage", "counts of who would see what", "count who would see what")
FORMS: Final = ("html", "text", "json")
MAX_SAMPLE: Final = 5_000
_FEW: Final = 16
"""From so many parts a sample is taken at least; from more, if these have too few people."""
_WHY: Final[Mapping[str, str]] = {
    "audience": "not in its audience",
    "context": "its `when` does not hold",
    "products": "too few products of their own",
    "bestsellers": "too few bestsellers",
    "stores": "no store near",
    "offer": "no offer for them",
    "audience_unknown": "its audience is unknown",
    NO_CONSENT: "allowed no personal content",
    NO_VARIANT: "no variant fits",
}

Block = Annotated[str, typer.Argument(help="The block's name.", show_default=False)]
At = Annotated[
    str, typer.Option("--at", help="When the mail is sent, such as 2026-11-20T10:00:00Z; now, if not given.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="A value of an input, or what the fetch says, as headline=Hello; repeatable."),
]
Directory = Annotated[
    Path | None,
    typer.Option("--directory", help="Take the block from this directory of blocks, not what is published."),
]
Version = Annotated[
    int | None, typer.Option("--version", help="A version that was pushed, by its number; 0 as deployed.")
]
Draft = Annotated[bool, typer.Option("--draft", help="The version that was pushed last, published or not.")]
On = Annotated[Where, typer.Option("--on", help="The system to work on.")]


def preview(
    block: Block,
    *,
    recipient: Annotated[str, typer.Option("--as", help="The id of a profile: what this person sees.")] = "",
    empty: Annotated[bool, typer.Option("--empty", help="What somebody sees of whom nothing is known.")] = False,
    outage: Annotated[bool, typer.Option("--outage", help="What is seen while nothing answers.")] = False,
    at: At = "",
    settings: Set = None,
    form: Annotated[str, typer.Option("--form", help="Print the block alone: html, text or json.")] = "",
    out: Annotated[Path | None, typer.Option("--out", help="Write a page with all looks, and the parts, here.")] = None,
    png: Annotated[bool, typer.Option("--png", help="Pictures too, by the Chromium of this machine.")] = False,
    width: Annotated[int, typer.Option(help="One picture only, so wide: 600 or 360.")] = 0,
    dark: Annotated[bool, typer.Option("--dark", help="One picture only, in the dark.")] = False,
    directory: Directory = None,
    version: Version = None,
    draft: Draft = False,
    on: On = Where.AUTO,
) -> None:
    """Show what somebody sees in a block, and why: each variant on the way, its audience with truth and evidence.

    It is rendered by the system, by the code that serves mails. Without --as,
    --empty or --outage it is what a fetch gets that names nobody. Links lead
    to their destination, so that no click counts.
    """
    if form and form not in FORMS:
        raise BadInput(f"A block has no form {form!r}.", f"Choose {', '.join(FORMS)}.")
    wanted = _looks(png, out, width, dark)
    browser = pictures.find_browser() if png else ""
    request = _request(at, settings, block, directory=directory, version=version, draft=draft) | _whom(
        recipient, empty, outage
    )
    system = connect(on)
    path = f"/admin/blocks/{quote(block, safe='')}/preview"
    told = PREVIEW.post(system, path, request | {"form": "text" if form == "text" and out is None else "html"})
    if form:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False) if form == "json" else told["body"])
    if out is None:
        _explain(told, Console(stderr=bool(form), highlight=False, soft_wrap=True))
        return
    text = PREVIEW.post(system, path, request | {"form": "text"})["body"]
    written = _write(out, told, text)
    for look in wanted:
        picture = out / f"{look.name}-{look.width}.png"
        pictures.take(browser, framed(look, told["body"]), look.width, picture)
        written.append(picture)
    _explain(told, Console(stderr=bool(form), highlight=False, soft_wrap=True))
    for file in written:
        typer.echo(f"Wrote {file}", err=True)


def _looks(png: bool, out: Path | None, width: int, dark: bool) -> Iterable[Look]:
    """Return the looks to take pictures of."""
    if (png or width or dark) and out is None:
        raise BadInput("Pictures need a place to go.", "Give --out DIRECTORY.")
    if (width or dark) and not png:
        raise BadInput("--width and --dark are for pictures.", "Give --png too.")
    if width not in {0, 600, 360}:
        raise BadInput(f"Mails are not looked at {width} pixels wide.", "Choose 600 or 360.")
    if not (width or dark):
        return LOOKS if png else ()
    name = "dark" if dark else "phone" if width == 360 else "desktop"
    return (Look(name, name, width=width or 600, dark=dark),)


def _whom(recipient: str, empty: bool, outage: bool) -> dict[str, str]:
    if bool(recipient) + empty + outage > 1:
        raise BadInput("--as, --empty and --outage exclude each other.", "Give one of them.")
    if recipient:
        return {"who": Who.RECIPIENT, "profile": recipient}
    return {"who": Who.EMPTY if empty else Who.OUTAGE if outage else Who.ANONYMOUS}


def _request(
    at: str, settings: Iterable[str] | None, block: str, *, directory: Path | None, version: int | None, draft: bool
) -> dict[str, Any]:
    if (directory is not None) + (version is not None) + draft > 1:
        raise BadInput("--directory, --version and --draft exclude each other.", "Give one of them, or none.")
    request: dict[str, Any] = {"set": _settings(settings or ())}
    if at:
        request["at"] = at
    if draft or version is not None:
        request["version"] = "newest" if draft else version
    if directory is not None:
        request["drafts"] = _drafts(block, directory)
    return request


def _settings(options: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise BadInput(f"--set {option!r} has no value.", "Write it as headline=Hello.")
        found[name] = value
    return found


def _drafts(name: str, directory: Path) -> list[dict[str, Any]]:
    """Return a block of a directory, compiled, and those inside it that are there too."""
    if not (directory / name / BLOCK_FILE).exists():
        known = ", ".join(sorted(file.parent.name for file in directory.glob(f"*/{BLOCK_FILE}")))
        raise NotFound(f"There is no block {name!r} in {directory}.", f"There are {known}." if known else "")
    block = load_block(directory / name / BLOCK_FILE)
    inside = {nested.block for nested in block.blocks.values()}
    files = (directory / one / BLOCK_FILE for one in sorted(inside))
    drafts = [block, *(load_block(file) for file in files if file.exists())]
    return [draft.model_dump(mode="json", by_alias=True, exclude_unset=True) for draft in drafts]


def _write(out: Path, told: Mapping[str, Any], text: str) -> list[Path]:
    whose = f"As {told['profile_id']} sees it" if told["profile_id"] else "As nobody in particular sees it"
    heading = f"{whose}, in a mail of {second(told['at'])}. Variant: {told['variant']}, {_size(told['body'])}."
    files = {
        "index.html": overview(told, text, heading),
        "block.html": told["body"],
        "block.txt": text,
        "block.json": json.dumps(told, indent=2, ensure_ascii=False),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise MailtailorError(f"{out} cannot be written: {error.strerror}.") from error
    return [out / "index.html"]


def _explain(told: Mapping[str, Any], console: Console) -> None:
    whose = told["profile_id"] or "nobody in particular"
    console.print(
        f"{told['block']} shows {whose} the variant {told['variant']} at {second(told['at'])}: {_size(told['body'])}.",
        markup=False,
    )
    for note in told["notes"]:
        console.print(note, style="yellow", markup=False)
    for rung in told["variants"]:
        mark, style = {SHOWN: ("▸ ", "bold green"), NOT_REACHED: ("· ", "dim")}.get(rung["reason"], ("✗ ", "red"))
        tree = Tree(Text.assemble((mark, style), f"{rung['variant']}: {rung['says']}"))
        if "condition" in rung:
            tree.children.append(condition_tree(rung["condition"]))
        console.print(tree)


def coverage(
    block: Block,
    *,
    sample: Annotated[int, typer.Option(help=f"How many people to look at, at most {MAX_SAMPLE:,}.")] = 1_000,
    at: At = "",
    settings: Set = None,
    directory: Directory = None,
    version: Version = None,
    draft: Draft = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
    on: On = Where.AUTO,
) -> None:
    """Say which share of people would see which variant of a block, and why not another, before it is published.

    Some profiles are read at random, and the block is rendered for each as in
    a mail; only numbers leave the system. Reading 1,000 costs about 500 read
    units, a fraction of a cent.
    """
    if not 1 <= sample <= MAX_SAMPLE:
        raise BadInput(f"A sample has 1 to {MAX_SAMPLE:,} people.", "1,000 are within 3 points of the truth.")
    request = _request(at, settings, block, directory=directory, version=version, draft=draft)
    system = connect(on)
    limit = min(ceil(sample / _FEW), MAX_LOOK)
    found, told, whole = Coverage(), {}, True
    parts = random.sample(range(PARTS), PARTS)
    columns = (TextColumn("Looking at people"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=sample)
        for part in parts:
            if found.looked_at >= sample:
                whole = False
                break
            path = f"/admin/blocks/{quote(block, safe='')}/coverage"
            told = COVERAGE.post(system, path, request | {"part": part, "limit": limit})
            found.unite(read_coverage(told))
            whole &= told["whole"]
            progress.update(task, completed=min(found.looked_at, sample))
    if as_json:
        typer.echo(json.dumps({**told, **found.payload(), "whole": whole}, indent=2))
        return
    _report(found, told, whole)


def _report(found: Coverage, told: Mapping[str, Any], whole: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    total = found.looked_at
    if not total:
        raise NotFound("There are no profiles to look at.", "Send events first, or seed the demonstration: make run")
    who = f"everybody, {total:,} people" if whole else f"{total:,} people at random"
    console.print(f"{told['block']}, of {who}:", markup=False)
    table = Table(Column("Variant"), Column("Share", justify="right"), Column("Passed over because", overflow="fold"))
    for name in (*told["variants"], FALLBACK):
        table.add_row(Text(name), _share(found.shown[name], total, whole), Text(_reasons(found, name)))
    console.print(table)
    generic = sum(found.shown[name] for name in told["generic"])
    because = _listed(found.fallbacks.most_common(), total)
    console.print(
        f"{_share(generic, total, whole)} would see nothing that is theirs in particular ({', '.join(told['generic'])})"
        f"{f'; the static variant because: {because}' if because else ''}.",
        markup=False,
    )
    if not whole:
        console.print("In 95 of 100 such samples, the true share is within what follows ±.", markup=False)
    if found.unreadable:
        console.print(f"{found.unreadable:,} profiles could not be read and are not counted.", style="yellow")


def _share(number: int, total: int, whole: bool) -> str:
    share = f"{100 * number / total:.1f} %"
    return share if whole else f"{share} ± {100 * margin(number, total):.1f}"


def _reasons(found: Coverage, name: str) -> str:
    if name == FALLBACK:
        return _listed(found.fallbacks.most_common(), found.looked_at)
    passed = [(reason, number) for (variant, reason), number in found.passed_over.most_common() if variant == name]
    return _listed(passed, found.looked_at)


def _listed(reasons: Iterable[tuple[str, int]], total: int) -> str:
    return ", ".join(f"{_WHY.get(reason, f'it fails ({reason})')} {100 * n / total:.1f} %" for reason, n in reasons)


def _size(body: str) -> str:
    return f"{len(body.encode()):,} bytes"
