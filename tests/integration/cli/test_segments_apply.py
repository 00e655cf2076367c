"""Changing definitions by command: what is said, what is stored, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from functions.segment_rollout import handler as segment_rollout
from mailtailor.aws import definitions as layer
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.bucket_message import pack, unpack
from mailtailor.aws.definition_versions import CANDIDATE, DefinitionVersions
from mailtailor.aws.queues import Queue
from mailtailor.aws.recompute_runs import Purpose, RecomputeRuns
from mailtailor.aws.rollout_driver import RolloutDriver
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.events.archive import BUCKETS
from mailtailor.profiles.recompute import Tally
from mailtailor.segments.rollout import Phase, Rollout
from mailtailor.segments.versions import checked
from mailtailor_cli import definitions, recompute
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from tests.integration.dynamodb import create_tables
from tests.unit.profiles.world import segment

NOW = 1_790_000_000_000
SETTINGS = {"region_name": "eu-west-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
DEPLOYED = checked(
    [
        segment("buyers", {"event": "order_completed", "within": "30d"}),
        segment("viewers", {"event": "product_viewed", "within": "7d"}),
    ]
)
BUYERS = """
name: buyers
description: Whoever bought {often} lately.
rule: {{event: order_completed, at_least: {often}, within: 30d}}
"""
VIEWERS = """
name: viewers
description: viewers
rule: {event: product_viewed, within: 7d}
"""


@dataclass(frozen=True)
class Functions:
    """Invokes the function that drives a change."""

    drive: Any

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        assert (FunctionName, Payload) == ("rollout", b"{}")
        self.drive()
        return {}


@dataclass(frozen=True)
class Connected(Connection):
    """A connection that invokes functions in this process."""

    functions: Any = None

    def client(self, service: str) -> Any:
        return self.functions if service == "lambda" else super().client(service)


class System:
    """A system of which the tables, the queue and the driver are there, and buckets are done by hand."""

    def __init__(self) -> None:
        self.now = NOW
        dynamodb = boto3.client("dynamodb", **SETTINGS)  # type: ignore[call-overload]
        self.sqs = boto3.client("sqs", **SETTINGS)  # type: ignore[call-overload]
        create_tables(dynamodb, profiles="profiles", keyed=("clock", "definitions"))
        self.url = self.sqs.create_queue(QueueName="recompute")["QueueUrl"]
        self.versions = DefinitionVersions(client=dynamodb, table="definitions")
        self.runs = RecomputeRuns(client=dynamodb, table="clock")
        self.watermark = ArchiveWatermark(client=dynamodb, table="clock")
        ids = iter(range(100))
        queue = Queue(client=self.sqs, url=self.url)
        driver = RolloutDriver(
            versions=self.versions,
            runs=self.runs,
            watermark=self.watermark,
            send=lambda run, buckets: queue.send_all(pack(run.id, one) for one in buckets),
            clock=lambda: self.now,
            new_id=lambda: f"run-{next(ids)}",
            settle=0,
        )
        given = segment_rollout.Dependencies(self.versions, driver, lambda: self.now)
        outputs = {
            "ClockTable": "clock",
            "DefinitionsTable": "definitions",
            "RecomputeQueueUrl": self.url,
            "SegmentRolloutFunction": "rollout",
        }
        self.connection = Connected(
            "the test system",
            outputs,
            SETTINGS,
            clock=lambda: self.now,
            functions=Functions(lambda: segment_rollout.drive(given)),
        )

    def rollout(self) -> Rollout:
        return self.versions.rollout() or Rollout()

    def sent(self) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", []):
            found += [unpack(message["Body"]) for message in messages]
        return sorted(found)

    def finish(self, *buckets: int, **changes: Any) -> None:
        run = self.runs.read()
        assert run is not None
        tally = Tally(profiles=100, events=3_000, members={"buyers": 40}, exited={"buyers": 2})
        for number in buckets or range(run.buckets):
            before = self.runs.progress(run, number)
            assert self.runs.save(replace(before, **{"done": True, "tally": tally, **changes}), at=self.now)

    def work(self, _seconds: float) -> None:
        """Go on while the command waits."""
        self.now += 1_000
        self.watermark.advance(self.now)
        run = self.runs.read()
        if run is not None and not all(one.done for one in self.runs.all(run)):
            self.finish()
        self.connection.functions.drive()


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    with mock_aws():
        made = System()
        monkeypatch.setattr(layer, "segments", lambda: DEPLOYED)
        monkeypatch.setattr(definitions, "connect", lambda _where: made.connection)
        monkeypatch.setattr(recompute, "connect", lambda _where: made.connection)
        monkeypatch.setattr(time, "sleep", made.work)
        yield made


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a directory of definitions in which buyers have to buy twice."""
    (tmp_path / "buyers.yaml").write_text(BUYERS.format(often=2))
    (tmp_path / "viewers.yaml").write_text(VIEWERS)
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["segments", *map(str, arguments)])


