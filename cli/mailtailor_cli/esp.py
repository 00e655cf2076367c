"""What an ESP needs to show blocks: `mailtailor esp`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

import typer
from rich.console import Console

from mailtailor.content.address import Shape
from mailtailor.content.files import BLOCK_FILE, load_block
from mailtailor.content.preview import Who
from mailtailor.errors import BadInput, NotFound
from mailtailor.esp.snippets.registry import usual_shape, write
from mailtailor.esp.snippets.request import Snippet, SnippetRequest
from mailtailor.segments.vocabulary import suggested
from mailtailor.tracking.esp_forms import esp_form
from mailtailor.tracking.tokens import MailingToken, sign_mailing
from mailtailor_cli.block_preview import PREVIEW
from mailtailor_cli.connection import Connection, Where, connect
from mailtailor_cli.keys import keyring

app = typer.Typer(help="What is pasted into an ESP so that it shows blocks.", no_args_is_help=True)

SHAPES: Final = {"html": Shape.HTML, "json": Shape.JSON, "text": Shape.TEXT}


@app.callback()
def group() -> None:
    """Keep `snippet` a command of its own while it is the only one."""


@app.command()
def snippet(
    blocks: Annotated[str, typer.Argument(help="A block, or several in one fetch: header,hero.", show_default=False)],
    *,
    esp: Annotated[str, typer.Option(help="Your ESP: sfmc, braze, hubspot, klaviyo, iterable or generic.")],
    campaign: Annotated[str, typer.Option(help="The campaign's id, to which clicks in the blocks are counted.")] = "",
    shape: Annotated[
        str, typer.Option("--format", help="What is fetched: html, json or text; if not given, what suits the ESP.")
    ] = "",
    parameter: Annotated[
        list[str] | None, typer.Option(help="What the fetch says to the blocks, as season=summer; repeatable.")
    ] = None,
    instance: Annotated[
        bool, typer.Option("--instance", help="Tell each send of the campaign apart, by the ESP's id of it.")
    ] = False,
    attribute: Annotated[str, typer.Option(help="The attribute that names the recipient, if not the usual one.")] = "",
    credential: Annotated[str, typer.Option(help="Braze: fetch with this basic credential, by profiles' ids.")] = "",
    cache_minutes: Annotated[
        int | None, typer.Option(help="Braze: keep an answer so long, 5 to 240 minutes; 0 keeps none.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option("--directory", help="Take static variants from this directory of blocks.")
    ] = None,
    on: Annotated[Where, typer.Option("--on", help="The system to work on.")] = Where.AUTO,
) -> None:
    """Print what is pasted into an ESP's mail so that it fetches blocks for each recipient while it sends.

    Only what is pasted goes to standard output; what to set up beside it, and
    what the ESP cannot do, is told beside it.
    """
    form = esp_form(esp)
    usual = usual_shape(form)
    wanted = _shape(shape) if shape else usual
    if form.name != "braze" and (credential or cache_minutes is not None):
        raise BadInput("--credential and --cache-minutes are for Braze.", f"Leave them out for {form.title}.")
    names, said = tuple(blocks.split(",")), _parameters(parameter or ())
    text = wanted is Shape.TEXT
    found = [_from_file(name, directory, text=text) for name in names] if directory is not None else None
    system = connect(on)
    found = found if found is not None else [_published(system, name, text=text) for name in names]
    _check(said, found)
    request = SnippetRequest(
        form=form,
        blocks=names,
        fallbacks={one.name: one.fallback for one in found},
        content_url=system.outputs["ContentUrl"],
        shape=wanted,
        message=_message(system, campaign),
        parameters=said,
        tell_sends_apart=instance,
        attribute=attribute,
        credential=credential,
        cache_minutes=cache_minutes,
    )
    _tell(write(request))


def _shape(name: str) -> Shape:
    if name not in SHAPES:
        raise BadInput(f"A block cannot be fetched as {name!r}.", f"Choose {', '.join(SHAPES)}.")
    return SHAPES[name]


@dataclass(frozen=True, slots=True)
class Static:
    """What a snippet holds of a block: its static variant, and which parameters it takes."""

    name: str
    fallback: str
    parameters: tuple[str, ...]


def _from_file(name: str, directory: Path, *, text: bool) -> Static:
    known = sorted(file.parent.name for file in directory.glob(f"*/{BLOCK_FILE}"))
    if name not in known:
        hint = suggested(name, known) or f"Known are {', '.join(known)}."
        raise NotFound(f"There is no block {name!r} in {directory}.", hint)
    block = load_block(directory / name / BLOCK_FILE)
    return Static(name, block.fallback_text if text else block.fallback, tuple(block.request))


def _published(system: Connection, name: str, *, text: bool) -> Static:
    """Return what is shown of a published block while nothing answers."""
    path = f"/admin/blocks/{quote(name, safe='')}/preview"
    told = PREVIEW.post(system, path, {"who": Who.OUTAGE, "form": "text" if text else "html"})
    return Static(name, told["body"], tuple(told["parameters"]))


def _parameters(options: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise BadInput(f"--parameter {option!r} has no value.", "Write it as season=summer.")
        found[name] = value
    return found


def _check(parameters: Iterable[str], blocks: Iterable[Static]) -> None:
    taken = {name for block in blocks for name in block.parameters}
    for name in parameters:
        if name not in taken:
            hint = suggested(name, taken) or (f"They take {', '.join(sorted(taken))}." if taken else "They take none.")
            raise BadInput(f"None of the blocks takes a parameter {name!r}.", hint)


def _message(system: Connection, campaign: str) -> str:
    return sign_mailing(keyring(system), MailingToken(campaign)) if campaign else ""


def _tell(snippet: Snippet) -> None:
    """Print the parts to standard output, and all that is said of them beside it."""
    beside = Console(stderr=True, soft_wrap=True, highlight=False)
    for part in snippet.parts:
        beside.print(f"── Paste {part.where}:", style="bold", markup=False)
        typer.echo(part.code)
        typer.echo()
    for sentence in snippet.setup:
        beside.print(f"· {sentence}", markup=False)
    beside.print("What it cannot do:", style="bold")
    for sentence in snippet.limits:
        beside.print(f"· {sentence}", markup=False)
