from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.campaign_report import handler
from mailtailor.aws import clients
from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.aws.startup import prepared
from mailtailor.events import archive
from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR
from tests.integration.functions.intake_engine import Context, http_event

NOW = 1_700_049_600_000
"""2023-11-15T12:00:00Z."""


@dataclass(frozen=True)
class Timed(Context):
    """A context with time left."""

    left: int = 29_000

    def get_remaining_time_in_millis(self) -> int:
        return self.left


class World:
    """An archive on moto, and the function composed from its environment."""

    def __init__(self, folder: Path) -> None:
        self.s3 = boto3.client("s3", region_name="eu-central-1")
        self.s3.create_bucket(Bucket="archive", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        self.duckdb = archive.connect(memory="256MiB", threads=1, folder=folder)

    def archived(self, *events: Event) -> None:
        for part in archive.parts({"m": events}):
            ArchiveBucket(client=self.s3, bucket="archive").put(part.key, part.parquet(self.duckdb))

    def ask(self, path: str, left: int = 29_000, /, **query: str) -> tuple[int, dict[str, Any]]:
        event = {**http_event("GET", path), "queryStringParameters": query}
        answer = handler.handler(event, Timed(left=left))
        assert answer["headers"]["cache-control"] == "no-store"
        return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with mock_aws():
        clients._session.cache_clear()
        made = World(tmp_path / "duckdb")
        monkeypatch.setenv("ARCHIVE_BUCKET", "archive")
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr(handler, "clock_from_environment", lambda: lambda: NOW)
        monkeypatch.setattr(handler, "dependencies", prepared(handler.connect))
        yield made
    clients._session.cache_clear()


def mail(number: int, kind: str = "email_opened", *, ago: int = HOUR, **properties: Any) -> Event:
    return Event(
        id=f"event-{number}",
        type=kind,
        source="mailtailor",
        profile_id=f"{number % 10:022}",
        occurred_at=NOW - ago,
        received_at=NOW - ago,
        properties={"campaign": "Spring sale 20%/a", **properties},
    )


PATH = "/admin/campaigns/Spring%20sale%2020%25%2Fa"


def history() -> list[Event]:
    return [
        *(mail(number, "email_delivered", ago=2 * HOUR) for number in range(4)),
        mail(10),
        mail(11, machine="apple_mpp"),
        mail(20, "email_link_clicked", url="https://shop.example/lamp", position=3),
        mail(30, ago=3 * DAY),
        mail(40, campaign="other"),
    ]


def test_a_campaign_is_reported_by_link(world: World) -> None:
    # given
    world.archived(*history())
    # when
    status, report = world.ask(PATH)
    # then
    assert status == 200
    assert report == {
        "campaign": "Spring sale 20%/a",
        "since": "2023-10-16T12:00:00.000Z",
        "until": "2023-11-15T12:00:00.000Z",
        "by": "link",
        "totals": {
            "delivered": 4,
            "human_opens": 2,
            "human_unique_opens": 1,
            "machine_opens": 1,
            "machine_unique_opens": 1,
            "human_clicks": 1,
            "human_unique_clicks": 1,
            "machine_clicks": 0,
            "machine_unique_clicks": 0,
            "open_rate": 0.25,
            "click_rate": 0.25,
            "click_to_open_rate": 1.0,
        },
        "rows": [
            {
                "position": 3,
                "url": "https://shop.example/lamp",
                "human_clicks": 1,
                "human_unique_clicks": 1,
                "machine_clicks": 0,
                "machine_unique_clicks": 0,
            }
        ],
    }


def test_a_report_by_hour_of_a_shorter_time_leaves_out_what_was_before(world: World) -> None:
    # given
    world.archived(*history())
    # when
    status, report = world.ask(PATH, since="48h", by="hour")
    # then
    assert status == 200
    assert report["since"] == "2023-11-13T12:00:00.000Z"
    assert [(row["hour"], row["delivered"], row["human_opens"]) for row in report["rows"]] == [
        ("2023-11-15T10:00:00.000Z", 4, 0),
        ("2023-11-15T11:00:00.000Z", 0, 1),
    ]


def test_what_was_received_days_after_it_happened_is_counted_when_it_happened(world: World) -> None:
    # given: an open that waited two days in a queue
    late = mail(1, ago=3 * DAY).model_copy(update={"received_at": NOW - DAY})
    world.archived(late)
    # then
    assert world.ask(PATH, since="4d")[0] == 200
    assert world.ask(PATH, since="2d")[0] == 404


def test_campaigns_are_listed(world: World) -> None:
    # given
    world.archived(*history())
    # when
    status, listed = world.ask("/admin/campaigns")
    # then
    assert status == 200
    assert [(one["campaign"], one["events"]) for one in listed["campaigns"]] == [("Spring sale 20%/a", 8), ("other", 1)]


@pytest.mark.parametrize("events", [[], history()], ids=["empty archive", "other campaigns"])
def test_a_campaign_that_nothing_happened_to_is_not_found(world: World, events: list[Event]) -> None:
    # given
    world.archived(*events)
    # when
    status, body = world.ask("/admin/campaigns/autumn")
    # then
    assert (status, body["code"]) == (404, "NotFound")
    assert "campaigns list" in body["hint"]


@pytest.mark.parametrize(
    "query",
    [
        {"since": "93d"},
        {"since": "0d"},
        {"since": "-1d"},
        {"since": "7"},
        {"since": "7d; DROP"},
        {"since": "99999h"},
        {"since": ""},
        {"since": "\u0667d"},
        {"by": "person"},
        {"by": ""},
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(world: World, query: dict[str, str]) -> None:
    status, body = world.ask(PATH, **query)
    assert (status, body["code"]) == (400, "BadInput")
    assert body["message"].endswith(".")
    assert "Write " in body["hint"]


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_BYTES"])
def test_more_than_a_request_can_read_is_refused_with_a_way_out(
    world: World, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    # given
    world.archived(*history())
    monkeypatch.setattr(handler, limit, 1)
    # when
    status, body = world.ask(PATH)
    # then
    assert (status, body["code"]) == (413, "TooLarge")
    assert "shorter time" in body["hint"]


def test_a_report_that_would_outlast_the_function_is_refused_before(world: World) -> None:
    # given
    world.archived(*history())
    # when
    status, body = world.ask(PATH, handler.RESERVE - 1)
    # then
    assert (status, body["code"]) == (413, "TooLarge")


def test_a_file_that_cannot_be_read_is_named_in_the_log_and_nowhere_else(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    # given
    world.archived(*history())
    key = "mail/received=2023-11-15/hour=11/broken.parquet"
    world.s3.put_object(Bucket="archive", Key=key, Body=b"PAR1 no more")
    # when
    status, body = world.ask(PATH)
    # then
    assert status == 500
    assert body["message"] == "The archive holds a file that cannot be read."
    assert key in caplog.text
    assert key not in json.dumps(body)


def test_an_archive_that_does_not_answer_is_for_a_later_try(world: World) -> None:
    # given
    world.s3.delete_bucket(Bucket="archive")
    # then
    assert world.ask(PATH)[0] == 503


@pytest.mark.parametrize("left", [29_000, 0])
def test_nothing_stays_on_the_functions_disk(world: World, tmp_path: Path, left: int) -> None:
    # given
    world.archived(*history())
    # when
    world.ask(PATH, left)
    # then
    assert not list(tmp_path.rglob("*.parquet"))
