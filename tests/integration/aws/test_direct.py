"""The direct clients beside botocore's: same calls, same results, same errors; and what sockets can do to them."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from mailtailor.aws.direct import Aws, Patience
from mailtailor.errors import MailtailorError
from tests.integration.aws_over_http import AwsOverHttp, Trouble, aws_over_http

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

ITEM: dict[str, Any] = {
    "id": {"S": "a"},
    "number": {"N": "1"},
    "bytes": {"B": b"\x00\xff"},
    "B": {"S": "an attribute that is called as the type of bytes"},
    "map": {"M": {"B": {"B": b"B"}, "list": {"L": [{"BOOL": True}, {"B": b"\x01"}]}}},
}


@dataclass
class World:
    """The two kinds of clients, with the same things behind them."""

    server: AwsOverHttp
    dynamodb: Any
    s3: Any
    secrets: Any
    their_dynamodb: DynamoDBClient
    their_s3: S3Client
    their_secrets: SecretsManagerClient


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with mock_aws():
        session = boto3.Session(region_name="eu-west-1")
        theirs = session.client("dynamodb"), session.client("s3"), session.client("secretsmanager")
        theirs[0].create_table(
            TableName="table",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        theirs[0].put_item(TableName="table", Item=ITEM)
        theirs[1].create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        theirs[1].put_object(Bucket="bucket", Key="folder/a thing+~.json", Body=b"{}")
        theirs[2].create_secret(Name="name", SecretString='{"k1": "one"}')
        with aws_over_http() as server:
            monkeypatch.setenv("AWS_REGION", "eu-west-1")
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
            aws = Aws(suffix="amazonaws.com", patience=Patience(connect=0.3, read=0.4))
            yield World(server, aws.dynamodb(), aws.s3(), aws.secrets_manager(), *theirs)


def test_items_are_read_as_botocore_reads_them(world: World) -> None:
    key = {"id": {"S": "a"}}
    both = world.dynamodb, world.their_dynamodb

    one = [client.get_item(TableName="table", Key=key, ConsistentRead=True)["Item"] for client in both]
    many = [
        client.batch_get_item(RequestItems={"table": {"Keys": [key, {"id": {"S": "none"}}]}})["Responses"]
        for client in both
    ]

    assert one == [ITEM, ITEM]
    assert many[0] == many[1] == {"table": [ITEM]}
    assert "Item" not in world.dynamodb.get_item(TableName="table", Key={"id": {"S": "none"}})


def test_an_item_is_changed_and_what_it_was_returned(world: World) -> None:
    arguments: dict[str, Any] = {
        "TableName": "table",
        "Key": {"id": {"S": "new"}},
        "UpdateExpression": "SET #one = if_not_exists(#one, :one)",
        "ExpressionAttributeNames": {"#one": "one"},
        "ReturnValues": "ALL_NEW",
    }

    first = world.dynamodb.update_item(**arguments, ExpressionAttributeValues={":one": {"S": "é"}})
    again = world.dynamodb.update_item(**arguments, ExpressionAttributeValues={":one": {"S": "b"}})

    assert first["Attributes"] == again["Attributes"] == {"id": {"S": "new"}, "one": {"S": "é"}}


def test_an_object_is_read_and_not_read_again_unchanged(world: World) -> None:
    where = {"Bucket": "bucket", "Key": "folder/a thing+~.json"}
    ours, theirs = world.s3.get_object(**where), world.their_s3.get_object(**where)  # type: ignore[arg-type]

    assert (ours["Body"].read(), ours["ETag"]) == (theirs["Body"].read(), theirs["ETag"])
    with pytest.raises(ClientError) as unchanged:
        world.s3.get_object(**where, IfNoneMatch=ours["ETag"])
    assert unchanged.value.response["ResponseMetadata"]["HTTPStatusCode"] == 304


def test_a_secret_is_read(world: World) -> None:
    assert world.secrets.get_secret_value(SecretId="name")["SecretString"] == '{"k1": "one"}'


def test_errors_are_those_of_botocore(world: World) -> None:
    failing: list[tuple[Any, Any, dict[str, Any]]] = [
        (world.dynamodb.get_item, world.their_dynamodb.get_item, {"TableName": "none", "Key": {"id": {"S": "a"}}}),
        (world.s3.get_object, world.their_s3.get_object, {"Bucket": "bucket", "Key": "none"}),
        (world.secrets.get_secret_value, world.their_secrets.get_secret_value, {"SecretId": "none"}),
    ]
    for ours, theirs, arguments in failing:
        with pytest.raises(ClientError) as our_error:
            ours(**arguments)
        with pytest.raises(ClientError) as their_error:
            theirs(**arguments)
        assert our_error.value.response["Error"]["Code"] == their_error.value.response["Error"]["Code"]
        assert our_error.value.operation_name == their_error.value.operation_name


def test_an_error_that_is_no_json_is_its_status(world: World) -> None:
    world.server.trouble["dynamodb"] = Trouble(status=503, code='"')

    with pytest.raises(ClientError, match="503"):
        world.dynamodb.get_item(TableName="table", Key={"id": {"S": "a"}})


def test_a_connection_serves_again_and_one_closed_meanwhile_is_made_anew(world: World) -> None:
    # given
    read: dict[str, Any] = {"TableName": "table", "Key": {"id": {"S": "a"}}}
    world.dynamodb.get_item(**read)
    (kept,) = world.dynamodb._host._free

    # when it is used again
    world.dynamodb.get_item(**read)
    assert list(world.dynamodb._host._free) == [kept]

    # when the other side closes it
    kept.sock.shutdown(socket.SHUT_RDWR)
    assert world.dynamodb.get_item(**read)["Item"] == ITEM

    # then another serves
    assert list(world.dynamodb._host._free) != [kept]


@pytest.mark.parametrize("error", [ssl.SSLEOFError, ssl.SSLZeroReturnError, BrokenPipeError])
def test_one_that_tls_finds_closed_is_made_anew_too(
    world: World, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    # given
    read: dict[str, Any] = {"TableName": "table", "Key": {"id": {"S": "a"}}}
    world.dynamodb.get_item(**read)
    (kept,) = world.dynamodb._host._free

    def closed(*_: Any) -> None:
        raise error

    # when
    monkeypatch.setattr(kept, "request", closed)

    # then
    assert world.dynamodb.get_item(**read)["Item"] == ITEM


def test_a_new_connection_that_is_closed_is_an_error(world: World) -> None:
    world.server.trouble["dynamodb"] = Trouble(hang_up=True)

    with pytest.raises(ConnectionError):
        world.dynamodb.get_item(TableName="table", Key={"id": {"S": "a"}})
    assert world.server.calls == ["dynamodb:GetItem"]


def test_an_answer_that_does_not_come_is_waited_for_as_long_as_said_and_asked_for_once(world: World) -> None:
    # given, on a connection that works
    read: dict[str, Any] = {"TableName": "table", "Key": {"id": {"S": "a"}}}
    world.dynamodb.get_item(**read)
    world.server.trouble["dynamodb"] = Trouble(seconds=0.8)

    # when
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        world.dynamodb.get_item(**read)

    # then
    assert 0.35 < time.monotonic() - start < 0.7
    assert len(world.server.calls) == 2


def test_threads_have_connections_of_their_own(world: World) -> None:
    # given
    world.server.trouble["dynamodb"] = Trouble(seconds=0.1)
    found: list[Any] = []

    def read() -> None:
        found.append(world.dynamodb.get_item(TableName="table", Key={"id": {"S": "a"}})["Item"])

    # when
    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # then
    assert found == [ITEM] * 4
    assert len(set(world.dynamodb._host._free)) == 4


@pytest.mark.parametrize(("suffix", "host"), [("amazonaws.com", "eu-west-1"), ("amazonaws.com.cn", "cn-north-1")])
def test_hosts_are_those_of_the_region(monkeypatch: pytest.MonkeyPatch, suffix: str, host: str) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_REGION", host)
    aws: Any = Aws(suffix=suffix, patience=Patience(connect=1, read=1))

    assert aws.dynamodb()._host._url.geturl() == f"https://dynamodb.{host}.{suffix}"
    assert aws.secrets_manager()._host._url.geturl() == f"https://secretsmanager.{host}.{suffix}"
    assert aws.s3()._host("catalog")._url.geturl() == f"https://catalog.s3.{host}.{suffix}"


def test_without_a_region_or_credentials_the_error_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(MailtailorError, match="credentials"):
        world.dynamodb.get_item(TableName="table", Key={"id": {"S": "a"}})

    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(MailtailorError, match="region"):
        Aws(suffix="amazonaws.com", patience=Patience(connect=1, read=1))
