"""Keys of those who send events: `mailtailor keys`."""

from __future__ import annotations

import json
import secrets
from typing import Annotated

import typer

from mailtailor.errors import BadInput
from mailtailor.events.sources.registry import NAMES
from mailtailor_cli.connection import Connection, Where, connect
from mailtailor_cli.keys import asking

app = typer.Typer(help="Keys of those who send events.", no_args_is_help=True)

On = Annotated[Where, typer.Option("--on", help="The system to work on.")]
BROWSER_KEY = "browser_key"


@app.command()
def browser(*, on: On = Where.AUTO) -> None:
    """Print a new write key for web pages; keys made before stay good. It joins nobody and states no consent."""
    system = connect(on)
    key = secrets.token_urlsafe(24)
    _add(system, BROWSER_KEY, key)
    typer.echo(key)


@app.command()
def webhook(
    source: Annotated[str, typer.Argument(help="The webhook source, the last part of its address.")],
    entry: Annotated[str, typer.Option("--entry", help="The entry; asked for, unseen, if left out.")] = "",
    *,
    on: On = Where.AUTO,
) -> None:
    """Add an entry to a webhook source's secret; earlier ones stay good, so that it can be rotated."""
    if source not in NAMES:
        raise BadInput(f"{source!r} is no webhook source.", f"Known: {', '.join(NAMES)}.")
    given = entry or typer.prompt("Entry", hide_input=True)
    if not given.strip() or len(given.split()) > 1:
        raise BadInput("An entry has no blanks.", "They part one entry from the next.")
    system = connect(on)
    _add(system, source, given.strip())
    typer.echo(f"{system.subject} believes deliveries of {source} by it within seconds.")


def _add(system: Connection, name: str, entry: str) -> None:
    with asking(system):
        client, secret_id = system.client("secretsmanager"), system.outputs["IngestSecretId"]
        secret = json.loads(client.get_secret_value(SecretId=secret_id)["SecretString"])
        known = secret.get(name, "").split()
        if entry not in known:
            secret[name] = " ".join([entry, *known])
            client.put_secret_value(SecretId=secret_id, SecretString=json.dumps(secret))
