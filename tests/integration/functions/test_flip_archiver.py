"""Archiving flips, as Lambda calls it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.flip_archiver import handler
from mailtailor.aws import clients
from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.events import archive, flip_files
from mailtailor.events.flips import PastFlip, once_each, pack
from tests.integration.functions.intake_engine import Context
from tests.unit.events.test_flip_files import ANNA, BOB, FLIP

ELSEWHERE = next(one for n in range(1_000) if archive.bucket(one := f"E{n:021}") != archive.bucket(ANNA))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ArchiveBucket]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "ARCHIVE_BUCKET": "archive",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clients._session.cache_clear()
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="archive", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        boto3.client("sqs").create_queue(QueueName="trail")
        monkeypatch.setattr(handler, "dependencies", cache(handler.connect))
        yield ArchiveBucket(client=s3, bucket="archive")
    clients._session.cache_clear()


def deliver(*bodies: str) -> Any:
    records = [
        {
            "messageId": f"m{number}",
            "receiptHandle": f"r{number}",
            "body": body,
            "attributes": {"ApproximateReceiveCount": "1"},
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:trail",
        }
        for number, body in enumerate(bodies)
    ]
    return handler.handler({"Records": records}, Context())


def message(*flips: PastFlip) -> str:
    [body] = pack(flips)
    return body


def archived(bucket: ArchiveBucket, folder: Path) -> list[PastFlip]:
    paths = bucket.download(bucket.files([archive.FLIPS]), folder)
    return once_each(flip_files.read(handler.dependencies().duckdb, paths, [ANNA, BOB, ELSEWHERE], "buyers"))


def test_flips_are_stored_and_a_message_that_comes_again_changes_nothing(bucket: ArchiveBucket, tmp_path: Path) -> None:
    # given
    flips = [FLIP, replace(FLIP, profile_id=BOB), replace(FLIP, profile_id=ELSEWHERE)]
    # when
    assert deliver(message(*flips[:2]), message(flips[2])) == {"batchItemFailures": []}
    files = bucket.files([archive.FLIPS])
    deliver(message(*flips[:2]))
    # then
    assert bucket.files([archive.FLIPS]) == files
    assert set(archived(bucket, tmp_path)) == set(flips)


def test_a_batch_published_twice_reads_once(bucket: ArchiveBucket, tmp_path: Path) -> None:
    # when: the publisher died between its queues, and read the stream again later
    deliver(message(FLIP))
    deliver(message(replace(FLIP, published_at=FLIP.published_at + 60_000)))
    # then
    assert len(bucket.files([archive.FLIPS])) == 2
    assert archived(bucket, tmp_path) == [FLIP]


def test_what_is_no_message_fails_alone(bucket: ArchiveBucket, tmp_path: Path) -> None:
    # when
    answer = deliver("not json", message(FLIP))
    # then
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert archived(bucket, tmp_path) == [FLIP]


def test_a_file_that_cannot_be_stored_fails_the_messages_with_something_in_it(
    bucket: ArchiveBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    put = ArchiveBucket.put

    def full(self: ArchiveBucket, key: str, parquet: bytes) -> None:
        if f"bucket={archive.bucket(ANNA):02}" in key:
            raise OSError
        put(self, key, parquet)

    monkeypatch.setattr(ArchiveBucket, "put", full)
    # when
    elsewhere = replace(FLIP, profile_id=ELSEWHERE)
    answer = deliver(message(FLIP, elsewhere), message(elsewhere))
    # then
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert archived(bucket, tmp_path) == [elsewhere]
