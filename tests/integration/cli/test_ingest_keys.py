"""`mailtailor keys`: browser keys and webhooks' entries are added, never taken away."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from mailtailor.errors import BadInput
from mailtailor_cli import ingest_keys
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app


@pytest.fixture(autouse=True)
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name="ingest", SecretString=json.dumps({"write_key": "w"}))
        running = Connection("the test system", {"IngestSecretId": "ingest"})
        monkeypatch.setattr(ingest_keys, "connect", lambda _where: running)
        yield running


def run(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["keys", *arguments], input=typed)


def secret() -> dict[str, str]:
    value: dict[str, str] = json.loads(
        boto3.client("secretsmanager").get_secret_value(SecretId="ingest")["SecretString"]
    )
    return value


def test_a_new_browser_key_is_printed_and_the_one_before_stays_good() -> None:
    # when
    first, second = run("browser").output.strip(), run("browser").output.strip()
    # then
    assert secret() == {"write_key": "w", "browser_key": f"{second} {first}"}


def test_an_entry_is_added_once_and_may_be_typed_unseen() -> None:
    # when
    run("webhook", "salesforce", "--entry", "key=a")
    run("webhook", "salesforce", "--entry", "key=a")
    typed = run("webhook", "salesforce", typed="org=00D\n")
    # then
    assert secret()["salesforce"] == "org=00D key=a"
    assert "00D" not in typed.output
    assert "The test system believes deliveries of salesforce by it within seconds." in typed.output


@pytest.mark.parametrize(
    "arguments", [("nosuch", "--entry", "a"), ("shopify", "--entry", "a b"), ("shopify", "--entry", " ")]
)
def test_what_would_open_nothing_is_refused(arguments: tuple[str, ...]) -> None:
    # when
    result = run("webhook", *arguments)
    # then
    assert isinstance(result.exception, BadInput)
    assert secret() == {"write_key": "w"}
