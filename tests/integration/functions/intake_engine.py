"""The queue and secrets that the functions which take events from outside work with, on moto."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto import mock_aws

from mailtailor.aws import clients
from mailtailor.aws.event_queue import EventQueue, LargeEvents
from mailtailor.aws.intake import Intake
from mailtailor.aws.parked_items import ParkedItems
from mailtailor.aws.queues import Queue
from mailtailor.aws.secrets import Secret
from mailtailor.events.event import Event
from mailtailor.events.parked import Parked

if TYPE_CHECKING:
    import pytest
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

NOW = 1_800_000_000_000
WRITE_KEY = "the-write-key"


@dataclass
class Engine:
    """What a test holds of the outside world."""

    intake: Intake
    sqs: SQSClient
    s3: S3Client
    secrets: SecretsManagerClient
    url: str
    now: list[int]

    def queued(self) -> list[Event]:
        """Take everything from the queue."""
        events: list[Event] = []
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                events += map(Event.model_validate, self.intake.events.unpack(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return events

    def parked(self) -> list[Parked]:
        """Return everything that could not be used."""
        return [self.intake.parked.read(key) for key in self.intake.parked.listed()]

    def set_keys(self, **keys: str) -> None:
        """Rotate the ingest secret."""
        self.secrets.put_secret_value(SecretId="ingest", SecretString=json.dumps(keys))


@contextmanager
def engine(patch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Run an engine; the environment is that of a deployed function."""
    clients._session.cache_clear()
    with mock_aws():
        sqs, s3, secrets = clients.sqs(), clients.s3(), clients.secrets_manager()
        url = sqs.create_queue(QueueName="events")["QueueUrl"]
        s3.create_bucket(Bucket="intake", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        secrets.create_secret(Name="identity", SecretString=json.dumps({"pepper": "a pepper"}))
        secrets.create_secret(Name="ingest", SecretString=json.dumps({"write_key": WRITE_KEY}))
        patch.setenv("EVENTS_QUEUE_URL", url)
        patch.setenv("INTAKE_BUCKET", "intake")
        patch.setenv("IDENTITY_SECRET_ID", "identity")
        patch.setenv("INGEST_SECRET_ID", "ingest")
        now = [NOW]
        intake = Intake(
            events=EventQueue(Queue(client=sqs, url=url), LargeEvents(s3, "intake")),
            parked=ParkedItems(s3, "intake"),
            identity=Secret(client=secrets, secret_id="identity", clock=lambda: now[0]),
            ingest=Secret(client=secrets, secret_id="ingest", clock=lambda: now[0]),
            clock=lambda: now[0],
        )
        yield Engine(intake, sqs, s3, secrets, url, now)
    clients._session.cache_clear()


@dataclass(frozen=True)
class Context:
    """What Lambda tells a function about itself."""

    function_name: str = "function"
    function_version: str = "1"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:function"
    aws_request_id: str = "request"


def http_event(
    method: str, path: str, body: bytes | str = b"", query: str = "", source: str = "192.0.2.1", **headers: str
) -> dict[str, Any]:
    """Return the HTTP API's event of a request from the address `source`; bytes as base64."""
    binary = isinstance(body, bytes)
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        "requestContext": {"requestId": "request", "http": {"method": method, "path": path, "sourceIp": source}},
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": binary,
    }
