"""Estimating by command: what is said of definitions that are tried, and of what cannot be told."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.segment_estimate import handler as segment_estimate
from mailtailor.aws import definitions as layer
from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.estimate_bucket import BucketEstimator
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.events import archive
from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR, to_iso
from mailtailor.segments.engine import DEFAULT_BURSTS
from mailtailor_cli import estimate
from tests.integration.cli.test_segments_apply import (
    BUYERS,
    DEPLOYED,
    NOW,
    SETTINGS,
    Connected,
    Functions,
    System,
    files,
    refused,
    run,
    said,
)

__all__ = ["files"]


@dataclass(frozen=True)
class Patient(Connected):
    """A connection that invokes the functions in this process, however long they take."""

    def patient_client(self, service: str, seconds: int) -> Any:
        assert (service, seconds) == ("lambda", 900)
        return self.functions


class Estimating(System):
    """A system with an archive, and the function that reads it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.s3 = boto3.client("s3", **SETTINGS)  # type: ignore[call-overload]
        self.s3.create_bucket(Bucket="archive", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.duckdb = archive.connect(memory="256MiB", threads=2, folder=folder / "duckdb")
        self.given = segment_estimate.Dependencies(
            BucketEstimator(
                bucket=ArchiveBucket(client=self.s3, bucket="archive"),
                duckdb=self.duckdb,
                erased=ErasedProfiles(client=self.s3, bucket="archive"),
                bursts=DEFAULT_BURSTS,
            )
        )
        self.asked: list[int] = []
        self.answers: dict[int, bytes] = {}
        known = self.connection
        outputs = {**known.outputs, "SegmentEstimateFunction": "estimate"}
        self.connection = Patient(
            known.name, outputs, SETTINGS, clock=lambda: self.now, functions=Both(known.functions, self, Lock())
        )

    def archive(self, *events: Event) -> None:
        for part in archive.parts({"m": events}):
            self.s3.put_object(Bucket="archive", Key=part.key, Body=part.parquet(self.duckdb))

    def answer(self, message: dict[str, Any]) -> bytes:
        self.asked.append(message["bucket"])
        told = self.answers.get(message["bucket"])
        return told or json.dumps(segment_estimate.answer(message, self.given)).encode()


@dataclass(frozen=True)
class Both:
    """Invokes the function that drives a change, and the one that estimates, of which each does one thing at once."""

    rollout: Functions
    system: Estimating
    lock: Lock

    def invoke(self, *, FunctionName: str, Payload: Any) -> dict[str, Any]:  # noqa: N803
        if FunctionName != "estimate":
            return self.rollout.invoke(FunctionName=FunctionName, Payload=Payload)
        with self.lock:
            return {"Payload": io.BytesIO(self.system.answer(json.loads(Payload)))}


def event(person: int, event_type: str, *, ago: int, **more: Any) -> Event:
    at = NOW - ago
    return Event.model_validate(
        {
            "id": f"{person}-{event_type}-{ago}",
            "type": event_type,
            "source": "test",
            "profile_id": f"{person:022}",
            "occurred_at": at,
            "received_at": at,
            **more,
        }
    )


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estimating]:
    with mock_aws():
        made = Estimating(tmp_path_factory.mktemp("estimating"))
        monkeypatch.setattr(layer, "segments", lambda: DEPLOYED)
        monkeypatch.setattr(estimate, "connect", lambda _where: made.connection)
        yield made


@pytest.fixture
def system(empty: Estimating) -> Estimating:
    """Return a system in which five of nine bought once, and two of these twice, the first time 29 days ago."""
    for person in range(9):
        allowed = {"personalization": True, "tracking": True}
        empty.archive(event(person, "identified", ago=60 * DAY, consent=allowed))
    for person in range(5):
        empty.archive(event(person, "order_completed", ago=2 * DAY))
    for person in range(2):
        empty.archive(event(person, "order_completed", ago=29 * DAY - HOUR))
    empty.watermark.advance(NOW - HOUR)
    return empty


def test_members_now_and_then_and_whom_time_moves_are_told(system: Estimating, files: Path) -> None:
    # given: buyers of whom two purchases are asked, not one, and a segment that is new
    (files / "sleepers.yaml").write_text(
        "name: sleepers\ndescription: d\nrule: {event: order_completed, older_than: 7d}\n"
    )
    # when
    result = run("estimate", files)
    # then
    assert result.exit_code == 0, result.exception
    text = said(result)
    assert "Of 9 people who allow personalization, at 2026-09-21 14:13 UTC:" in text
    assert "Segment ┃ Members now ┃ Members then" in text
    assert "│ buyers │ 5 │ 2 │ │ sleepers │ new │ 0 │ │ viewers │ 0 │ 0 │" in text
    assert "Segment Day 1 Day 2 Day 3 Day 4 Day 5 Day 6 Day 7" in text
    assert "buyers 0 -2 0 0 0 0 0 sleepers 0 0 0 0 0 +5 0" in text
    assert "people who were merged count once for each of their ids" in text
    assert "The archive had everything that was received before 2026-09-21 13:13 UTC." in text
    assert sorted(system.asked) == list(range(archive.BUCKETS))


