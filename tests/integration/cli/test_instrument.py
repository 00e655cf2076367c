from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from mailtailor.errors import MailtailorError
from mailtailor_cli import instrument
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app

SECRET = {"active": "k1", "k1": "the first secret key of these tests"}
HTML = '<body>\r\n<a href="https://shop.example/">Grüße</a> <a href="https://shop.example/[[id]]">x</a></body>\r\n'


@pytest.fixture(autouse=True)
def _system(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name="tokens", SecretString=json.dumps(SECRET))
        outputs = {"TokensSecretId": "tokens", "OpenUrl": "https://o.example", "ClickUrl": "https://c.example"}
        monkeypatch.setattr(instrument, "connect", lambda _where: Connection("the test system", outputs))
        yield


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    path = tmp_path / "mail.html"
    path.write_bytes(HTML.encode())
    return path


def run(mail: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["instrument", str(mail), "--campaign", "spring", *options])


def test_the_tracked_mail_goes_to_standard_output_and_nothing_else_does(mail: Path) -> None:
    # when
    result = run(mail)
    # then
    html = result.stdout_bytes.decode()
    assert result.exit_code == 0
    assert html.startswith('<body>\r\n<a href="https://c.example/c/')
    assert html.endswith("</body>\r\n")
    assert ">Grüße</a>" in html
    assert "/{{ mailtailor_track }}.gif" in html
    assert result.stderr == "1 of 2 links tracked, open pixel added, for the test system.\n"


def test_the_tracked_mail_goes_to_a_file(mail: Path, tmp_path: Path) -> None:
    # when
    result = run(mail, "--output", str(tmp_path / "out.html"), "--recipient-tag", "%%recipient%%")
    # then
    html = (tmp_path / "out.html").read_bytes().decode()
    assert result.stdout == ""
    assert html.count("%%recipient%%") == 2
    assert html.count("\r\n") == HTML.count("\r\n")


def test_the_report_says_what_was_done_with_each_link_and_why(mail: Path) -> None:
    report = run(mail, "--report").stderr
    assert "utm_campaign=spring" in report
    assert "https://shop.example/[[id]]" in report
    assert "left as it is: a merge tag in the path" in report


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"<p>Gr\xfc\xdfe</p>", "is not UTF-8 (byte 5)"),
        (None, "There is no file"),
    ],
)
def test_a_mail_that_cannot_be_read_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    # given
    path = tmp_path / "mail.html"
    if content is not None:
        path.write_bytes(content)
    # when
    error = run(path).exception
    # then
    assert isinstance(error, MailtailorError)
    assert sentence in str(error)


def test_a_directory_is_no_mail_and_no_place_to_write_one(mail: Path, tmp_path: Path) -> None:
    assert "cannot be read" in str(run(tmp_path).exception)
    assert "cannot be written" in str(run(mail, "--output", str(tmp_path)).exception)
