"""The engines that store tests run on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.integration.dynamodb import create_tables, local_engine, moto_engine, why_not_local

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[DynamoDBClient]:
    if reason := why_not_local():
        pytest.skip(reason)
    with local_engine() as client:
        yield client


@pytest.fixture(params=["moto", "dynamodb-local"])
def dynamodb(request: pytest.FixtureRequest) -> Iterator[DynamoDBClient]:
    """Return an engine with the tables `profiles`, `clock`, `deliveries` and `definitions`, empty."""
    if request.param == "moto":
        with moto_engine() as client:
            create_tables(client, profiles="profiles", keyed=("clock", "deliveries", "definitions"))
            yield client
        return
    client = request.getfixturevalue("dynamodb_local")
    create_tables(client, profiles="profiles", keyed=("clock", "deliveries", "definitions"))
    yield client
    for table in client.list_tables()["TableNames"]:
        client.delete_table(TableName=table)
