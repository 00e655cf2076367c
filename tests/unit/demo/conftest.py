"""A system whose AWS is moto's and whose tracking API is a function of the test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.local import system as local
from infra.local.demo.invented import Person, invent
from infra.local.demo.sample import Sample, load
from infra.local.system import System
from mailtailor.aws.clock import system_clock

ESP_KEY = "the-esp-signing-key-of-32-characters"


@pytest.fixture(scope="session")
def sample() -> Sample:
    return load()


@pytest.fixture(scope="session")
def people(sample: Sample) -> list[Person]:
    return invent(sample)


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """Make the resources once: nothing that the demonstration does to them outlives it but the same catalog."""
    with mock_aws():
        yield _resources()


@pytest.fixture
def system(tmp_path: Path, aws: dict[str, str]) -> System:
    return _System(
        base_url="http://127.0.0.1:8095",
        endpoint_url="http://127.0.0.1:1",
        outputs=aws,
        write_key="the-write-key",
        shopify_secret="the-shopify-secret",
        state_dir=tmp_path,
        demo=True,
    )


def _client(service: str) -> Any:
    return boto3.client(service, region_name=local.REGION, **local.CREDENTIALS)  # type: ignore[call-overload]


class _System(System):
    """A system whose clients are moto's and whose clock needs no function to move."""

    def client(self, service: str) -> Any:
        return _client(service)

    def now(self) -> int:
        moved = self.state_dir / "moved"
        return system_clock() + (int(moved.read_text()) if moved.exists() else 0)

    def move_clock(self, milliseconds: int) -> None:
        (self.state_dir / "moved").write_text(str(milliseconds))


def _resources() -> dict[str, str]:
    _client("s3").create_bucket(Bucket="catalog")
    for table in ("profiles", "definitions"):
        _client("dynamodb").create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    secrets = {
        "IdentitySecretId": {"pepper": "a pepper"},
        "TokensSecretId": {"active": "k1", "k1": "a signing key that has thirty-two bytes"},
        "EspSecretId": {"signing_key": ESP_KEY},
    }
    for name, value in secrets.items():
        _client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(value))
    return {
        **{name: name for name in secrets},
        "CatalogBucket": "catalog",
        "ProfilesTable": "profiles",
        "DefinitionsTable": "definitions",
        "EventsQueueUrl": _client("sqs").create_queue(QueueName="events")["QueueUrl"],
        "OpenUrl": "http://127.0.0.1:8095",
        "ClickUrl": "http://127.0.0.1:8095",
    }
