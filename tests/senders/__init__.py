"""Senders of webhooks, as far as tests and benchmarks play them: sample payloads, and how each signs.

One module a source, named as it is. The samples in `tests/events` have the form that the vendor publishes; people,
addresses and keys in them are invented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from mailtailor.errors import Unavailable
from mailtailor.events.sources.registry import NAMES, webhook_source
from mailtailor.events.sources.webhook import Delivery, Received, Reply, receive
from mailtailor.instant import Instant
from mailtailor.profiles.identity import Pseudonymizer

NOW = 1_800_000_000_000
PSEUDONYMIZER = Pseudonymizer(b"a pepper of the tests")
EVENTS = Path(__file__).parents[1] / "events"


@dataclass(frozen=True)
class Sample:
    """A delivery in the form that the vendor publishes.

    Parameters
    ----------
    file
        Its body, in `tests/events`.
    events
        The types of the events that it becomes, in order.
    headers, query
        What comes with it besides the signature.
    """

    file: str
    events: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The body as it is sent."""
        return (EVENTS / self.file).read_bytes()


@dataclass(frozen=True)
class Sender:
    """One kind of sender.

    Parameters
    ----------
    name
        Of the source.
    secrets
        Entries of the ingest secret by which it is known.
    sign
        Returns the delivery of a body with its other headers and query, signed at an instant.
    samples
        What it sends.
    personal
        Texts in the samples that name or reach a person, and must be in no event.
    goes_stale
        Whether its signature says when it was made.
    servers
        What other servers answer, by address.
    """

    name: str
    secrets: tuple[str, ...]
    sign: Callable[[bytes, Mapping[str, str], Mapping[str, str], Instant], Delivery]
    samples: tuple[Sample, ...]
    personal: tuple[str, ...] = ()
    goes_stale: bool = False
    servers: Mapping[str, bytes] = field(default_factory=dict)

    def delivery(self, sample: Sample, *, body: bytes | None = None, at: Instant = NOW) -> Delivery:
        """Return a sample's delivery, or the same with another body, signed."""
        return self.sign(sample.body if body is None else body, sample.headers, sample.query, at)


@dataclass
class Servers:
    """Other servers: each answers what it is told to, and all that is asked is noted."""

    answers: Mapping[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    posted: list[tuple[str, Mapping[str, Any], str]] = field(default_factory=list)

    def get(self, url: str) -> bytes:
        """Answer, or not."""
        self.asked.append(url)
        if url not in self.answers:
            raise Unavailable(f"{url} does not answer.")
        return self.answers[url]

    def kept(self, url: str) -> bytes:
        """Answer, or not."""
        return self.get(url)

    def post(self, url: str, payload: Mapping[str, Any], *, bearer: str = "") -> bytes:
        """Note and answer, or not."""
        self.posted.append((url, payload, bearer))
        if url not in self.answers:
            raise Unavailable(f"{url} does not answer.")
        return self.answers[url]


def sender(name: str) -> Sender:
    """Return the sender of that name."""
    found: Sender = import_module(f"tests.senders.{name}").SENDER
    return found


def senders() -> list[Sender]:
    """Return all senders."""
    return [sender(name) for name in NAMES]


def take(
    delivery: Delivery, name: str, *, secrets: tuple[str, ...] | None = None, servers: Servers | None = None
) -> Received | Reply:
    """Take a delivery as the function does: a handshake's answer, or what became of its items."""
    playing, source = sender(name), webhook_source(name)
    known = playing.secrets if secrets is None else secrets
    outside = servers or Servers(playing.servers)
    handshake = source.handshake(delivery, known, outside)
    if handshake is not None:
        return handshake
    source.verify(delivery, known, outside)
    return receive(source, delivery, PSEUDONYMIZER)


def taken(delivery: Delivery, name: str, **given: Any) -> Received:
    """Take a delivery that is no handshake."""
    received = take(delivery, name, **given)
    assert isinstance(received, Received)
    return received
