"""botocore clients with time-outs that fit functions, without the cost of importing boto3."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


def _client(service: str, *, timeout: float, attempts: int, connect: float = 1, connections: int = 10) -> Any:  # noqa: ANN401 - botocore makes its clients at run time
    config = Config(
        connect_timeout=connect,
        read_timeout=timeout,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    return _session().create_client(service, config=config)


def sqs(*, timeout: float = 5, attempts: int = 3) -> SQSClient:
    """Return a client for SQS; on a recipient's path choose a short time-out and few attempts."""
    client: SQSClient = _client("sqs", timeout=timeout, attempts=attempts)
    return client


def dynamodb(*, timeout: float = 5, attempts: int = 3, connect: float = 1) -> DynamoDBClient:
    """Return a client for DynamoDB; times are in seconds, `connect` is for connecting alone."""
    client: DynamoDBClient = _client("dynamodb", timeout=timeout, attempts=attempts, connect=connect)
    return client


def s3(*, timeout: float = 10, attempts: int = 3, connect: float = 1, connections: int = 10) -> S3Client:
    """Return a client for S3 that as many threads can use at once as it has connections."""
    client: S3Client = _client("s3", timeout=timeout, attempts=attempts, connect=connect, connections=connections)
    return client


def cloudwatch(*, timeout: float = 10, attempts: int = 3) -> CloudWatchClient:
    """Return a client for CloudWatch."""
    client: CloudWatchClient = _client("cloudwatch", timeout=timeout, attempts=attempts)
    return client


def secrets_manager(*, timeout: float = 2, attempts: int = 2, connect: float = 1) -> SecretsManagerClient:
    """Return a client for Secrets Manager."""
    client: SecretsManagerClient = _client("secretsmanager", timeout=timeout, attempts=attempts, connect=connect)
    return client
