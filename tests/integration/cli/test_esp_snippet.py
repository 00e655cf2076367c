"""`mailtailor esp snippet`: what is pasted goes to standard output, all else beside it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from mailtailor.errors import MailtailorError
from mailtailor.tracking.tokens import Keyring, MailingToken, read_mailing
from mailtailor_cli import esp
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app

SECRET = {"active": "k1", "k1": "the first secret key of these tests"}


BLOCKS = {
    "hero": ("<p>Welcome to <b>the shop</b></p>", "Welcome to the shop", ["season"]),
    "offer": ("<p>Offers</p>", "Offers", []),
}
"""Of published blocks: their static variants, and what they take."""


class Lambda:
    """The edge of Lambda: the function that previews blocks."""

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        assert FunctionName == "preview-function"
        event = json.loads(Payload)
        asked = json.loads(event["body"])
        assert asked["who"] == "outage"
        name = event["rawPath"].split("/")[3]
        if name not in BLOCKS:
            refused = {"code": "NotFound", "message": "There is no block of this name.", "hint": "Did you mean 'hero'?"}
            return answered(404, refused)
        html, text, parameters = BLOCKS[name]
        return answered(200, {"body": text if asked["form"] == "text" else html, "parameters": parameters})


def answered(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {"Payload": io.BytesIO(json.dumps({"statusCode": status, "body": json.dumps(body)}).encode())}


class System(Connection):
    """A system of which secrets and that function answer."""

    def client(self, service: str) -> Any:
        return Lambda() if service == "lambda" else super().client(service)


@pytest.fixture(autouse=True)
def _system(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name="tokens", SecretString=json.dumps(SECRET))
        outputs = {
            "TokensSecretId": "tokens",
            "ContentUrl": "https://mail.example",
            "BlockPreviewFunction": "preview-function",
        }
        monkeypatch.setattr(esp, "connect", lambda _where: System("the test system", outputs))
        yield


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["esp", "snippet", *arguments])


def test_what_is_pasted_goes_to_standard_output_and_nothing_else_does() -> None:
    # when
    result = run("hero", "--esp", "sfmc", "--campaign", "spring")
    # then
    assert result.exit_code == 0, result.exception
    assert result.stdout.startswith("%%[\nVAR @mt_recipient")
    assert result.stdout.endswith("%%[ ENDIF ]%%\n\n")
    assert "── Paste in the mail:" in result.stderr
    assert "must hold each person's token in the column (type Text)" in result.stderr
    assert "mailtailor_content (at least 100 characters)" in result.stderr
    assert "· At most 3 of these a mail" in result.stderr
    assert "What it cannot do:\n· It works in Marketing Cloud Engagement only" in result.stderr


def test_the_campaign_is_signed() -> None:
    # when
    output = run("hero", "--esp", "braze", "--campaign", "spring").stdout
    # then
    (token,) = re.findall(r"[?&]m=([^&]+)", output)
    assert read_mailing(Keyring.from_secret(SECRET), token) == MailingToken("spring")


def test_text_gets_the_text_of_the_static_variant() -> None:
    # when
    output = run("hero", "--esp", "sfmc", "--format", "text").stdout
    # then
    assert "/content/hero.txt?" in output
    assert "ELSE ]%%Welcome to the shop%%[ ENDIF" in output


def test_each_block_has_its_own_static_variant() -> None:
    # when
    output = run("offer,hero", "--esp", "iterable").stdout
    # then
    assert "{{else}}<p>Offers</p>{{/if}}\n" in output
    assert "{{else}}<p>Welcome to <b>the shop</b></p>{{/if}}\n" in output


def test_static_variants_may_come_from_files(tmp_path: Path) -> None:
    # given
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "block.yaml").write_text(
        "name: new\ndescription: d\nvariants: [{name: all, template: all.html}]\nfallback: fallback.html\n"
        "request: {season: {type: choice, of: [winter, summer]}}\n"
    )
    (tmp_path / "new" / "all.html").write_text("<p>x</p>")
    (tmp_path / "new" / "fallback.html").write_text("<p>From a file</p>")
    # when
    output = run("new", "--esp", "sfmc", "--directory", str(tmp_path), "--parameter", "season=summer").stdout
    # then
    assert "ELSE ]%%<p>From a file</p>%%[ ENDIF" in output
    assert "/content/new.html?season=summer&" in output


def test_what_every_fetch_says_is_in_the_address() -> None:
    assert "/content/hero.html?season=summer&r=" in run("hero", "--esp", "sfmc", "--parameter", "season=summer").stdout


def test_options_of_braze_are_in_the_call() -> None:
    # when
    output = run("hero", "--esp", "braze", "--credential", "mailtailor", "--cache-minutes", "0").stdout
    # then
    assert " :basic_auth mailtailor :no_cache :save mailtailor %}" in output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("heros", "--esp", "sfmc"), r"There is no block of this name\. Did you mean 'hero'\?"),
        (("hero", "--esp", "sfmc", "--directory", "/nowhere"), "There is no block 'hero' in /nowhere."),
        (("hero", "--esp", "sfmc", "--parameter", "season"), "--parameter 'season' has no value."),
        (("hero,hero", "--esp", "sfmc"), "One fetch takes 1 to 10 different blocks."),
        (
            ("hero", "--esp", "mailchimp"),
            "Mailchimp fetches nothing for each recipient, so there is no snippet for it.",
        ),
        (("hero", "--esp", "outlook"), "'outlook' is no ESP that Mailtailor knows."),
        (("hero", "--esp", "sfmc", "--format", "xml"), "A block cannot be fetched as 'xml'. Choose html, json, text."),
        (("hero", "--esp", "braze", "--format", "html"), "Braze tells only of JSON whether it arrived."),
        (("hero", "--esp", "sfmc", "--cache-minutes", "9"), "--credential and --cache-minutes are for Braze."),
        (
            ("hero", "--esp", "klaviyo", "--campaign", "x", "--instance"),
            "Klaviyo has no tag by which sends can be told",
        ),
        (("hero", "--esp", "sfmc", "--parameter", "seasn=x"), "None of the blocks takes a parameter 'seasn'. Did you"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    # when
    result = run(*arguments)
    # then
    assert isinstance(result.exception, MailtailorError)
    assert re.match(sentence, str(result.exception))
    assert result.stdout == ""
