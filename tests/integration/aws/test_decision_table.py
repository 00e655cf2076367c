from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mailtailor.aws import decision_table
from mailtailor.aws.decision_table import DecisionTable
from mailtailor.content.decision import Decision, MessageKey
from mailtailor.instant import DAY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MESSAGE = MessageKey("A" * 22, "spring", "send-7")
NOW = 1_795_000_000_000


def decision(variant: str) -> Decision:
    return Decision(variant, "3f2a", NOW, (("85123A", "viewed"),))


@pytest.fixture
def table(dynamodb: DynamoDBClient) -> Iterator[DecisionTable]:
    dynamodb.create_table(
        TableName="decisions",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield DecisionTable(client=dynamodb, name="decisions")
    dynamodb.delete_table(TableName="decisions")


def keep(table: DecisionTable, made: dict[str, Decision], *, logged: bool = False) -> dict[str, Decision]:
    return table.keep(MESSAGE, made, now=NOW, logged=logged, sampled=False)


def item(dynamodb: DynamoDBClient) -> dict[str, object]:
    return dict(dynamodb.get_item(TableName="decisions", Key=decision_table.key(MESSAGE))["Item"])


def test_the_first_decision_of_a_block_stands(table: DecisionTable) -> None:
    assert keep(table, {"hero@1": decision("offer")}) == {"hero@1": decision("offer")}
    assert keep(table, {"hero@1": decision("products")}) == {"hero@1": decision("offer")}


def test_blocks_of_one_message_share_an_item(table: DecisionTable, dynamodb: DynamoDBClient) -> None:
    keep(table, {"hero@1": decision("offer")})

    both = keep(table, {"hero@1": decision("products"), "footer@2": decision("plain")})

    assert both == {"hero@1": decision("offer"), "footer@2": decision("plain")}
    assert dynamodb.scan(TableName="decisions")["Count"] == 1


def test_of_many_who_decide_at_once_one_does(table: DecisionTable) -> None:
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda number: keep(table, {"hero@1": decision(str(number))})["hero@1"], range(24)))

    assert len({one.variant for one in told}) == 1


def test_an_item_lives_for_a_week_from_its_first_decision(table: DecisionTable, dynamodb: DynamoDBClient) -> None:
    keep(table, {"hero@1": decision("offer")})
    table.keep(MESSAGE, {"footer@2": decision("x")}, now=NOW + DAY, logged=False, sampled=False)

    assert item(dynamodb)["expires_at"] == {"N": str((NOW + 7 * DAY) // 1_000)}


def test_an_item_says_whose_message_it_is_and_whether_it_is_logged(
    table: DecisionTable, dynamodb: DynamoDBClient
) -> None:
    keep(table, {"hero@1": decision("offer")})
    assert "logged" not in item(dynamodb)

    keep(table, {"footer@1": decision("offer")}, logged=True)

    assert item(dynamodb)["logged"] == {"BOOL": True}
    assert decision_table.message(item(dynamodb)) == MESSAGE
    assert decision_table.decisions(item(dynamodb)) == {"hero@1": decision("offer"), "footer@1": decision("offer")}


@pytest.mark.parametrize("stored", [{}, {"id": {"S": "x"}}, {"id": {"S": '["a"]'}}, {"id": {"N": "1"}}])
def test_an_item_of_another_form_is_refused(stored: dict[str, dict[str, str]]) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decision_table.message(stored)
