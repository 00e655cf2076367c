from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from mailtailor.aws.bucket_message import unpack
from mailtailor.aws.recompute_runs import STALE, RecomputeRuns, Run
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.events.archive import BUCKETS
from mailtailor.profiles.recompute import Tally
from mailtailor_cli import recompute
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from tests.integration.dynamodb import create_tables

NOW = 1_790_000_000_000
SETTINGS = {"region_name": "eu-west-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}


class System:
    """A system of which the tables and the queue are there, and buckets are done by hand."""

    def __init__(self) -> None:
        self.now = NOW
        self.dynamodb = boto3.client("dynamodb", **SETTINGS)  # type: ignore[call-overload]
        self.sqs = boto3.client("sqs", **SETTINGS)  # type: ignore[call-overload]
        create_tables(self.dynamodb, profiles="profiles", keyed=("clock",))
        self.url = self.sqs.create_queue(QueueName="recompute")["QueueUrl"]
        self.runs = RecomputeRuns(client=self.dynamodb, table="clock")
        outputs = {"ClockTable": "clock", "RecomputeQueueUrl": self.url}
        self.connection = Connection("the test system", outputs, SETTINGS, clock=lambda: self.now)

    def run(self) -> Run:
        run = self.runs.read()
        assert run is not None
        return run

    def sent(self) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", []):
            found += [unpack(message["Body"]) for message in messages]
        return sorted(found)

    def note(self, *buckets: int, **changes: Any) -> None:
        for bucket in buckets:
            before = self.runs.progress(self.run(), bucket)
            assert self.runs.save(replace(before, **changes), at=self.now)

    def finish(self, *buckets: int) -> None:
        tally = Tally(profiles=100, events=3_000, changed=3, members={"buyers": 40}, entered={"buyers": 2})
        self.note(*buckets, done=True, tally=tally, archived_until=NOW - 60_000)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    with mock_aws():
        made = System()
        monkeypatch.setattr(recompute, "connect", lambda _where: made.connection)
        monkeypatch.setattr(recompute, "EACH", 0)
        yield made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["segments", "recompute", *arguments])


def said(result: Result) -> str:
    return " ".join(result.output.split())


def test_a_run_sends_a_message_for_each_bucket_and_says_how_it_stands(system: System) -> None:
    # when
    result = run("--no-wait")
    # then
    assert result.exit_code == 0
    assert system.sent() == [(system.run().id, bucket) for bucket in range(BUCKETS)]
    assert "0 of 16 buckets done" in said(result)


def test_it_waits_until_all_buckets_are_done_and_shows_what_came_of_it(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a bucket is done at each look
    left = list(range(BUCKETS))
    monkeypatch.setattr(time, "sleep", lambda _seconds: system.finish(left.pop()))
    # when
    result = run()
    # then
    assert result.exit_code == 0
    assert "Run of 2026-09-21 14:13 UTC on the test system: done." in said(result)
    assert "1,600 people with 48,000 events; 48 changed, 32 memberships with them." in said(result)
    assert "The archive had everything that was received before 2026-09-21 14:12 UTC." in said(result)
    assert "buyers │ 640 │ 32 │ 0" in said(result)


def test_a_second_run_is_refused_while_one_is_under_way(system: System) -> None:
    # given
    run("--no-wait")
    first = system.run()
    system.finish(0, 1, 2)
    system.sent()
    # when
    result = run("--no-wait")
    # then
    assert isinstance(result.exception, MailtailorError)
    assert "3 of 16 buckets are done" in result.exception.message
    assert system.run() == first
    assert system.sent() == []


@pytest.mark.parametrize("because", ["stale", "finished"])
def test_a_run_that_is_done_or_stands_still_is_no_hindrance(system: System, because: str) -> None:
    # given
    run("--no-wait")
    first = system.run()
    system.sent()
    if because == "finished":
        system.finish(*range(BUCKETS))
    else:
        system.finish(3)
        system.now += STALE
    # when
    result = run("--no-wait", "--dry-run")
    # then
    assert result.exit_code == 0
    assert system.run().id != first.id
    assert system.run().dry_run
    assert len(system.sent()) == BUCKETS
    assert "Dry run" in said(result)
    assert "0 of 16 buckets done" in said(result)


def test_resuming_sends_what_is_not_done(system: System) -> None:
    # given
    run("--no-wait")
    system.sent()
    system.finish(0, 5)
    system.note(6, unreadable=("events/bad.parquet",))
    # when
    result = run("--resume", "--no-wait")
    # then
    assert result.exit_code == 0
    assert [bucket for _, bucket in system.sent()] == [one for one in range(BUCKETS) if one not in {0, 5}]
    assert system.runs.progress(system.run(), 6).unreadable == ()


def test_there_may_be_nothing_to_resume_or_to_show(system: System) -> None:
    assert isinstance(run("--resume").exception, NotFound)
    assert isinstance(run("--status").exception, NotFound)
    run("--no-wait")
    system.finish(*range(BUCKETS))
    assert isinstance(run("--resume").exception, BadInput)


def test_the_status_is_shown_without_starting_anything(system: System) -> None:
    # given
    run("--no-wait")
    system.sent()
    system.finish(*range(9))
    system.note(9, tally=Tally(profiles=7, left=2, unknown=3, failed=1))
    # when
    result = run("--status")
    # then
    assert result.exit_code == 0
    assert "9 of 16 buckets done" in said(result)
    for sentence in ("2 were left to the rebuilder", "3 ids have events and no profile", "1 could not be read"):
        assert sentence in said(result)
    assert system.sent() == []


def test_waiting_ends_when_all_that_is_left_fails_for_files_and_they_are_named(system: System) -> None:
    # given
    run("--no-wait")
    system.finish(*range(1, BUCKETS))
    system.note(0, unreadable=("events/bad.parquet",))
    # when
    status = run("--status")
    # then
    assert status.exit_code == 1
    assert isinstance(status.exception, MailtailorError)
    assert "events/bad.parquet" in status.exception.message
    assert "--skip-unreadable" in status.exception.hint


def test_files_that_were_left_out_on_request_are_named_in_the_end(system: System) -> None:
    # given
    run("--no-wait", "--skip-unreadable")
    system.finish(*range(BUCKETS))
    system.note(0, unreadable=("events/bad.parquet",))
    # when
    result = run("--status")
    # then
    assert result.exit_code == 0
    assert "Left out, for they cannot be read: events/bad.parquet." in said(result)


def test_whoever_interrupts_is_told_that_it_goes_on(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    # when
    result = run()
    # then
    assert result.exit_code == 130
    assert "It goes on without you" in said(result)
    assert len(system.sent()) == BUCKETS


@pytest.mark.parametrize("options", [("--resume", "--status"), ("--status", "--dry-run"), ("--resume", "--dry-run")])
@pytest.mark.usefixtures("system")
def test_options_that_make_no_sense_together_are_refused(options: tuple[str, ...]) -> None:
    assert isinstance(run(*options).exception, BadInput)


def test_a_system_from_before_cannot_recompute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recompute, "connect", lambda _where: Connection("the test system", {}, SETTINGS))
    result = run()
    assert isinstance(result.exception, MailtailorError)
    assert result.exception.hint == "Deploy it again."
