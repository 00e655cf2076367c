"""A send, simulated on a local system of its own: each recipient's block is fetched three times, as Braze does.

`python -m tests.bench.sending --recipients 20000` takes a while: one machine is the ESP, the function and all of AWS.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console

from infra.local import start
from infra.local.demo import sample
from infra.local.demo.seed import upload_catalog
from infra.local.phases import Phases
from infra.local.system import System
from mailtailor.aws import decision_table
from mailtailor.aws.profile_item import encode
from mailtailor.consent.policy import Consent
from mailtailor.consent.policy import Purpose as Use
from mailtailor.content.files import load_block
from mailtailor.instant import HOUR
from mailtailor.profiles.profile import Attribute, Profile
from mailtailor.segments.engine import Engine
from mailtailor.tracking.tokens import MailingToken, Purpose, RecipientToken, sign_mailing, sign_recipient
from tests.demonstration import engine
from tests.e2e.people import keyring

PARTS: Final = (".html", ".txt", ".html")
"""What an ESP asks for a mail: its HTML, its text, and once more to be sure."""
PROGRESS: Final = 1_000
"""Recipients after which a line tells how far it is."""
AT_ONCE: Final = 25
"""DynamoDB's limit of items in one BatchWriteItem."""
HERO: Final = Path(__file__).parents[2] / "layers" / "definitions" / "blocks" / "hero" / "block.yaml"
BINS: Final = (10, 20, 50, 100, 200, 400, 800, 1_000, 2_000, 5_000)
"""Milliseconds."""


@dataclass(slots=True)
class Sent:
    """What came of a send.

    Attributes
    ----------
    recipients
        How many there were.
    milliseconds
        How long each fetch took, ascending.
    statuses
        How many answers had which status.
    empty
        How many had nothing in them: the CDN's answer, in place of one that took too long.
    differing, late
        How many recipients got another HTML the second time, and how many of these because of one of the two the time
        was over, so that it is the static fallback.
    decisions
        How many decisions of how many messages were stored in the end.
    """

    recipients: int
    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    empty: int = 0
    differing: int = 0
    late: int = 0
    decisions: tuple[int, int] = (0, 0)

    def at(self, share: float) -> float:
        """Return the latency that this share of the fetches did not exceed."""
        return self.milliseconds[min(int(len(self.milliseconds) * share), len(self.milliseconds) - 1)]

    def histogram(self) -> Iterator[str]:
        """Yield a line for each bin."""
        most, below = len(self.milliseconds), 0
        for limit in BINS:
            upto = sum(1 for one in self.milliseconds if one <= limit)
            yield f"<= {limit:>5} ms {upto - below:>7}  {'#' * round(60 * (upto - below) / most)}"
            below = upto
        yield f"above       {most - below:>9}"


def send(recipients: int, *, clients: int) -> Sent:
    """Return what came of a send to so many, by so many clients at once."""
    with (
        tempfile.TemporaryDirectory() as states,
        start.running(port=0, demo=False, phases=Phases(Console(quiet=True)), states=Path(states)) as system,
    ):
        upload_catalog(system, sample.load())
        ids = [f"{number:021}A" for number in range(recipients)]
        _introduce(system, ids)
        return _fetch(system, ids, clients)


def _introduce(system: System, ids: Sequence[str]) -> None:
    """Write profiles straight into the table: half of them looked at something, a quarter bought something."""
    rules, at, client = engine(), system.now() - HOUR, system.client("dynamodb")

    def write(part: Sequence[str]) -> None:
        puts = [{"PutRequest": {"Item": _item(one, rules, at)}} for one in part]
        client.batch_write_item(RequestItems={system.outputs["ProfilesTable"]: puts})

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (ids[n : n + AT_ONCE] for n in range(0, len(ids), AT_ONCE))))


def _item(profile_id: str, rules: Engine, at: int) -> dict[str, Any]:
    profile, number = Profile(profile_id), int(profile_id[:-1])
    profile.attributes = {"first_name": Attribute("Robin", at), "country": Attribute("United Kingdom", at)}
    profile.consent = {Use.PERSONALIZATION: Consent(granted=True, at=at)}
    seen = {"product_id": "85123A", "category": "Lighting"}
    for event, properties in (("product_viewed", seen), ("order_completed", {"products": [seen]}))[: number % 4]:
        rules.memory.record(
            profile.streams, event_id=f"{event}{number}", event_type=event, at=at, properties=properties
        )
    return encode(profile, ())


def _fetch(system: System, ids: Sequence[str], clients: int) -> Sent:
    keys, sent, lock = keyring(system), Sent(len(ids)), threading.Lock()
    message = sign_mailing(keys, MailingToken("bench", "send-1"))
    fallback = load_block(HERO).fallback

    def one(client: httpx.Client, profile_id: str) -> None:
        query = {"r": sign_recipient(keys, RecipientToken(profile_id, Purpose.CONTENT)), "m": message}
        bodies = []
        for part in PARTS:
            begun = time.perf_counter()
            answer = client.get(f"{system.base_url}/content/hero{part}", params=query, timeout=60)
            took = (time.perf_counter() - begun) * 1_000
            bodies.append(answer.text)
            with lock:
                sent.milliseconds.append(took)
                sent.statuses[answer.status_code] += 1
                sent.empty += not answer.text
        with lock:
            # What the CDN answered for a function that was late is no answer of the function.
            if bodies[0] and bodies[2] and bodies[0] != bodies[2]:
                sent.differing += 1
                sent.late += fallback in {bodies[0], bodies[2]}

    with httpx.Client(limits=httpx.Limits(max_connections=clients)) as client, ThreadPoolExecutor(clients) as pool:
        client.get(f"{system.base_url}/content/hero", timeout=60)
        for done, _ in enumerate(pool.map(lambda profile_id: one(client, profile_id), ids), start=1):
            if done % PROGRESS == 0:
                with lock:
                    Console(stderr=True).print(f"{done} recipients, {dict(sent.statuses)}")
    sent.milliseconds.sort()
    sent.decisions = _decisions(system)
    return sent


def _decisions(system: System) -> tuple[int, int]:
    messages = decisions = 0
    pages = system.client("dynamodb").get_paginator("scan").paginate(TableName=system.outputs["DecisionsTable"])
    for item in (item for page in pages for item in page["Items"]):
        messages += 1
        decisions += len(decision_table.decisions(item))
    return decisions, messages


def main() -> int:
    """Send, and show what came of it; 1 if a mail would have met an error."""
    parser = argparse.ArgumentParser(description="Simulate a send on a local system.")
    parser.add_argument("--recipients", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    given = parser.parse_args()
    console, begun = Console(), time.perf_counter()
    sent = send(given.recipients, clients=given.clients)
    console.print(
        f"{len(sent.milliseconds)} fetches for {sent.recipients} recipients in {time.perf_counter() - begun:.0f} s, "
        f"statuses {dict(sent.statuses)}, {sent.empty} answered by the CDN, {sent.differing} saw two things, "
        f"of these {sent.late} the fallback once, for the time was over; "
        f"{sent.decisions[0]} decisions of {sent.decisions[1]} messages"
    )
    shares = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (1.0, "max"))
    console.print("  ".join(f"{name} {sent.at(share):.0f} ms" for share, name in shares))
    console.print("\n".join(sent.histogram()))
    return 0 if set(sent.statuses) == {200} else 1


if __name__ == "__main__":
    sys.exit(main())
