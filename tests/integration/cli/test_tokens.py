from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from mailtailor.errors import MailtailorError
from mailtailor.tracking.tokens import (
    Keyring,
    MailingToken,
    Purpose,
    RecipientToken,
    read_mailing,
    read_recipient,
    sign_mailing,
)
from mailtailor_cli import tokens
from mailtailor_cli.connection import Connection
from mailtailor_cli.keys import keyring
from mailtailor_cli.main import app

SECRET = {"active": "k9", "k9": "the first secret key of these tests", "old": "an older secret key of these tests"}
PROFILE = "AAECAwQFBgcICQoLDA0ODw"


@pytest.fixture(autouse=True)
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name="tokens", SecretString=json.dumps(SECRET))
        boto3.client("dynamodb").create_table(
            TableName="profiles",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        running = Connection("the test system", {"TokensSecretId": "tokens", "ProfilesTable": "profiles"})
        monkeypatch.setattr(tokens, "connect", lambda _where: running)
        yield running


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["tokens", *arguments])


def test_rotating_signs_with_a_new_key_and_keeps_what_was_sent_working(system: Connection) -> None:
    # given
    before = keyring(system)
    sent = sign_mailing(before, MailingToken("spring"))
    # when
    result = run("rotate")
    # then
    after = keyring(system)
    assert result.exit_code == 0
    assert "k10" in result.output
    assert "keep working" in result.output
    assert after.active == "k10"
    assert after.keys.items() > before.keys.items()
    assert after.keys["k10"].decode() not in result.output
    assert read_mailing(after, sent) == MailingToken("spring")
    assert read_mailing(after, sign_mailing(after, MailingToken("spring"))) == MailingToken("spring")


def test_rotating_again_and_again_never_makes_the_same_key() -> None:
    secret = dict(SECRET)
    for _ in range(5):
        secret = tokens.rotated(secret)
    keyring = Keyring.from_secret(secret)
    assert keyring.active == "k14"
    assert len(set(keyring.keys.values())) == len(keyring.keys) == 7


def test_a_profiles_tokens_are_printed_one_a_purpose(system: Connection) -> None:
    # when
    result = run("recipient", PROFILE)
    printed = dict(line.split("\t") for line in result.output.splitlines())
    # then
    assert printed.keys() == set(Purpose)
    for purpose in Purpose:
        assert read_recipient(keyring(system), printed[purpose], purpose) == RecipientToken(PROFILE, purpose, 0)


@pytest.mark.parametrize("profile_id", ["-1tjuBQAVNEt-rdn0k3L_Q", "--tjuBQAVNEt-rdn0k3L_Q"])
def test_a_profile_id_that_begins_with_a_dash_is_no_option(system: Connection, profile_id: str) -> None:
    # when
    result = run("recipient", profile_id)
    # then
    assert result.exit_code == 0
    track = dict(line.split("\t") for line in result.output.splitlines())["track"]
    assert read_recipient(keyring(system), track, Purpose.TRACK).profile_id == profile_id


def test_a_profile_id_of_the_wrong_form_is_refused_in_a_sentence() -> None:
    error = run("recipient", "somebody").exception
    assert isinstance(error, MailtailorError)
    assert "profile id has the wrong form" in str(error)


def test_a_missing_secret_is_told_in_a_sentence(system: Connection) -> None:
    system.client("secretsmanager").delete_secret(SecretId="tokens", ForceDeleteWithoutRecovery=True)
    error = run("rotate").exception
    assert isinstance(error, MailtailorError)
    assert str(error).startswith("The test system refused")


def test_who_is_not_known_cannot_be_revoked() -> None:
    error = run("revoke", PROFILE).exception
    assert isinstance(error, MailtailorError)
    assert "There is no profile" in str(error)