def said(result: Result) -> str:
    return " ".join(result.output.split())


def refused(result: Result, kind: type[MailtailorError] = MailtailorError) -> str:
    assert isinstance(result.exception, kind), result.output
    return f"{result.exception.message} {result.exception.hint}"


def test_a_change_is_told_stored_and_watched_until_it_rules(system: System, files: Path) -> None:
    # when
    result = run("apply", files, "--note", "Twice is enough.")
    # then
    assert result.exit_code == 0, result.exception
    assert (
        "~ buyers changes. was: People are members while they have bought in the last 30 days. "
        "becomes: People are members while they have bought at least twice in the last 30 days."
    ) in said(result)
    assert "The last change evaluated 1,600 people with their history." in said(result)
    assert "buyers │ 0 │ 32" in said(result)
    assert "On the test system, version 1 rules, applied 2026-09-21 14:13 UTC." in said(result)
    assert (system.rollout().active, system.rollout().phase) == (1, Phase.SETTLED)
    stored = system.versions.version(1)
    assert (stored.note, stored.mark, stored.applied_at) == ("Twice is enough.", "1", NOW)


def test_without_waiting_it_is_only_begun(system: System, files: Path) -> None:
    # when
    result = run("apply", files, "--no-wait")
    # then
    assert result.exit_code == 0
    assert system.rollout().staged == 1
    assert "It is being changed to version 1 since 2026-09-21 14:13 UTC." in said(result)
    assert "Waiting until the archive has all that came before 2026-09-21 14:13:20 UTC." in said(result)


def test_the_state_can_be_asked_at_any_time(system: System, files: Path) -> None:
    assert "version 0 rules." in said(run("apply", "--status"))
    run("apply", files, "--no-wait")
    system.watermark.advance(NOW)
    system.connection.functions.drive()
    system.finish(0, 1, 2)
    assert "3 of 16 buckets are done: 300 people, 6 flips." in said(run("apply", "--status"))


def test_a_file_changes_its_segment_and_leaves_the_others(system: System, files: Path) -> None:
    # given
    (files / "carts.yaml").write_text(VIEWERS.replace("viewers", "carts").replace("viewed", "added"))
    # when
    result = run("apply", files / "buyers.yaml", files / "carts.yaml")
    # then
    assert result.exit_code == 0, result.exception
    assert "+ carts is new." in said(result)
    assert [one.name for one in system.versions.version(1).segments] == ["buyers", "carts", "viewers"]


def test_a_directory_without_a_segment_removes_it(system: System, files: Path) -> None:
    (files / "viewers.yaml").unlink()
    result = run("apply", files)
    assert "- viewers is removed, its members leave." in said(result)
    assert [one.name for one in system.versions.version(1).segments] == ["buyers"]


def test_what_changes_nothing_is_not_stored(system: System, files: Path) -> None:
    run("apply", files)
    result = run("apply", files)
    assert said(result) == "Nothing changes."
    assert system.rollout().latest == 1


