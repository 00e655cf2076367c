"""What the clock promises on a local system: exits to the second, and a crowd due at once that delays nobody."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event as Signal
from typing import Any, Final

import httpx
from rich.console import Console

from infra.local import start
from infra.local.demo import sample
from infra.local.demo.seed import upload_catalog
from infra.local.phases import Phases
from infra.local.system import System
from mailtailor.aws import due_index
from mailtailor.aws.profile_item import encode
from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR, SECOND, Instant, from_datetime, to_iso
from mailtailor.profiles import projection
from mailtailor.profiles.processing import WakeUpProcessor
from mailtailor.profiles.profile import Profile
from tests.bench.path import once
from tests.demonstration import engine
from tests.e2e.destination import delivering_to
from tests.e2e.people import until
from tests.receiver import Receiver
from tests.unit.profiles.memory_store import MemoryStore

WINDOW: Final = 7 * DAY
"""Of `recent_purchasers`, whose members leave here."""
LEAD: Final = 150
"""Seconds from the last of a crowd being written until it is due: a sweep looks two minutes ahead, each minute."""


@contextmanager
def system() -> Iterator[System]:
    """Run a system of its own."""
    with (
        TemporaryDirectory() as states,
        start.running(port=0, demo=False, phases=Phases(Console(quiet=True)), states=Path(states)) as running,
    ):
        upload_catalog(running, sample.load())
        once(running)
        yield running


def exits(system: System, *, people: int, seconds: int) -> list[float]:
    """Return how many seconds after its instant each exit was told to the ESP, ascending.

    Parameters
    ----------
    people
        How many leave a segment.
    seconds
        Over so long.
    """
    late: list[float] = []

    def note(handler: BaseHTTPRequestHandler) -> None:
        arrived = system.now()
        flip = json.loads(receiver.requests[-1][1])
        if flip["type"] == "segment.left":
            late.append((arrived - from_datetime(datetime.fromisoformat(flip["data"]["at"]))) / SECOND)
        handler.send_response(204)
        handler.end_headers()

    receiver = Receiver(note)
    with receiver.running(), delivering_to(receiver.url, system):
        # Entries are told first.
        first = system.now() + (20 + people // 4) * SECOND - WINDOW
        bought = [first + number * seconds * SECOND // people for number in range(people)]
        for begin in range(0, people, 50):
            _buy(system, bought[begin : begin + 50])
        until(lambda: len(late), accept=lambda told: told >= people, seconds=seconds + people + 120)
    return sorted(late)


def _buy(system: System, bought: list[Instant]) -> None:
    """Let as many strangers buy, each at their instant."""
    calls: list[dict[str, Any]] = []
    for at in bought:
        known = {"userId": str(uuid.uuid4())}
        consent = {"consent": {"categoryPreferences": {"tracking": True, "personalization": True}}}
        calls.append({**known, "messageId": str(uuid.uuid4()), "type": "identify", "context": consent})
        order = {"type": "track", "event": "Order Completed", "properties": {}, "timestamp": to_iso(at)}
        calls.append({**known, "messageId": str(uuid.uuid4()), **order})
    answer = httpx.post(f"{system.base_url}/v1/batch", json={"batch": calls}, auth=(system.write_key, ""), timeout=30)
    assert answer.status_code == 200, answer.text


@dataclass(frozen=True)
class Drain:
    """A crowd that was due in one second.

    Attributes
    ----------
    seconds
        From that second until the last of them was evaluated.
    idle, meanwhile
        The seconds from clicks to changed content, ascending, before and while the crowd was evaluated.
    """

    seconds: float
    idle: list[float]
    meanwhile: list[float]


def drain(system: System, *, people: int, clicks: int) -> Drain:
    """Let as many people leave a segment in the same second while others click."""
    idle = sorted(once(system) for _ in range(clicks))
    due = system.now() + (LEAD + people // 1_000) * SECOND
    _write(system, people, due)
    time.sleep(max(0, due - system.now()) / SECOND)
    drained = Signal()
    with ThreadPoolExecutor(1) as pool:
        live = pool.submit(_click_until, drained, system)
        until(lambda: _waits(system, people, due), accept=lambda waits: not waits, seconds=300 + people / 20)
        seconds = (system.now() - due) / SECOND
        drained.set()
        meanwhile = sorted(live.result())
    left = _left(system)
    assert left == people, f"{left} of {people} left"
    return Drain(seconds, idle, meanwhile)


def _click_until(drained: Signal, system: System) -> list[float]:
    taken = []
    while not drained.is_set():
        taken.append(once(system))
    return taken


def leaver(profile_id: str, *, due: Instant) -> Profile:
    """Return somebody who leaves a segment at `due`, as the processor would have stored them."""
    profile, bought = Profile(profile_id), due - WINDOW
    fields = {"source": "bench", "profile_id": profile_id, "received_at": bought, "occurred_at": bought}
    consent = {"tracking": True, "personalization": True}
    events = [
        Event.model_validate({**fields, "id": "consent", "type": "consent_changed", "consent": consent}),
        Event.model_validate({**fields, "id": "order", "type": "order_completed"}),
    ]
    projection.apply(profile, events, engine=engine(), now=bought)
    return profile


def _write(system: System, people: int, due: Instant) -> None:
    """Write a crowd into the table, in twenty-fives, which is what a request takes."""
    client, table, one = system.client("dynamodb"), system.outputs["ProfilesTable"], leaver("x" * 22, due=due)

    def write(begin: int) -> None:
        ids = [_id(number) for number in range(begin, min(people, begin + 25))]
        puts = [{"PutRequest": {"Item": encode(replace(one, id=each), ())}} for each in ids]
        assert not client.batch_write_item(RequestItems={table: puts})["UnprocessedItems"]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(0, people, 25)))


def _waits(system: System, people: int, due: Instant) -> bool:
    """Return whether any of the crowd is still due."""
    time.sleep(1)
    client, table = system.client("dynamodb"), system.outputs["ProfilesTable"]
    # In the order of their ids they are sent, so these are of the last. The index is asked only after them: for a
    # large crowd the stand-in sorts all of it for each answer, and everybody else would wait.
    last = [_id(number) for number in range(max(0, people - 25), people)]
    found = client.batch_get_item(RequestItems={table: {"Keys": [{"id": {"S": one}} for one in last]}})
    if any("due_at" in item for item in found["Responses"][table]):
        return True
    crowd = (
        client.query(
            TableName=table,
            IndexName=due_index.INDEX,
            KeyConditionExpression="due_bucket = :bucket AND due_at = :due",
            ExpressionAttributeValues={":bucket": {"S": f"{due // HOUR}#{shard}"}, ":due": {"N": str(due)}},
            Limit=1,
        )
        for shard in range(due_index.DUE_SHARDS)
    )
    return any(some["Count"] for some in crowd)


def _id(number: int) -> str:
    return f"bench-{number:016d}"


def _left(system: System) -> int:
    """Return how many of the crowd are in no segment and no longer in the due index."""
    pages = system.client("dynamodb").get_paginator("scan").paginate(TableName=system.outputs["ProfilesTable"])
    crowd = (item for page in pages for item in page["Items"] if item["id"]["S"].startswith("bench-"))
    return sum("due_at" not in item and "memberships" not in item for item in crowd)


def rate(people: int) -> float:
    """Return how many people who leave a segment a core evaluates in a second, without the table's answers."""
    store, due = MemoryStore(), 1_790_000_000_000
    ids = [f"{number:022d}" for number in range(people)]
    one = leaver(ids[0], due=due)
    store.items = {each: encode(replace(one, id=each), ()) for each in ids}
    waker = WakeUpProcessor(
        store=store, engine=engine(), wake=lambda _: None, rebuild=lambda _: None, clock=lambda: due
    )
    began = time.process_time()
    for begin in range(0, people, 25):
        assert not waker.wake_ups(ids[begin : begin + 25]).failed
    taken = time.process_time() - began
    assert len(store.published) == people
    return people / taken
