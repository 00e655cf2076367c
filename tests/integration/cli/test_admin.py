from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import boto3
import pytest
from botocore.stub import Stubber
from typer.testing import CliRunner, Result

from mailtailor_cli import admin
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app

EMAIL: Final = "someone@example.com"
PASSWORD: Final = "A long passw0rd, of theirs"
MINE: Final = "Another l0ng one, my own"
POOL: Final = {"UserPoolId": "us-east-1_pool"}
CLIENT: Final = {**POOL, "ClientId": "client"}
SIGN_IN: Final = {
    **CLIENT,
    "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
    "AuthParameters": {"USERNAME": EMAIL, "PASSWORD": PASSWORD},
}
SIGNED_IN: Final = {"AuthenticationResult": {"AccessToken": "a.b.c", "IdToken": "d.e.f"}}


def connection(**administrator: str) -> Connection:
    outputs = {"UserPoolId": CLIENT["UserPoolId"], "UserPoolClientId": CLIENT["ClientId"]}
    return Connection("the test system", outputs, administrator=administrator)


@pytest.fixture(autouse=True)
def cognito(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """A client of Cognito that answers what a test tells it, and refuses parameters that Cognito would refuse."""
    client = boto3.client("cognito-idp", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    monkeypatch.setattr(Connection, "client", lambda *_: client)
    monkeypatch.setattr(admin, "connect", lambda _where: connection())
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def run(*arguments: str, answers: str = "") -> Result:
    return CliRunner().invoke(app, ["admin", *arguments], input=answers)


def challenge(name: str) -> dict[str, Any]:
    return {"ChallengeName": name, "Session": "x" * 20, "ChallengeParameters": {"USER_ID_FOR_SRP": "their-id"}}


def answered(name: str, **responses: str) -> dict[str, Any]:
    return {
        **CLIENT,
        "ChallengeName": name,
        "Session": "x" * 20,
        "ChallengeResponses": {"USERNAME": "their-id", **responses},
    }


def test_a_token_goes_to_standard_output_alone_so_that_curl_can_take_it(cognito: Stubber) -> None:
    # given
    cognito.add_response("admin_initiate_auth", SIGNED_IN, SIGN_IN)
    # when
    result = run("token", "--email", EMAIL, answers=f"{PASSWORD}\n")
    # then
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "a.b.c"
    assert PASSWORD not in result.output


def test_who_signs_in_first_is_asked_for_a_password_of_their_own_and_then_for_a_code(cognito: Stubber) -> None:
    # given
    cognito.add_response("admin_initiate_auth", challenge("NEW_PASSWORD_REQUIRED"), SIGN_IN)
    cognito.add_response(
        "admin_respond_to_auth_challenge",
        challenge("SOFTWARE_TOKEN_MFA"),
        answered("NEW_PASSWORD_REQUIRED", NEW_PASSWORD=MINE),
    )
    cognito.add_response(
        "admin_respond_to_auth_challenge",
        SIGNED_IN,
        answered("SOFTWARE_TOKEN_MFA", SOFTWARE_TOKEN_MFA_CODE="123456"),
    )
    # when
    result = run("token", "--email", EMAIL, "--password", PASSWORD, answers=f"{MINE}\n{MINE}\n123456\n")
    # then
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "a.b.c"


def test_a_local_system_needs_no_questions(cognito: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(admin, "connect", lambda _where: connection(email=EMAIL, password=PASSWORD))
    cognito.add_response("admin_initiate_auth", SIGNED_IN, SIGN_IN)
    # when
    result = run("token")
    # then
    assert result.stdout == "a.b.c\n"


def test_an_invited_person_gets_their_password_by_mail(cognito: Stubber) -> None:
    # given
    attributes = [{"Name": "email", "Value": EMAIL}, {"Name": "email_verified", "Value": "true"}]
    asked = {**POOL, "Username": EMAIL, "UserAttributes": attributes, "DesiredDeliveryMediums": ["EMAIL"]}
    cognito.add_response("admin_create_user", {"User": {}}, asked)
    # when
    result = run("invite", EMAIL)
    # then
    assert result.exit_code == 0
    assert "Invited" in result.output


def test_a_wrong_password_is_told_in_a_sentence(cognito: Stubber) -> None:
    # given
    cognito.add_client_error("admin_initiate_auth", "NotAuthorizedException", "Incorrect username or password.")
    # when
    result = run("token", "--email", EMAIL, "--password", PASSWORD)
    # then
    assert str(result.exception) == "The test system refused: Incorrect username or password."


def test_what_a_terminal_cannot_answer_is_named(cognito: Stubber) -> None:
    # given
    cognito.add_response("admin_initiate_auth", challenge("DEVICE_SRP_AUTH"), SIGN_IN)
    # when
    result = run("token", "--email", EMAIL, "--password", PASSWORD)
    # then
    assert "DEVICE_SRP_AUTH" in str(result.exception)


def test_a_system_deployed_before_there_were_administrators_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(admin, "connect", lambda _where: Connection("the test system", {}))
    # when
    result = run("token", "--email", EMAIL, "--password", PASSWORD)
    # then
    assert str(result.exception) == "The test system has no administrators. Deploy it again."
