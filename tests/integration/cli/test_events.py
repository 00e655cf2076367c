"""`mailtailor events`: what could not be used is listed without its content, and tried again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from mailtailor.aws.event_queue import LargeEvents
from mailtailor.aws.parked_items import ParkedItems
from mailtailor.events import envelope
from mailtailor.events.parked import Parked, ParkedItem
from mailtailor_cli import events
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from tests.senders import NOW
from tests.senders.shopify import ORDER

GOOD = ParkedItem({"topic": "orders/create", "payload": json.loads(ORDER.body)}, "was not known")
BAD = ParkedItem(
    {"topic": "orders/create", "payload": {"id": 1, "email": "flora@example.com"}}, "created_at is missing."
)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name="identity", SecretString=json.dumps({"pepper": "a pepper"}))
        boto3.client("s3").create_bucket(
            Bucket="intake", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        url = boto3.client("sqs").create_queue(QueueName="events")["QueueUrl"]
        outputs = {"IdentitySecretId": "identity", "IntakeBucket": "intake", "EventsQueueUrl": url}
        running = Connection("the test system", outputs)
        monkeypatch.setattr(events, "connect", lambda _where: running)
        yield running


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["events", *arguments])


def items() -> ParkedItems:
    return ParkedItems(boto3.client("s3"), "intake")


def queued(system: Connection) -> list[str]:
    received = boto3.client("sqs").receive_message(QueueUrl=system.outputs["EventsQueueUrl"], MaxNumberOfMessages=10)
    fetch = LargeEvents(boto3.client("s3"), "intake").fetch
    return [
        event["id"] for message in received.get("Messages", []) for event in envelope.unpack(message["Body"], fetch)
    ]


@pytest.mark.usefixtures("system")
def test_what_is_parked_is_listed_with_its_reason_and_nothing_of_its_content() -> None:
    # given
    items().park(Parked("shopify", NOW, [GOOD, BAD, BAD]))
    # when
    result = run("parked")
    # then
    assert result.exit_code == 0
    assert "shopify" in result.output
    assert "2027-01-15" in result.output
    assert "flora" not in result.output


@pytest.mark.usefixtures("system")
def test_nothing_parked_is_said_so() -> None:
    assert run("parked").output == "Nothing is parked in the test system.\n"


def test_what_can_be_used_now_is_queued_and_the_rest_stays(system: Connection) -> None:
    # given
    items().park(Parked("shopify", NOW, [GOOD, BAD]))
    # when
    result = run("replay")
    # then
    assert result.output == "1 events were queued in the test system; 1 items still cannot be used.\n"
    assert queued(system) == ["shopify:order:5678901234567"]
    [key] = items().listed()
    assert [one.item for one in items().read(key).items] == [BAD.item]


def test_a_replay_that_was_interrupted_is_repeated_without_harm(
    system: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: it ends before it deletes
    items().park(Parked("shopify", NOW, [GOOD]))

    def interrupt(_items: ParkedItems, _key: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ParkedItems, "remove", interrupt)
        assert run("replay").exit_code == 130
    # when
    assert run("replay").exit_code == 0
    # then: the event was queued twice under one id, and nothing is left
    assert queued(system) == ["shopify:order:5678901234567"] * 2
    assert list(items().listed()) == []


@pytest.mark.usefixtures("system")
def test_one_source_is_replayed_by_itself() -> None:
    # given
    items().park(Parked("shopify", NOW, [GOOD]))
    # when
    result = run("replay", "--source", "segment")
    # then
    assert "0 events" in result.output
    assert len(list(items().listed())) == 1
