"""Two engines for store tests: moto in the process, and DynamoDB Local, Amazon's own, where Java and its jars are."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto import mock_aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

JARS = Path(__file__).parents[2] / ".local" / "dynamodb-local"
SESSION = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="eu-west-1")


def why_not_local() -> str:
    """Return why DynamoDB Local cannot run here, or nothing if it can."""
    if shutil.which("java") is None:
        return "DynamoDB Local needs Java, which is not on this machine"
    if not list(JARS.glob("DynamoDBLocal-*.jar")):
        return "DynamoDB Local is not here; `make dynamodb` fetches it where Maven is"
    return ""


@contextmanager
def moto_engine() -> Iterator[DynamoDBClient]:
    with mock_aws():
        yield SESSION.client("dynamodb")


@contextmanager
def local_engine() -> Iterator[DynamoDBClient]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["java", f"-Djava.library.path={JARS}", "-cp", f"{JARS}/*"]
    command += ["com.amazonaws.services.dynamodbv2.local.main.ServerRunner", "-inMemory", "-port", str(port)]
    # It writes a file of its own into the working directory.
    server = subprocess.Popen(command, cwd=JARS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = SESSION.client(
        "dynamodb",
        endpoint_url=f"http://127.0.0.1:{port}",
        config=Config(retries={"max_attempts": 0}, connect_timeout=1, read_timeout=10),
    )
    try:
        _wait(client, server)
        yield client
    finally:
        server.terminate()
        server.wait()


def _wait(client: DynamoDBClient, server: subprocess.Popen[bytes]) -> None:
    for _ in range(150):
        try:
            client.list_tables()
        except (BotoCoreError, ClientError):
            if server.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("DynamoDB Local did not start")


def create_tables(client: DynamoDBClient, *, profiles: str, keyed: tuple[str, ...] = ()) -> None:
    """Create the table of profiles with its due index, and tables whose only key is `id`."""
    client.create_table(
        TableName=profiles,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "due_bucket", "AttributeType": "S"},
            {"AttributeName": "due_at", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "due",
                "KeySchema": [
                    {"AttributeName": "due_bucket", "KeyType": "HASH"},
                    {"AttributeName": "due_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    for table in keyed:
        client.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
