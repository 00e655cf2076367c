"""Archiving decisions, from what the table's stream says to Parquet."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from functions.decision_archiver import handler
from mailtailor.aws import clients, decision_table
from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.aws.decision_table import DecisionTable
from mailtailor.content.decision import Decision, MessageKey, Skipped
from mailtailor.events import archive
from tests.integration.functions.intake_engine import Context

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_795_000_000_000
MESSAGE = MessageKey("A" * 22, "spring", "send-7")


@dataclass
class World:
    """The table, what its stream would say, and the archive."""

    dynamodb: DynamoDBClient
    table: DecisionTable
    bucket: ArchiveBucket
    folder: Path
    records: list[dict[str, Any]] = field(default_factory=list)

    def keep(self, name: str, decision: Decision, *, logged: bool = True, sampled: bool = True) -> None:
        """Store a decision; DynamoDB tells of a write only if it changed something."""
        before = self._item()
        self.table.keep(MESSAGE, {name: decision}, now=NOW, logged=logged, sampled=sampled)
        images = {"OldImage": before, "NewImage": self._item()}
        if images["OldImage"] != images["NewImage"]:
            told = {which: image for which, image in images.items() if image}
            self.records.append({"dynamodb": {"SequenceNumber": str(len(self.records)), **told}})

    def _item(self) -> dict[str, Any]:
        found = self.dynamodb.get_item(TableName="decisions", Key=decision_table.key(MESSAGE))
        return dict(found.get("Item", {}))

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the block, variant and sampling of each decision in the archive, each once."""
        paths = self.bucket.download(self.bucket.files([archive.DECISIONS]), self.folder)
        found = handler.dependencies().duckdb.execute(
            "SELECT DISTINCT ON (id) block, variant, sampled FROM read_parquet($files)", {"files": paths}
        )
        return sorted(found.fetchall())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("ARCHIVE_BUCKET", "archive")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clients._session.cache_clear()
    with mock_aws():
        s3, dynamodb = boto3.client("s3"), boto3.client("dynamodb")
        s3.create_bucket(Bucket="archive", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        dynamodb.create_table(
            TableName="decisions",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        monkeypatch.setattr(handler, "dependencies", cache(handler.connect))
        table, bucket = DecisionTable(client=dynamodb, name="decisions"), ArchiveBucket(client=s3, bucket="archive")
        yield World(dynamodb, table, bucket, tmp_path / "copy")
    clients._session.cache_clear()


def deliver(records: list[dict[str, Any]]) -> Any:
    return handler.handler({"Records": records}, Context())


def test_each_decision_is_archived_once_though_the_item_grows_and_batches_come_again(world: World) -> None:
    # given
    world.keep("hero@1", Decision("offer", "", NOW))
    world.keep("hero@1", Decision("products", "", NOW))
    world.keep("footer@1", Decision("plain", "", NOW))
    records = world.records
    assert len(records) == 2

    # when
    assert deliver(records) == {"batchItemFailures": []}
    deliver(records[-1:])
    deliver(records)

    # then
    assert world.rows() == [("footer", "plain", True), ("hero", "offer", True)]


def test_what_is_not_in_the_sample_is_archived_for_a_fault_alone(world: World) -> None:
    # given
    faulty = Decision("fallback", "", NOW, skipped=(Skipped("offer", "UndefinedError"),))
    world.keep("hero@1", Decision("offer", "", NOW), logged=False, sampled=False)
    world.keep("footer@1", faulty, logged=True, sampled=False)

    # when
    deliver(world.records)

    # then
    assert world.rows() == [("footer", "fallback", False)]


def test_an_item_that_expires_is_nothing_to_archive(world: World) -> None:
    world.keep("hero@1", Decision("offer", "", NOW))
    deliver(world.records)
    expired = {"dynamodb": {"SequenceNumber": "7", "OldImage": world.records[0]["dynamodb"]["NewImage"]}}

    assert deliver([expired]) == {"batchItemFailures": []}
    assert world.rows() == [("hero", "offer", True)]


def test_what_cannot_be_read_stops_the_shard_there_and_keeps_what_came_before(world: World) -> None:
    # given
    world.keep("hero@1", Decision("offer", "", NOW))
    [good] = world.records
    image = good["dynamodb"]["NewImage"] | {"x@1": {"S": "{"}}
    bad = {"dynamodb": {"SequenceNumber": "77", "NewImage": image}}

    # then
    assert deliver([good, bad]) == {"batchItemFailures": [{"itemIdentifier": "77"}]}
    assert world.rows() == [("hero", "offer", True)]


def test_a_bucket_that_fails_fails_the_batch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.keep("hero@1", Decision("offer", "", NOW))
    monkeypatch.setattr(ArchiveBucket, "put", lambda *_: (_ for _ in ()).throw(OSError("down")))

    with pytest.raises(OSError, match="down"):
        deliver(world.records)
