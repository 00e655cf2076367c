"""Token keys and recipient tokens of a system: `mailtailor tokens`."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from typing import Annotated, Final

import typer

from mailtailor.aws.profile_table import ProfileTable, pause_after_conflict
from mailtailor.profiles import revocation
from mailtailor.tracking.tokens import Purpose, RecipientToken, sign_recipient
from mailtailor_cli.connection import Where, connect
from mailtailor_cli.keys import asking, keyring
from mailtailor_cli.token_export import export

app = typer.Typer(help="Keys and tokens of tracked links, pixels and content.", no_args_is_help=True)
app.command()(export)

On = Annotated[Where, typer.Option("--on", help="The system to work on.")]
ProfileId = Annotated[str, typer.Argument(help="The profile's id, 22 characters.")]

TAKES_PROFILE_ID: Final = {"ignore_unknown_options": True}
"""One id in 64 begins with a dash, and would be taken for an option."""

_NUMBERED: Final = re.compile(r"k([0-9]+)")


@app.command()
def rotate(on: On = Where.AUTO) -> None:
    """Add a new key and sign with it from now on; links that are already sent keep working."""
    system = connect(on)
    with asking(system):
        client, secret_id = system.client("secretsmanager"), system.outputs["TokensSecretId"]
        before = json.loads(client.get_secret_value(SecretId=secret_id)["SecretString"])
        after = rotated(before)
        client.put_secret_value(SecretId=secret_id, SecretString=json.dumps(after))
    typer.echo(
        f"New tokens of {system.name} are signed with {after['active']}. "
        f"Tokens of its {len(after) - 2} older key(s) keep working; functions learn the new key within seconds."
    )


@app.command(context_settings=TAKES_PROFILE_ID)
def recipient(profile_id: ProfileId, on: On = Where.AUTO) -> None:
    """Print a profile's tokens: one line a purpose, name and token parted by a tab."""
    system = connect(on)
    keys = keyring(system)
    with asking(system):
        table = ProfileTable(client=system.client("dynamodb"), table=system.outputs["ProfilesTable"])
        profile = table.read(profile_id)
    epoch = profile.epoch if profile else 0
    for purpose in Purpose:
        typer.echo(f"{purpose}\t{sign_recipient(keys, RecipientToken(profile_id, purpose, epoch))}")


@app.command(context_settings=TAKES_PROFILE_ID)
def revoke(profile_id: ProfileId, on: On = Where.AUTO) -> None:
    """End the content and manage tokens of a profile that are in sent mails; what they track goes on."""
    system = connect(on)
    with asking(system):
        table = ProfileTable(client=system.client("dynamodb"), table=system.outputs["ProfilesTable"])
        revoked = revocation.revoke(table, profile_id, pause=pause_after_conflict)
    typer.echo(
        f"Content and manage tokens of {revoked.id} from before are refused by {system.name} from now on "
        f"(epoch {revoked.epoch}). Give the ESP its new ones before the next mail: mailtailor tokens export"
    )


def rotated(secret: Mapping[str, str]) -> dict[str, str]:
    """Return the tokens secret with a new active key, numbered on from the highest one."""
    numbers = [int(match[1]) for name in secret if (match := _NUMBERED.fullmatch(name))]
    name = f"k{max(numbers, default=0) + 1}"
    return {**secret, name: secrets.token_urlsafe(48), "active": name}
