"""Who may use the routes under /admin: `mailtailor admin`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer

from mailtailor.errors import MailtailorError
from mailtailor_cli.connection import Connection, Where, connect
from mailtailor_cli.keys import asking

app = typer.Typer(help="Administrators, and their tokens for the routes under /admin.", no_args_is_help=True)

On = Annotated[Where, typer.Option("--on", help="The system to work on.")]

ASKED: Final = {
    "NEW_PASSWORD_REQUIRED": ("NEW_PASSWORD", "New password, at least 14 characters"),
    "SOFTWARE_TOKEN_MFA": ("SOFTWARE_TOKEN_MFA_CODE", "Code of your authenticator app"),
}
"""What Cognito may ask for beside the password, and the name under which the answer is sent (its API reference)."""


@app.command()
def token(
    *,
    email: Annotated[str, typer.Option("--email", help="The administrator; on this machine there is one.")] = "",
    password: Annotated[
        str, typer.Option("--password", envvar="MAILTAILOR_PASSWORD", help="Asked for if not given.")
    ] = "",
    on: On = Where.AUTO,
) -> None:
    """Print a token that is good for an hour: curl -H "Authorization: Bearer $(mailtailor admin token)" ..."""
    system = connect(on)
    if not email and not password:
        email, password = system.administrator.get("email", ""), system.administrator.get("password", "")
    email = email or typer.prompt("E-mail address", err=True)
    typer.echo(sign_in(system, email, password or typer.prompt("Password", hide_input=True, err=True)))


@app.command()
def invite(
    email: Annotated[str, typer.Argument(help="Gets a password for the first sign-in.")], on: On = Where.AUTO
) -> None:
    """Add an administrator; Cognito sends the password, which is changed at the first sign-in."""
    system = connect(on)
    with _asking(system):
        system.client("cognito-idp").admin_create_user(
            UserPoolId=system.outputs["UserPoolId"],
            Username=email,
            UserAttributes=[{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}],
            DesiredDeliveryMediums=["EMAIL"],
        )
    typer.echo(f"Invited to {system.name}. The password is good for three days: mailtailor admin token --email ...")


def sign_in(system: Connection, email: str, password: str) -> str:
    """Return an access token of an administrator, asking on the way for what Cognito asks.

    Raises
    ------
    MailtailorError
        If Cognito refuses, or asks for what a terminal cannot answer.
    """
    with _asking(system):
        client: Any = system.client("cognito-idp")
        pool = {"UserPoolId": system.outputs["UserPoolId"], "ClientId": system.outputs["UserPoolClientId"]}
        answer = client.admin_initiate_auth(
            **pool,
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": password},
        )
        while challenge := answer.get("ChallengeName"):
            if challenge not in ASKED:
                raise MailtailorError(f"Cognito asks for {challenge}, which this command cannot answer.")
            name, question = ASKED[challenge]
            given = typer.prompt(question, hide_input=True, confirmation_prompt=name == "NEW_PASSWORD", err=True)
            answer = client.admin_respond_to_auth_challenge(
                **pool,
                ChallengeName=challenge,
                Session=answer["Session"],
                ChallengeResponses={
                    "USERNAME": answer["ChallengeParameters"].get("USER_ID_FOR_SRP", email),
                    name: given,
                },
            )
    return str(answer["AuthenticationResult"]["AccessToken"])


@contextmanager
def _asking(system: Connection) -> Iterator[None]:
    try:
        with asking(system):
            yield
    except KeyError as error:
        raise MailtailorError(f"{system.subject} has no administrators.", "Deploy it again.") from error
