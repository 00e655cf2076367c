"""The watermark, the compactor and the eraser as Lambda calls them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.archive_compactor import handler as archive_compactor
from functions.archive_eraser import handler as archive_eraser
from functions.archive_watermark import handler as archive_watermark
from mailtailor.aws import clients
from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.events import archive, flip_files
from mailtailor.events.event import Event
from mailtailor.events.flips import PastFlip
from mailtailor.events.joining import is_joined
from mailtailor.instant import DAY, HOUR, MINUTE, to_datetime
from mailtailor.profiles.profile import Profile
from mailtailor.profiles.store import Loaded
from tests.integration.dynamodb import create_tables
from tests.integration.functions.intake_engine import Context

NOW = 1_700_049_600_000
"""2023-11-15T12:00:00Z."""
ANNA = "0000000000000000000001"
BEFORE = "0000000000000000000005"
"""Who Anna was before she was known: a profile that was merged into hers."""
BOB = next(one for n in range(6, 1_000) if archive.bucket(one := f"{n:022}") == archive.bucket(ANNA))


@dataclass(frozen=True)
class Timed(Context):
    """A context with time left."""

    left: int = 900_000

    def get_remaining_time_in_millis(self) -> int:
        return self.left


class Cloud:
    """The services that the functions use, on moto."""

    def __init__(self, folder: Path) -> None:
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(Bucket="archive", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.dynamodb = boto3.client("dynamodb")
        create_tables(self.dynamodb, profiles="profiles", keyed=("clock",))
        self.cloudwatch = boto3.client("cloudwatch")
        self.duckdb = archive.connect(memory="256MiB", threads=1, folder=folder / "duckdb")
        self.bucket = ArchiveBucket(client=self.s3, bucket="archive")
        self.watermark = ArchiveWatermark(client=self.dynamodb, table="clock")
        self.folder = folder

    def archive(self, *events: Event) -> None:
        for part in archive.parts({"m": list(events)}):
            self.bucket.put(part.key, part.parquet(self.duckdb))

    def archive_flips(self, *flips: PastFlip) -> None:
        for part in flip_files.parts({"m": list(flips)}):
            self.bucket.put(part.key, part.parquet(self.duckdb))

    def stored(self, prefix: str = "") -> list[str]:
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket="archive", Prefix=prefix).get("Contents", [])]

    def rows(self) -> set[tuple[str, str]]:
        """Return folder and id of each row there is, doubles once."""
        found = [
            file for prefix in ("events/", "mail/") for _, files in self.bucket.by_folder(prefix) for file in files
        ]
        paths = self.bucket.download(found, self.folder / "rows")
        return {
            (path.removeprefix(str(self.folder / "rows")).split("/")[1], row[0])
            for path in paths
            for row in self.duckdb.execute(f"SELECT id FROM '{path}'").fetchall()
        }

    def say(self, queue: str, metric: str, value: Callable[[int], float], *, minutes: int = 240) -> None:
        """Let a queue say a number for each minute, given by how many minutes ago it was."""
        for ago in range(1, minutes):
            at = to_datetime(NOW - ago * MINUTE)
            data: Any = {
                "MetricName": metric,
                "Dimensions": [{"Name": "QueueName", "Value": queue}],
                "Timestamp": at,
                "Value": value(ago),
            }
            self.cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=[data])

    def move_watermark(self) -> Any:
        return archive_watermark.handler({}, Timed())

    def compact(self, left: int = 900_000) -> dict[str, Any]:
        answer: dict[str, Any] = archive_compactor.handler({}, Timed(left=left))
        return answer

    def erase(self, **request: Any) -> list[dict[str, Any]]:
        """Invoke the eraser until it is done, as the command does, and return its answers."""
        answers = [archive_eraser.handler(request, Timed())]
        while not answers[-1].get("done", True):
            answers.append(
                archive_eraser.handler({name: answers[-1][name] for name in ("profiles", "at", "after")}, Timed())
            )
        return answers


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cloud]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "ARCHIVE_BUCKET": "archive",
        "CLOCK_TABLE": "clock",
        "PROFILES_TABLE": "profiles",
        "EVENTS_QUEUE": "events",
        "ARCHIVE_QUEUE": "to-archive",
        "EVENTS_VISIBILITY_SECONDS": "360",
        "ARCHIVE_VISIBILITY_SECONDS": "420",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clients._session.cache_clear()
    with mock_aws():
        for function in (archive_watermark, archive_compactor, archive_eraser):
            monkeypatch.setattr(function, "dependencies", cache(function.connect))
            if hasattr(function, "clock_from_environment"):
                monkeypatch.setattr(function, "clock_from_environment", lambda: lambda: NOW)
        yield Cloud(tmp_path)
    clients._session.cache_clear()


def event(number: int, *, at: int = NOW - 2 * DAY, profile_id: str = ANNA, **fields: Any) -> Event:
    return Event.model_validate(
        {
            "id": f"event-{number}",
            "type": "email_opened",
            "source": "mailtailor",
            "profile_id": profile_id,
            "occurred_at": at,
            "received_at": at,
            "properties": {"campaign": "spring"},
            **fields,
        }
    )


def flip(number: int, *, profile_id: str = ANNA, at: int = NOW - 2 * DAY) -> PastFlip:
    return PastFlip(profile_id, "buyers", True, at, "time", number, None, at, "f1")


QUEUES = ("events", "to-archive")
AGE, WAITING, IN_WORK = (
    "ApproximateAgeOfOldestMessage",
    "ApproximateNumberOfMessagesVisible",
    "ApproximateNumberOfMessagesNotVisible",
)


def test_the_watermark_follows_empty_queues_and_tells_its_lag(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    # given
    for queue in QUEUES:
        for metric in (WAITING, IN_WORK):
            cloud.say(queue, metric, lambda _: 0, minutes=20)
    # when
    answer = cloud.move_watermark()
    # then
    stored = cloud.watermark.read()
    assert stored is not None
    assert 5 * MINUTE < NOW - stored < 10 * MINUTE
    assert answer["received_until"] == "2023-11-15T11:51:30.000Z"
    assert f'"ArchiveLag":[{(NOW - stored) / 1_000}]' in capsys.readouterr().out


def test_the_watermark_never_moves_back_and_stays_when_queues_say_nothing(cloud: Cloud) -> None:
    # given
    cloud.watermark.advance(NOW - HOUR)
    # when
    cloud.move_watermark()
    # then
    assert cloud.watermark.read() == NOW - HOUR
    # when: what the queues prove is behind
    for queue in QUEUES:
        cloud.say(queue, AGE, lambda ago: 7_200 if queue == "events" and ago > 30 else 1)  # noqa: B023
    cloud.move_watermark()
    # then
    assert cloud.watermark.read() == NOW - HOUR


def test_without_a_watermark_nothing_is_joined(cloud: Cloud) -> None:
    # given
    cloud.archive(event(1))
    before = cloud.stored()
    # then
    assert cloud.compact() == {"files": 0, "rows": 0, "erased": 0, "finished": True}
    assert cloud.stored() == before


def test_folders_are_joined_once_the_watermark_has_passed_their_end(cloud: Cloud) -> None:
    # given: two days ago, an hour ago, and now
    for number, at in enumerate((NOW - 2 * DAY, NOW - 2 * DAY, NOW - HOUR, NOW - HOUR, NOW, NOW)):
        cloud.archive(event(number, at=at))
    before = cloud.rows()
    cloud.watermark.advance(NOW)
    # when
    answer = cloud.compact()
    # then: of today only the hour that is over, of which there are mail files
    joined = [key for key in cloud.stored() if is_joined(key)]
    assert [key.rpartition("/")[0].split("/")[1:] for key in joined] == [
        ["received=2023-11-13", f"bucket={archive.bucket(ANNA):02}"],
        ["received=2023-11-13", "hour=12"],
        ["received=2023-11-15", "hour=11"],
    ]
    assert answer == {"files": 6, "rows": 6, "erased": 0, "finished": True}
    assert cloud.rows() == before
    # when
    again = cloud.compact()
    # then
    assert again["files"] == 0


def test_a_run_that_has_no_time_left_stops_and_the_next_goes_on(cloud: Cloud) -> None:
    # given
    cloud.archive(event(1), event(2))
    cloud.watermark.advance(NOW)
    # then
    assert cloud.compact(left=archive_compactor.RESERVE - 1) == {"files": 0, "rows": 0, "erased": 0, "finished": False}
    assert cloud.compact()["finished"] is True
    assert all(map(is_joined, cloud.stored()))


def test_a_file_that_cannot_be_read_is_named_counted_and_left_and_the_others_are_joined(
    cloud: Cloud, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    cloud.archive(event(1))
    cloud.watermark.advance(NOW)
    (bad,) = [f"{key.rpartition('/')[0]}/{'7' * 32}.parquet" for key in cloud.stored("events/")]
    cloud.s3.put_object(Bucket="archive", Key=bad, Body=b"PAR1 no more")
    cloud.s3.put_object(Bucket="archive", Key="events/stray.parquet", Body=b"")
    # when
    answer = cloud.compact()
    # then
    assert answer["finished"] is True
    assert bad in cloud.stored()
    assert "events/stray.parquet" in cloud.stored()
    assert not any(map(is_joined, cloud.stored("events/")))
    assert all(map(is_joined, cloud.stored("mail/")))
    assert [bad] in [getattr(record, "files", None) for record in caplog.records]
    assert '"FilesUnreadable":[1' in capsys.readouterr().out


def test_a_person_is_erased_with_all_profiles_they_were_merged_from_and_with_corrections(cloud: Cloud) -> None:
    # given
    table = ProfileTable(client=cloud.dynamodb, table="profiles")
    table.save(Loaded(Profile(ANNA, identities=frozenset({BEFORE})), None), ())
    cloud.archive(event(1), event(2, profile_id=BOB))
    cloud.archive(event(3, profile_id=BEFORE), event(4, at=NOW - HOUR))
    named = {"corrects": "event-3", "machine": "burst", "campaign": "spring"}
    cloud.archive(event(5, type="event_corrected", at=NOW - 1, properties=named))
    # when
    (answer,) = cloud.erase(profiles=[ANNA])
    # then
    assert answer["profiles"] == [ANNA, BEFORE]
    assert (answer["rows"], answer["unreadable"], answer["done"]) == (8, [], True)
    assert cloud.rows() == {("events", "event-2"), ("mail", "event-2")}
    # when: once more, by the profile that is a pointer now
    table.save(Loaded(Profile(BEFORE, merged_into=ANNA), None), ())
    (answer,) = cloud.erase(profiles=[BEFORE])
    # then
    assert sorted(answer["profiles"]) == [ANNA, BEFORE]
    assert (answer["rows"], answer["files"]) == (0, 0)


def test_what_arrives_after_the_erasure_goes_when_its_folder_is_joined(cloud: Cloud) -> None:
    # given
    cloud.erase(profiles=[ANNA])
    # when: a dead letter of two days ago, and what she does when she comes back
    cloud.archive(event(1), event(2, at=NOW, received_at=NOW), event(3, profile_id=BOB))
    cloud.watermark.advance(NOW + DAY)
    answer = cloud.compact()
    # then
    assert answer["erased"] == 2
    assert {row for _, row in cloud.rows()} == {"event-2", "event-3"}


def test_erasing_goes_on_where_it_stopped(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    for day in range(4):
        cloud.archive(event(day, at=NOW - day * DAY - 1))
        cloud.archive_flips(flip(day, at=NOW - day * DAY - 1))
    times = iter(range(10_000))
    passing = SimpleNamespace(monotonic=lambda: next(times) * archive_eraser.AT_ONCE * 0.4)
    monkeypatch.setattr(archive_eraser, "time", passing)
    # when
    answers = cloud.erase(profiles=[ANNA])
    # then
    assert len(answers) > 3
    assert sum(answer["folders"] for answer in answers) == 12
    assert len({answer["at"] for answer in answers}) == 1
    assert cloud.rows() == set()
    assert cloud.stored("flips/") == []
    assert len(cloud.stored("erased/")) == 1


def test_a_file_that_cannot_be_read_is_reported_by_the_eraser(cloud: Cloud) -> None:
    # given
    cloud.archive(event(1))
    (key,) = cloud.stored("events/")
    cloud.s3.put_object(Bucket="archive", Key=key, Body=b"PAR1 no more")
    # when
    (answer,) = cloud.erase(profiles=[ANNA])
    # then
    assert answer["unreadable"] == [key]
    assert answer["rows"] == 1


@pytest.mark.parametrize(
    "request_", [{}, {"profiles": []}, {"profiles": ["anna@example.com"]}, {"profiles": [ANNA], "all": True}]
)
def test_what_cannot_be_erased_is_refused(cloud: Cloud, request_: dict[str, Any]) -> None:
    (answer,) = cloud.erase(**request_)
    assert "error" in answer
    assert "anna@example.com" not in answer["error"]
    assert cloud.stored() == []


def test_flips_are_joined_by_the_day_and_erased_with_the_events_they_followed_from(cloud: Cloud) -> None:
    # given: a batch of flips that came twice
    for number, at in ((1, NOW - 2 * DAY), (2, NOW - 2 * DAY), (1, NOW - 2 * DAY + 1)):
        cloud.archive_flips(flip(number, at=at), flip(number, profile_id=BOB))
    cloud.archive(event(1))
    cloud.watermark.advance(NOW)
    # when
    cloud.compact()
    # then
    [joined] = cloud.stored("flips/")
    assert is_joined(joined)
    # when
    answers = cloud.erase(profiles=[ANNA])
    # then
    assert answers[-1]["done"]
    assert sum(answer["rows"] for answer in answers) == 3 + 2
    [_left] = cloud.stored("flips/")
    paths = cloud.bucket.download(cloud.bucket.files(["flips/"]), cloud.folder / "left")
    assert {one.profile_id for one in flip_files.read(cloud.duckdb, paths, [ANNA, BOB], "buyers")} == {BOB}