def test_another_description_rules_at_once(system: System, files: Path) -> None:
    # given
    run("apply", files)
    (files / "viewers.yaml").write_text(VIEWERS.replace("description: viewers", "description: Whoever looked."))
    # when
    result = run("apply", files)
    # then
    assert "viewers gets another description, no member changes. Whoever looked." in said(result)
    assert (system.rollout().active, system.rollout().phase) == (2, Phase.SETTLED)
    assert system.versions.version(2).fingerprint == system.versions.version(1).fingerprint


def test_an_earlier_version_can_be_gone_back_to(system: System, files: Path) -> None:
    # given
    run("apply", files)
    # when
    result = run("apply", "--version", 0)
    # then: as a version of its own
    assert result.exit_code == 0, result.exception
    assert system.rollout().active == 2
    assert system.versions.version(2).segments == DEPLOYED
    assert system.versions.version(2).note == "The definitions of version 0."
    assert system.versions.version(2).fingerprint != system.versions.version(0).fingerprint


@pytest.mark.usefixtures("system")
def test_versions_are_listed_with_what_they_are_for(files: Path) -> None:
    # given
    run("apply", files, "--note", "Twice [is] enough.")
    (files / "viewers.yaml").unlink()
    run("apply", files, "--no-wait")
    # when
    result = said(run("versions"))
    # then
    assert "2 │ 2026-09-21 14:13 UTC │ 1 │ is changed to │" in result
    assert "1 │ 2026-09-21 14:13 UTC │ 2 │ rules │ Twice [is]" in result
    assert "0 │ 2026-09-21 14:13 UTC │ 2 │ │ Deployed." in result


def test_differences_are_told_between_what_rules_and_files_and_between_versions(system: System, files: Path) -> None:
    # given
    assert "~ buyers changes." in said(run("diff", 0, files))
    run("apply", files)
    assert system.rollout().active == 1
    # when, then
    assert said(run("diff", "", files)) == "Nothing changes."
    assert "was: People are members while they have bought at least twice" in said(run("diff", 1, 0))
    assert "There is no version 7." in refused(run("diff", 7), NotFound)


@pytest.mark.parametrize("option", ["--replace", "--abandon"])
def test_of_two_changes_at_once_the_second_is_refused_unless_it_takes_the_place(
    system: System, files: Path, option: str
) -> None:
    # given
    run("apply", files, "--no-wait")
    (files / "buyers.yaml").write_text(BUYERS.format(often=3))
    # when
    assert "being changed to version 1" in refused(run("apply", files))
    result = run("apply", *([files] if option == "--replace" else []), option)
    # then
    assert result.exit_code == 0, result.exception
    found = system.rollout()
    assert found.phase is Phase.SETTLED
    assert found.active == (2 if option == "--replace" else 0)


def test_replacing_by_what_rules_is_giving_up(system: System, files: Path) -> None:
    run("apply", files)
    (files / "buyers.yaml").write_text(BUYERS.format(often=3))
    run("apply", files, "--no-wait")
    result = run("apply", "--version", 1, "--replace")
    assert result.exit_code == 0, result.exception
    assert (system.rollout().active, system.rollout().latest) == (1, 2)


@pytest.mark.usefixtures("system")
def test_nothing_can_be_given_up_or_resumed_if_nothing_is_under_way() -> None:
    assert "There is nothing to give up: version 0 rules." in refused(run("apply", "--abandon"), BadInput)
    assert "There is nothing to resume." in refused(run("apply", "--resume"), BadInput)


def test_a_dry_run_says_who_would_come_and_go_and_changes_nothing(system: System, files: Path) -> None:
    # when
    result = run("apply", files, "--dry-run")
    # then
    assert result.exit_code == 0, result.exception
    assert "Of 1,600 people with 48,000 events:" in said(result)
    assert "buyers │ 640 │ 0 │ 32" in said(result)
    assert system.versions.rollout() is None
    tried = system.runs.read()
    assert tried is not None
    assert (tried.purpose, tried.dry_run) == (Purpose.TRY, True)
    assert system.versions.version(CANDIDATE).note == tried.id
    assert len(system.sent()) == BUCKETS


