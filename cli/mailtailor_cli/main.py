"""The entry point: one sentence and a hint for what goes wrong, never a traceback unless asked for."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Final

import typer
from rich.console import Console

from mailtailor.errors import MailtailorError
from mailtailor_cli import (
    admin,
    block_versions,
    blocks,
    campaigns,
    definitions,
    esp,
    events,
    ingest_keys,
    privacy,
    segments,
    tokens,
)
from mailtailor_cli.block_preview import coverage, preview
from mailtailor_cli.estimate import estimate
from mailtailor_cli.instrument import instrument
from mailtailor_cli.recompute import recompute
from mailtailor_cli.reconcile import reconcile
from mailtailor_cli.up import up

DEBUG_VARIABLE: Final = "MAILTAILOR_DEBUG"

app = typer.Typer(
    name="mailtailor",
    help="Tailors each e-mail to the person who opens it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(up)
app.command()(instrument)
segments.app.command()(definitions.apply)
segments.app.command()(estimate)
segments.app.command()(definitions.versions)
segments.app.command()(definitions.diff)
segments.app.command()(recompute)
segments.app.command()(reconcile)
blocks.app.command()(block_versions.check)
blocks.app.command()(block_versions.push)
blocks.app.command()(block_versions.publish)
blocks.app.command()(block_versions.rollback)
blocks.app.command("list")(block_versions.list_)
blocks.app.command()(block_versions.versions)
blocks.app.command()(preview)
blocks.app.command()(coverage)
app.add_typer(tokens.app, name="tokens")
app.add_typer(admin.app, name="admin")
app.add_typer(blocks.app, name="blocks")
app.add_typer(campaigns.app, name="campaigns")
app.add_typer(esp.app, name="esp")
app.add_typer(events.app, name="events")
app.add_typer(segments.app, name="segments")
app.add_typer(privacy.app, name="privacy")
app.add_typer(ingest_keys.app, name="keys")


@app.callback()
def options(*, debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False) -> None:
    """Take the options that every command has."""
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


def main() -> None:
    """Run the command and exit with 0, or 1 if it failed, or 130 if it was interrupted."""
    try:
        app()
    except MailtailorError as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        console.print(f"{error.message} {error.hint}".strip(), markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
