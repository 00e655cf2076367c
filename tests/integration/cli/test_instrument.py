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
    assert result.stderr.endswith("1 of 2 links tracked, open pixel added, for the test system.\n")


def test_the_tracked_mail_goes_to_a_file(mail: Path, tmp_path: Path) -> None:
    # when
    result = run(mail, "--output", str(tmp_path / "out.html"), "--recipient-tag", "%%recipient%%")
    # then
    html = (tmp_path / "out.html").read_bytes().decode()
    assert result.stdout == ""
    assert html.count("%%recipient%%") == 2
    assert html.count("\r\n") == HTML.count("\r\n")


@pytest.mark.parametrize(
    "said", [b'<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">', b"<META CHARSET='latin1'>"]
)
def test_a_mail_in_another_encoding_that_it_names_stays_in_it(tmp_path: Path, said: bytes) -> None:
    # given
    mail = tmp_path / "mail.html"
    before = b"<head>" + said + b"</head><body>Caf\xe9 - \xa35 "
    mail.write_bytes(before + b'<a href="https://x.example/caf\xe9">\xe9</a></body>')
    # when
    result = run(mail, "--report", "--no-utm")
    # then
    assert result.exit_code == 0
    assert result.stdout_bytes.startswith(before + b'<a href="https://c.example/c/')
    assert b">\xe9</a>" in result.stdout_bytes
    assert "https://x.example/café" in result.stderr


@pytest.mark.parametrize("named", [b"utf-8", b"no-such-encoding", b"utf-16", b"iso-2022-jp", b"hex"])
def test_a_mail_that_is_not_in_the_encoding_it_names_is_refused(tmp_path: Path, named: bytes) -> None:
    # given
    mail = tmp_path / "mail.html"
    mail.write_bytes(b"<meta charset=" + named + b"><body>\xff\xfe\xe9</body>")
    # when
    result = run(mail)
    # then
    assert isinstance(result.exception, MailtailorError)
    assert "is not UTF-8" in result.exception.message


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


def test_an_esp_brings_its_merge_tags_and_is_told_which_attribute_must_hold_the_token(mail: Path) -> None:
    # when
    result = run(mail, "--esp", "klaviyo")
    # then
    assert "/{{ person|lookup:'mailtailor_track' }}\"" in result.stdout
    assert "custom profile property (text) mailtailor_track" in result.stderr
    assert "mailtailor tokens export --esp klaviyo" in result.stderr


def test_tags_that_are_given_go_before_the_esps(mail: Path) -> None:
    result = run(mail, "--esp", "sfmc", "--recipient-tag", "%%mine%%", "--instance-tag", "esp")
    assert "~%%jobid%%/%%mine%%" in result.stdout


def test_the_text_part_is_numbered_on_from_the_html_part(mail: Path, tmp_path: Path) -> None:
    # given
    text = tmp_path / "mail.txt"
    text.write_bytes(b"Shop: https://shop.example/\r\n")
    # when
    result = run(mail, "--text", str(text), "--text-output", str(tmp_path / "out.txt"), "--report")
    # then
    assert (tmp_path / "out.txt").read_bytes().startswith(b"Shop: https://c.example/c/")
    assert (tmp_path / "out.txt").read_bytes().endswith(b"/{{ mailtailor_track }}\r\n")
    assert "  3  text  line    1  https://shop.example/" in result.stderr
    assert "2 of 3 links tracked" in result.stderr


def test_a_text_alone_is_instrumented_as_text(tmp_path: Path) -> None:
    # given
    text = tmp_path / "mail.txt"
    text.write_text("Shop: https://shop.example/")
    # when
    result = run(text)
    # then
    assert result.stdout.startswith("Shop: https://c.example/c/")
    assert result.stderr == "1 of 1 links tracked, for the test system.\n"


def test_campaign_parameters_are_chosen_or_left_out(mail: Path) -> None:
    assert "utm_source=shop&utm_medium=email" in run(mail, "--utm", "utm_source=shop", "--report").stderr
    assert "utm_" not in run(mail, "--no-utm", "--report").stderr


def test_a_honeypot_goes_into_the_mail(mail: Path) -> None:
    assert run(mail, "--honeypot", "https://shop.example/").stdout.count("https://c.example/c/") == 2


def test_the_report_goes_to_a_file_as_json(mail: Path, tmp_path: Path) -> None:
    # when
    run(mail, "--report-json", str(tmp_path / "report.json"))
    # then
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["pixel"] is True
    assert [link["tracked"] for link in report["links"]] == [True, False]
    assert report["links"][1]["reason"]
    assert "html" not in report


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--esp", "pigeon"], "'pigeon' is no ESP that Mailtailor knows. Known are sfmc"),
        (["--utm", "utm_source"], "has no value"),
        (["--utm", "source=shop"], "is no campaign parameter"),
        (["--utm", "utm_source=shop", "--no-utm"], "contradict each other"),
        (["--text", "mail.txt"], "Give --text and --text-output together"),
        (["--text-output", "out.txt"], "Give --text and --text-output together"),
        (["--recipient-tag", "<b>"], "merge tag"),
        (["--esp", "klaviyo", "--instance-tag", "esp"], "Klaviyo knows no merge tag"),
        (["--honeypot", "ftp://shop.example"], "http"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_a_sentence(mail: Path, options: list[str], sentence: str) -> None:
    error = run(mail, *options).exception
    assert isinstance(error, MailtailorError)
    assert sentence in str(error)


def test_two_texts_are_no_mail(tmp_path: Path) -> None:
    (tmp_path / "mail.txt").write_text("x")
    error = run(tmp_path / "mail.txt", "--text", str(tmp_path / "mail.txt"), "--text-output", "out.txt").exception
    assert "both plain text" in str(error)
