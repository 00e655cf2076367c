"""Blocks of content: `mailtailor blocks`."""

from __future__ import annotations

import typer

app = typer.Typer(help="Blocks: what they show, to whom, and in which version.", no_args_is_help=True)
