from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from typer.testing import CliRunner, Result

from mailtailor.errors import BadInput, MailtailorError
from mailtailor_cli import privacy
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app

ANNA, BEFORE = "A" * 22, "B" * 22


class Eraser:
    """The edge of Lambda: keeps what was asked and gives one answer after the other."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any] | Exception] = []

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        assert FunctionName == "eraser-function"
        self.asked.append(json.loads(Payload))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


class System(Connection):
    """A system of which only the function answers."""

    function = Eraser()

    def patient_client(self, service: str, seconds: int) -> Any:
        assert (service, seconds) == ("lambda", 900)
        return self.function


@pytest.fixture
def eraser(monkeypatch: pytest.MonkeyPatch) -> Eraser:
    answering = Eraser()
    monkeypatch.setattr(System, "function", answering)
    system = System("the test system", {"ArchiveEraserFunction": "eraser-function"})
    monkeypatch.setattr(privacy, "connect", lambda _where: system)
    return answering


def run(*arguments: str, given: str = "") -> Result:
    return CliRunner().invoke(app, ["privacy", *arguments], input=given)


def answered(*, after: str, done: bool, rows: int, unreadable: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "profiles": [ANNA, BEFORE],
        "at": 1_700_049_600_000,
        "after": after,
        "done": done,
        "folders": 3,
        "files": 1,
        "rows": rows,
        "unreadable": list(unreadable),
    }


def test_the_eraser_is_asked_until_it_is_done_and_what_is_left_is_said(eraser: Eraser) -> None:
    # given
    last = "mail/received=2023-11-15/hour=11/"
    eraser.answers = [
        answered(after="events/received=2023-11-15/bucket=01/", done=False, rows=1_200),
        answered(after=last, done=True, rows=40),
    ]
    # when
    result = run("erase", ANNA, "--yes")
    # then
    assert result.exit_code == 0
    assert eraser.asked == [
        {"profiles": [ANNA]},
        {"profiles": [ANNA, BEFORE], "at": 1_700_049_600_000, "after": "events/received=2023-11-15/bucket=01/"},
    ]
    assert "Erased 1,240 rows of 2 profiles from the archive of the test system." in result.output
    assert "profile items and the notes of deliveries are still there" in result.output


@pytest.mark.parametrize("given", ["n\n", "\n", ""])
def test_nothing_is_erased_unless_it_is_confirmed(eraser: Eraser, given: str) -> None:
    result = run("erase", ANNA, given=given)
    assert result.exit_code == 1
    assert eraser.asked == []


def test_it_is_erased_once_it_is_confirmed(eraser: Eraser) -> None:
    eraser.answers = [answered(after="", done=True, rows=0)]
    assert run("erase", ANNA, given="y\n").exit_code == 0


def test_files_that_could_not_be_read_are_named_and_the_command_fails(eraser: Eraser) -> None:
    eraser.answers = [answered(after="x", done=True, rows=3, unreadable=("events/bad.parquet",))]
    result = run("erase", ANNA, "--yes")
    assert result.exit_code == 1
    assert isinstance(result.exception, MailtailorError)
    assert "events/bad.parquet" in result.exception.message


def test_an_id_that_is_none_is_refused_in_the_functions_words(eraser: Eraser) -> None:
    eraser.answers = [{"error": "The request is not usable: String should match pattern."}]
    result = run("erase", "anna@example.com", "--yes")
    assert isinstance(result.exception, BadInput)
    assert "22 characters" in result.exception.hint


@pytest.mark.parametrize(
    "answer",
    [
        {"errorMessage": "Task timed out"},
        ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Invoke"),
        ReadTimeoutError(endpoint_url="https://lambda"),
    ],
)
def test_an_eraser_that_fails_is_told_in_a_sentence(eraser: Eraser, answer: Any) -> None:
    eraser.answers = [answer]
    result = run("erase", ANNA, "--yes")
    assert result.exit_code == 1
    assert isinstance(result.exception, MailtailorError)
    assert result.exception.message.startswith("The test system")


def test_a_system_from_before_cannot_erase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "connect", lambda _where: System("the test system", {}))
    result = run("erase", ANNA, "--yes")
    assert isinstance(result.exception, MailtailorError)
    assert result.exception.hint == "Deploy it again."


def test_a_patient_client_waits_for_an_answer_and_asks_once() -> None:
    # given
    settings = {"region_name": "eu-west-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    # when
    client = Connection("here", {}, settings).patient_client("lambda", 900)
    # then
    assert client.meta.config.read_timeout == 900
    assert client.meta.config.retries["total_max_attempts"] == 1