def test_a_sample_is_extrapolated_and_its_margin_said(system: System, files: Path) -> None:
    # when
    result = run("apply", files, "--dry-run", "--sample", 4)
    # then
    assert "Of 400 people with 12,000 events:" in said(result)
    assert "buyers │ 640 ± 86 │ 0 ± 7 │ 32 ± 19" in said(result)
    assert [number for _, number in system.sent()] == [0, 1, 2, 3]
    # and is nothing that others have to wait for
    assert run("recompute", "--no-wait").exit_code == 0


def test_a_dry_run_of_what_changes_no_members_asks_nobody(system: System, files: Path) -> None:
    run("apply", files)
    (files / "viewers.yaml").write_text(VIEWERS.replace("description: viewers", "description: Whoever looked."))
    assert run("apply", files, "--dry-run").exit_code == 0
    assert system.runs.read().purpose is Purpose.REST  # type: ignore[union-attr]


def test_who_recomputes_waits_for_a_change(system: System, files: Path) -> None:
    run("apply", files, "--no-wait")
    assert "Definitions are being changed, and version 1" in refused(run("recompute", "--no-wait"))
    run("apply", "--abandon", "--no-wait")
    run("apply", "--status")
    system.work(0)
    system.work(0)
    assert not system.rollout().under_way
    assert "apply --resume" in refused(run("recompute", "--resume"), BadInput)


def test_files_that_cannot_be_read_are_named_and_can_be_left_out(system: System, files: Path) -> None:
    # given
    run("apply", files, "--no-wait")
    system.watermark.advance(NOW)
    system.connection.functions.drive()
    system.finish(*range(BUCKETS))
    system.finish(5, done=False, unreadable=("events/bad.parquet",))
    system.sent()
    # when
    assert "events/bad.parquet" in refused(run("apply", "--status"))
    result = run("apply", "--resume", "--no-wait")
    # then
    assert result.exit_code == 0, result.exception
    assert [number for _, number in system.sent()] == [5]
    assert system.runs.progress(system.runs.read(), 5).unreadable == ()  # type: ignore[arg-type]
    # when
    assert run("apply", "--resume", "--skip-unreadable", "--no-wait").exit_code == 0
    # then
    again = system.runs.read()
    assert again is not None
    assert again.skip_unreadable
    assert len(system.sent()) == BUCKETS


def test_what_cannot_be_applied_is_refused_and_changes_nothing(system: System, files: Path) -> None:
    # given
    (files / "again.yaml").write_text(VIEWERS.replace("viewers", "again").replace("7d", "7 days"))
    # when, then
    assert "again.yaml" in refused(run("apply", files))
    (files / "again.yaml").write_text("name: again\ndescription: d\nrule: {segment: gone}\n")
    assert "gone" in refused(run("apply", files / "again.yaml", files / "buyers.yaml"))
    assert "the file is missing" in refused(run("apply", files / "nowhere", "--dry-run"))
    assert "There is no version 9." in refused(run("apply", "--version", 9), NotFound)
    assert "exclude each other" in refused(run("apply", files, "--status"), BadInput)
    assert "500 characters" in refused(run("apply", files, "--note", "x" * 501), BadInput)
    assert system.versions.rollout() is None


def test_two_who_apply_at_once_get_different_numbers_and_one_rules(
    system: System, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: somebody else applies between our look and our write
    original = DefinitionVersions.save
    others: list[Result] = []

    def save(self: DefinitionVersions, rollout: Rollout) -> Rollout | None:
        monkeypatch.setattr(DefinitionVersions, "save", original)
        others.append(run("apply", other, "--no-wait"))
        return original(self, rollout)

    other = files.parent / "other"
    other.mkdir(exist_ok=True)
    (other / "buyers.yaml").write_text(BUYERS.format(often=5))
    monkeypatch.setattr(DefinitionVersions, "save", save)
    # when
    result = run("apply", files, "--no-wait")
    # then
    assert [one.exit_code for one in others] == [0]
    assert "Somebody else has changed the definitions just now." in refused(result)
    assert (system.rollout().staged, system.rollout().latest) == (2, 2)
