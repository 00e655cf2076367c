"""What we compute an event to cost is what Amazon's own engine says it consumed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from mailtailor.aws.profile_table import ProfileTable
from mailtailor.profiles.processing import Processor, WakeUpProcessor
from mailtailor.profiles.store import ProfileStore
from tests.bench.capacity import MeteredStore
from tests.bench.replay import replay
from tests.demonstration import NOW, engine, people_events
from tests.integration.dynamodb import create_tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WRITES = {"PutItem", "TransactWriteItems"}
CALLS = {*WRITES, "GetItem", "BatchGetItem"}


class Meter:
    """Adds up what DynamoDB says each call consumed."""

    def __init__(self, client: DynamoDBClient) -> None:
        self.consumed: Counter[str] = Counter()
        for call in CALLS:
            client.meta.events.register(f"before-parameter-build.dynamodb.{call}", self._ask)
            client.meta.events.register(f"after-call.dynamodb.{call}", self._add)

    def _ask(self, params: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "INDEXES"

    def _add(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        capacity = parsed.get("ConsumedCapacity", [])
        for one in capacity if isinstance(capacity, list) else [capacity]:
            kind = "writes" if model.name in WRITES else "reads"
            self.consumed[kind] += one["Table"]["CapacityUnits"]
            self.consumed["index"] += sum(
                index["CapacityUnits"] for index in one.get("GlobalSecondaryIndexes", {}).values()
            )


PEOPLE = 6


def run(store: ProfileStore) -> None:
    """Process some customers' events one by one, and wake everybody a week later."""
    segments, now = engine(), [0]
    processor = Processor(
        store=store,
        engine=segments,
        archive=lambda _: None,
        wake=lambda _: None,
        rebuild=lambda _: None,
        clock=lambda: now[0],
    )
    waker = WakeUpProcessor(
        store=store, engine=segments, wake=lambda _: None, rebuild=lambda _: None, clock=lambda: now[0]
    )
    people = people_events()[:PEOPLE]
    for person in people:
        for event in person:
            now[0] = event.occurred_at
            assert not processor.events({"message": [event]}).failed
    now[0] = NOW + 7 * 86_400_000
    assert not waker.wake_ups([person[0].identities[0].id for person in people]).failed


def test_computed_units_equal_those_consumed(dynamodb_local: DynamoDBClient) -> None:
    # given
    metered = MeteredStore()
    create_tables(dynamodb_local, profiles="metered")
    meter = Meter(dynamodb_local)
    # when
    run(metered)
    run(ProfileTable(client=dynamodb_local, table="metered"))
    dynamodb_local.delete_table(TableName="metered")
    # then
    units = metered.units
    # AWS charges for a read that finds nothing, as the first one of each person does; its local engine does not.
    assert meter.consumed["reads"] == units.base_reads + units.identity_reads - PEOPLE
    assert meter.consumed["writes"] == units.base_writes + units.identity_writes
    assert meter.consumed["index"] == units.index_writes


def test_an_event_of_the_demonstration_costs_at_most_one_read_and_one_point_three_writes() -> None:
    # when a tenth of the customers' events are processed one by one
    result = replay(people_events()[::10])
    # then
    assert result.by_events.base_reads <= result.events
    assert result.by_events.base_writes <= result.events
    assert result.by_events.writes <= 1.3 * result.events
    assert result.sizes[len(result.sizes) * 99 // 100] < 1_024