def test_nothing_is_stored_started_or_sent(system: Estimating, files: Path) -> None:
    # given
    (files / "viewers.yaml").unlink()
    # when
    result = run("estimate", files)
    # then
    assert "viewers, of which 0 are members now, would be removed." in said(result)
    assert system.versions.rollout() is None
    assert system.runs.read() is None
    assert system.sent() == []


def test_a_change_that_is_under_way_is_neither_in_its_way_nor_disturbed(
    system: Estimating, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr("mailtailor_cli.definitions.connect", lambda _where: system.connection)
    run("apply", files, "--no-wait")
    system.watermark.advance(NOW)
    system.connection.functions.rollout.drive()
    before, at_work = system.rollout(), system.runs.read()
    assert at_work is not None
    # when
    (files / "buyers.yaml").write_text(BUYERS.format(often=3))
    result = run("estimate", files)
    # then
    assert result.exit_code == 0, result.exception
    assert "buyers │ 5 │ 0" in said(result)
    assert "Time alone moves nobody in the next seven days." in said(result)
    assert (system.rollout(), system.runs.read()) == (before, at_work)


@pytest.mark.usefixtures("system")
def test_one_file_is_tried_beside_what_rules(files: Path) -> None:
    text = said(run("estimate", files / "buyers.yaml"))
    assert "buyers │ 5 │ 2" in text
    assert "viewers │ 0 │ 0" in text
    assert "removed" not in text


def test_an_earlier_version_can_be_asked_about(system: Estimating) -> None:
    assert "buyers │ 5 │ 5" in said(run("estimate", "--version", 0))
    assert len(system.asked) == archive.BUCKETS
    assert "There is no version 7." in refused(run("estimate", "--version", 7), NotFound)


@pytest.mark.usefixtures("system")
def test_the_answer_may_be_json(files: Path) -> None:
    # given
    (files / "viewers.yaml").unlink()
    # when
    result = run("estimate", files, "--json")
    # then
    answer = json.loads(result.stdout)
    assert answer.pop("notes")
    assert answer == {
        "at": to_iso(NOW),
        "archived_until": to_iso(NOW - HOUR),
        "people": 9,
        "segments": {"buyers": {"now": 5, "members": 2, "entering": [0] * 7, "leaving": [0, 2, 0, 0, 0, 0, 0]}},
        "removed": {"viewers": 0},
        "unreadable": [],
    }


def test_files_that_cannot_be_read_are_named_and_can_be_left_out(system: Estimating, files: Path) -> None:
    # given
    [bad] = [part.key for part in archive.parts({"m": [event(0, "order_completed", ago=2 * DAY)]})]
    system.s3.put_object(Bucket="archive", Key=bad, Body=b"PAR1 no more")
    # when, then
    said_of_it = refused(run("estimate", files))
    assert bad in said_of_it
    assert "--skip-unreadable" in said_of_it
    # when
    result = run("estimate", files, "--skip-unreadable")
    # then
    assert "buyers │ 5 │ 1" in said(result)
    assert f"Left out, for they cannot be read: {bad}." in said(result)


def test_an_archive_of_nobody_is_said_to_be_one(empty: Estimating, files: Path) -> None:
    assert "The archive has nobody yet" in refused(run("estimate", files), NotFound)
    assert empty.asked


def test_a_watermark_that_is_not_known_is_said_to_be_none(empty: Estimating, files: Path) -> None:
    empty.archive(event(1, "identified", ago=DAY, consent={"personalization": True}))
    assert "Up to when the archive has everything is not known yet." in said(run("estimate", files))
    assert json.loads(run("estimate", files, "--json").stdout)["archived_until"] is None


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b'{"errorMessage": "Task timed out"}', "could not estimate. The log of SegmentEstimate says why."),
        (b'{"error": "The definitions cannot be read."}', "The definitions cannot be read."),
        (b"<html>", "does not answer"),
    ],
)
def test_a_bucket_that_fails_fails_the_whole_with_a_sentence(
    system: Estimating, files: Path, answer: bytes, sentence: str
) -> None:
    system.answers[3] = answer
    assert sentence in refused(run("estimate", files))


def test_what_cannot_be_estimated_is_refused_before_anything_is_asked(system: Estimating, files: Path) -> None:
    assert "the file is missing" in refused(run("estimate", files / "gone.yaml"))
    assert "exclude each other" in refused(run("estimate", files, "--version", 0), BadInput)
    (files / "circle.yaml").write_text("name: circle\ndescription: d\nrule: {segment: circle}\n")
    assert "circle" in refused(run("estimate", files))
    assert system.asked == []


def test_a_system_from_before_cannot_estimate(system: Estimating, files: Path) -> None:
    outputs = {name: one for name, one in system.connection.outputs.items() if name != "SegmentEstimateFunction"}
    system.connection = replace(system.connection, outputs=outputs)
    result = run("estimate", files)
    assert isinstance(result.exception, MailtailorError)
    assert result.exception.hint == "Deploy it again."
