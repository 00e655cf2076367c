"""The event model, and what came in and could not be used: `mailtailor events`."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from mailtailor.aws.event_queue import EventQueue, LargeEvents
from mailtailor.aws.parked_items import ParkedItems
from mailtailor.aws.queues import Queue
from mailtailor.events.event import Event
from mailtailor.events.parked import Parked
from mailtailor.events.replay import replay as replayed
from mailtailor.instant import to_iso
from mailtailor.profiles.identity import Pseudonymizer
from mailtailor_cli.connection import Connection, Where, connect
from mailtailor_cli.keys import asking, pseudonymizer

app = typer.Typer(help="Events: their form, and what could not be used.", no_args_is_help=True)

On = Annotated[Where, typer.Option("--on", help="The system to work on.")]
Source = Annotated[str, typer.Option("--source", help="Only of this webhook source; segment is the tracking API.")]


def event_schema() -> dict[str, Any]:
    """Return the JSON Schema of an event, as it is queued and archived."""
    schema = Event.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


@app.command()
def schema() -> None:
    """Print the JSON Schema of an event."""
    typer.echo(json.dumps(event_schema(), indent=2))


@app.command()
def parked(*, source: Source = "", on: On = Where.AUTO) -> None:
    """List what could not be used, with the reasons. Items themselves may hold personal data and are not shown."""
    system = connect(on)
    table = Table("Received", "Source", Column("Items", justify="right"), Column("Reasons", overflow="fold"))
    items = _parked_items(system)
    with asking(system):
        for key in items.listed(source):
            one = items.read(key)
            reasons = Counter(item.reason for item in one.items)
            said = "; ".join(f"{reason} ({count})" if count > 1 else reason for reason, count in reasons.most_common(3))
            table.add_row(to_iso(one.received_at), one.source, f"{len(one.items):,}", said)
    if table.row_count:
        Console(highlight=False).print(table)
    else:
        typer.echo(f"Nothing is parked in {system.name}.")


@app.command()
def replay(*, source: Source = "", on: On = Where.AUTO) -> None:
    """Try again to use what is parked; what still cannot be used stays, and is forgotten 30 days after it came."""
    system = connect(on)
    with asking(system):
        queued, left = replay_all(system, pseudonymizer(system), source)
    typer.echo(f"{queued:,} events were queued in {system.name}; {left:,} items still cannot be used.")


def replay_all(system: Connection, names: Pseudonymizer, source: str = "") -> tuple[int, int]:
    """Replay what is parked; return how many events were queued, and how many items are left.

    Events are queued before anything is deleted, and have the ids that they would have had at first, so that a
    replay that is interrupted, or runs twice, does no harm.
    """
    items = _parked_items(system)
    s3, bucket = system.client("s3"), system.outputs["IntakeBucket"]
    events = Queue(client=system.client("sqs"), url=system.outputs["EventsQueueUrl"])
    queue = EventQueue(events, LargeEvents(s3, bucket))
    queued = left = 0
    for key in list(items.listed(source)):
        before = items.read(key)
        result = replayed(before, names)
        queue.send(result.events)
        after = Parked(before.source, before.received_at, result.left)
        if result.left:
            items.park(after)
        if not result.left or after.key != key:
            items.remove(key)
        queued += len(result.events)
        left += len(result.left)
    return queued, left


def _parked_items(system: Connection) -> ParkedItems:
    return ParkedItems(system.client("s3"), system.outputs["IntakeBucket"])
