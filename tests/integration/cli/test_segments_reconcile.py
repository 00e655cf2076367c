"""`mailtailor segments reconcile`: what it begins, watches and tells."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner
from typer.testing import Result as Run

from mailtailor.aws.reconciliations import Reconciliation, Reconciliations, Result
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.profiles.reconcile import LOST, RECENT, Findings
from mailtailor_cli import reconcile
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from tests.integration.dynamodb import create_tables

NOW = 1_790_000_000_000
"""2026-09-21T14:13:20Z."""
HEALTHY = Findings(profiles=5, compared=4, alone=4, skipped={RECENT: 1})
ILL = Findings(
    profiles=5, compared=5, alone=5, wrong=1, mismatches={"buyers": 1}, examples=[("A" * 22, "buyers", LOST)]
)


class System(Connection):
    """A system of which the function answers what a test says."""

    refused = ""
    result: Result | None = None

    def client(self, service: str) -> Any:
        return self if service == "lambda" else boto3.client("dynamodb", region_name="eu-west-1")

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        assert (FunctionName, json.loads(Payload)) == ("reconcile-function", {"asked": True})
        if not self.refused:
            kept().begin(Reconciliation("r1", NOW, NOW, "f1", ""), previous=None)
        if self.result:
            kept().conclude(self.result)
        return {"Payload": io.BytesIO(json.dumps({"run": "r1", "refused": self.refused}).encode())}


def kept() -> Reconciliations:
    return Reconciliations(client=boto3.client("dynamodb", region_name="eu-west-1"), table="clock")


@pytest.fixture(autouse=True)
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[System]]:
    with mock_aws():
        create_tables(boto3.client("dynamodb", region_name="eu-west-1"), profiles="profiles", keyed=("clock",))
        outputs = {"ClockTable": "clock", "SegmentReconcileFunction": "reconcile-function"}
        made = System("the test system", outputs, clock=lambda: NOW)
        monkeypatch.setattr(reconcile, "connect", lambda _where: made)
        monkeypatch.setattr(time, "sleep", lambda _seconds: None)
        monkeypatch.setattr(System, "refused", "")
        monkeypatch.setattr(System, "result", None)
        yield System


def run(*arguments: str) -> Run:
    return CliRunner().invoke(app, ["segments", "reconcile", *arguments])


def test_good_health_is_told_with_what_was_left_out(system: type[System]) -> None:
    # given
    system.result = Result("r1", NOW, NOW + 1, NOW - 60_000, "f1", "", HEALTHY)
    # when
    result = run()
    # then
    assert result.exit_code == 0, result.exception
    assert result.output.lstrip() == (
        "2026-09-21 14:13 UTC: everybody was looked at.\n"
        "  5 people, 4 compared with the archive, 4 of it alone.\n"
        "  1 left out: written since the archive was complete.\n"
        "  The archive had everything that was received before 2026-09-21 14:12 UTC.\n"
        "  0 with wrong memberships, 0 whose wake-up is lost.\n"
    )


def test_an_incident_fails_the_command_and_names_whom_to_ask_about(system: type[System]) -> None:
    # given
    system.result = Result("r1", NOW, NOW + 1, NOW, "f1", "", ILL)
    # when
    result = run()
    # then
    assert isinstance(result.exception, MailtailorError)
    assert str(result.exception).startswith("Not everybody is as they should be.")
    assert f"    {'A' * 22} buyers: the archive knows more\n" in result.output


def test_what_keeps_it_from_beginning_is_a_sentence(system: type[System]) -> None:
    # given
    system.refused = "Everybody is being recomputed."
    kept().begin(Reconciliation("r0", NOW, NOW, "f1", ""), previous=None)
    # when
    error = run().exception
    # then
    assert isinstance(error, BadInput)
    assert str(error) == "Nobody is compared now. Everybody is being recomputed. Look at the last ones with --status."


def test_it_need_not_be_waited_for() -> None:
    assert run("--no-wait").output == "The test system compares everybody. Look at it with --status.\n"
    assert run("--status").output == "One is under way since 2026-09-21 14:13 UTC.\n"


def test_the_last_ones_are_listed_the_newest_first() -> None:
    # given
    for number in range(9):
        kept().conclude(Result(f"r{number}", NOW + number * 60_000, NOW, stopped="Everybody is being recomputed."))
    # when
    lines = run("--status").output.splitlines()
    # then
    assert len(lines) == reconcile.SHOWN
    assert lines[0] == "2026-09-21 14:21 UTC: Everybody is being recomputed."


def test_before_the_first_there_is_nothing_to_look_at() -> None:
    assert isinstance(run("--status").exception, NotFound)


def test_a_system_deployed_before_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "connect", lambda _where: System("the test system", {}))
    assert str(run().exception) == "The test system cannot reconcile. Deploy it again."


def test_one_that_stands_still_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    outputs = {"ClockTable": "clock", "SegmentReconcileFunction": "reconcile-function"}
    late = System("the test system", outputs, clock=lambda: NOW + 3_600_001)
    monkeypatch.setattr(reconcile, "connect", lambda _where: late)
    # then
    assert str(run().exception).startswith("It stands still.")
