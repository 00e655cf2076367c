"""Somebody's flips, asked of the function as the API does, out of an archive on moto."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.trail_api import handler
from mailtailor.aws import clients
from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.profile_item import encode
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.events import archive, flip_files
from mailtailor.events.event import Event
from mailtailor.events.flips import PastFlip
from mailtailor.instant import DAY, FOREVER, HOUR, to_iso
from mailtailor.profiles.profile import Flip, Profile
from mailtailor.profiles.store import Loaded
from mailtailor.segments.engine import Membership
from tests.integration.dynamodb import create_tables
from tests.integration.functions.intake_engine import Context, http_event

NOW = 1_700_049_600_000
"""2023-11-15T12:00:00Z."""
ANNA, BROWSER = "A" * 22, "B" * 22
IN = PastFlip(ANNA, "buyers", True, NOW - 3 * DAY, "event:o1", 5, NOW - DAY, NOW - 3 * DAY + 900, "f1")
OUT = PastFlip(ANNA, "buyers", False, NOW - DAY, "time", 6, None, NOW - DAY + 900, "f1")


class Timed(Context):
    """A context with time left."""

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


class Cloud:
    """Profiles and archive."""

    def __init__(self, folder: Path) -> None:
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(Bucket="archive", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        dynamodb = boto3.client("dynamodb")
        create_tables(dynamodb, profiles="profiles", keyed=())
        self.profiles = ProfileTable(client=dynamodb, table="profiles")
        self.bucket = ArchiveBucket(client=self.s3, bucket="archive")
        self.duckdb = archive.connect(memory="256MiB", threads=1, folder=folder / "duckdb")

    def archive(self, *flips: PastFlip) -> None:
        for part in flip_files.parts({"m": list(flips)}):
            self.bucket.put(part.key, part.parquet(self.duckdb))

    def archive_event(self, **fields: Any) -> None:
        made = {"type": "order_completed", "source": "shop", "profile_id": ANNA, "received_at": NOW - 3 * DAY}
        for part in archive.parts({"m": [Event.model_validate(made | {"occurred_at": NOW - 3 * DAY - HOUR} | fields)]}):
            self.bucket.put(part.key, part.parquet(self.duckdb))


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cloud]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "ARCHIVE_BUCKET": "archive",
        "PROFILES_TABLE": "profiles",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clients._session.cache_clear()
    with mock_aws():
        monkeypatch.setattr(handler, "clock_from_environment", lambda: lambda: NOW)
        monkeypatch.setattr(handler, "dependencies", cache(handler.connect))
        made = Cloud(tmp_path)
        profile = Profile(ANNA, version=6, identities=frozenset({BROWSER}))
        made.profiles._client.put_item(TableName="profiles", Item=item(profile))
        yield made
    clients._session.cache_clear()


def item(profile: Profile, *flips: Flip) -> Any:

    return encode(profile, flips)


def get(profile: str = ANNA, segment: str = "buyers", **query: str) -> tuple[int, dict[str, Any]]:
    event = http_event("GET", f"/admin/profiles/{profile}/segments/{segment}/flips") | {"queryStringParameters": query}
    answer = handler.handler(event, Timed())
    return answer["statusCode"], json.loads(answer["body"])


def test_flips_are_told_with_the_events_that_made_them(cloud: Cloud) -> None:
    # given: the batch came twice, and there are flips of another segment and person
    cloud.archive(IN, OUT, replace(IN, segment="viewers"), replace(IN, profile_id="C" * 22))
    cloud.archive(replace(OUT, published_at=OUT.published_at + 5))
    cloud.archive_event(id="o1")
    # when
    status, told = get()
    # then
    assert status == 200
    assert [(flip["entered"], flip["at"], flip["because"]) for flip in told["flips"]] == [
        (False, to_iso(OUT.at), "by time"),
        (True, to_iso(IN.at), "because of event o1 (order_completed, 2023-11-12 11:00 UTC)"),
    ]
    assert (told["profile_id"], told["notes"]) == (ANNA, [])
    assert "was_member" not in told


def test_a_segment_that_there_never_was_has_none(cloud: Cloud) -> None:
    cloud.archive(IN)
    assert get(segment="%00' OR 1=1")[1]["flips"] == []


def test_flips_of_the_profile_that_became_part_of_hers_are_told_by_either_id(cloud: Cloud) -> None:
    # given
    cloud.profiles.save(Loaded(Profile(BROWSER, merged_into=ANNA), None), ())
    cloud.archive(replace(IN, profile_id=BROWSER), replace(OUT, profile_id=BROWSER, reason="merge"))
    # then
    for asked in (ANNA, BROWSER):
        _, told = get(asked)
        assert told["profile_id"] == ANNA
        assert [(one["profile_id"], one["reason"]) for one in told["flips"]] == [(BROWSER, "merge"), (BROWSER, "event")]


def test_a_flip_that_is_not_archived_yet_is_told_by_the_item_and_once_when_it_is(cloud: Cloud) -> None:
    # given: the write that flipped is the last one
    member = {"buyers": Membership(member=True, valid_until=FOREVER, since=NOW - 5)}
    profile = Profile(ANNA, version=7, memberships=member)
    flip = Flip("buyers", True, NOW - 5, "event:o2", FOREVER)
    cloud.profiles._client.put_item(TableName="profiles", Item=item(profile, flip))
    cloud.archive(IN, OUT)
    # when
    first = get()[1]
    cloud.archive(PastFlip(ANNA, "buyers", True, NOW - 5, "event:o2", 8, None, NOW - 1, ""))
    second = get()[1]
    # then
    assert first == second
    assert [one["because"] for one in first["flips"]][:2] == ["because of event o2", "by time"]
    assert first["notes"] == []


def test_the_past_is_told_by_the_trail_however_few_flips_are_asked_for(cloud: Cloud) -> None:
    # given
    cloud.archive(IN, OUT)
    # when
    status, told = get(at=to_iso(NOW - 2 * DAY), limit="1")
    # then
    assert (status, told["was_member"], len(told["flips"])) == (200, True, 1)
    assert told["notes"] == ["There are earlier flips: ask for more of them."]


def test_old_days_are_not_read_when_enough_is_known(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    for ago in range(6):
        at = NOW - ago * DAY
        cloud.archive(replace(IN, at=at, published_at=at, version=20 - ago, entered=ago % 2 == 0))
    monkeypatch.setattr("mailtailor.aws.flip_trail.DAYS_AT_ONCE", 2)
    # when
    _, told = get(limit="3")
    # then
    assert len(told["flips"]) == 3
    assert told["notes"][-1] == "There are earlier flips: ask for more of them."


def test_what_was_erased_is_not_told(cloud: Cloud) -> None:
    # given: the file still has it
    cloud.archive(IN, OUT)
    cloud.archive_event(id="o1")
    ErasedProfiles(client=cloud.s3, bucket="archive").add([ANNA], NOW - 2 * DAY)
    # then
    assert [one["because"] for one in get()[1]["flips"]] == ["by time"]


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "x"},
        {"at": "yesterday"},
        {"at": ""},
        {"at": "1969-01-01T00:00Z"},
        {"at": "9999-12-31T23:59-01:00"},
    ],
)
def test_what_is_no_number_or_time_is_400(query: dict[str, str]) -> None:
    assert get(**query)[0] == 400


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("profile", ["C" * 22, "anna@example.com"])
def test_an_unknown_profile_is_404(profile: str) -> None:
    assert get(profile)[0] == 404


def test_a_file_that_cannot_be_read_is_an_error_that_the_log_names(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    # given
    folder = f"flips/received=2023-11-14/bucket={archive.bucket(ANNA):02}"
    cloud.s3.put_object(Bucket="archive", Key=f"{folder}/bad.parquet", Body=b"PAR1 no more")
    # when
    status, told = get()
    # then
    assert (status, told["message"]) == (500, "The archive holds a file that cannot be read.")
    assert "bad.parquet" in caplog.text
