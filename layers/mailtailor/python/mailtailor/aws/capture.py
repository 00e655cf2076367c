"""What the pixel and the redirect work with: the token keys, the events queue and a clock.

Both are on a recipient's path, where no failure may be felt: time-outs are short, and an event that cannot be queued
is logged for replay.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from mailtailor.aws import clients, http
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.observability import count, logger
from mailtailor.aws.queues import Queue
from mailtailor.aws.secrets import Secret
from mailtailor.aws.settings import from_environment
from mailtailor.aws.token_keys import TokenKeys
from mailtailor.events import envelope
from mailtailor.events.capture import Facts
from mailtailor.tracking.networks import network
from mailtailor.tracking.tokens import NONCE_BYTES

PREFETCH_HEADERS: Final = ("sec-purpose", "purpose", "x-purpose", "x-moz")
"""By which browsers say that nobody has asked for this yet (WHATWG Fetch, `Sec-Purpose`; the others are older)."""
PREFETCH: Final = ("prefetch", "preview", "prerender")


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of a capturing function."""

    events_queue_url: str
    tokens_secret_id: str
    forwarded_parameters: str = ""
    stitching: str = "off"


@dataclass(frozen=True, slots=True)
class Capture:
    """What a capturing function works with.

    Parameters
    ----------
    keys, events, clock, new_id
        The token keys, the events queue, the time and the ids of events.
    forwarded
        Names of the click's parameters that are passed on to the destination.
    stitching
        Whether a click tells the shop's page, by a token that works once, whose click it was.
    new_nonce
        Makes the random part of that token.
    """

    keys: TokenKeys
    events: Queue
    clock: Clock
    new_id: Callable[[], str]
    forwarded: tuple[str, ...] = ()
    stitching: bool = False
    new_nonce: Callable[[], bytes] = lambda: os.urandom(NONCE_BYTES)

    def queue(self, event: str) -> None:
        """Send `event`, given as JSON, to the events queue; if that fails, log it and count the loss. Never raises.

        The event holds no personal data but a pseudonym, so it may be logged whole.
        """
        try:
            self.events.send(envelope.message(event))
        except Exception:  # noqa: BLE001 - whatever it is, the recipient must not notice
            logger.exception("The event was not queued; replay it from this line.", extra={"event": event})
            count("EventsNotQueued")


def connect() -> Capture:
    """Return the dependencies that the environment names; nothing is read yet."""
    settings, clock = from_environment(Settings), clock_from_environment()
    secrets = clients.secrets_manager(timeout=1, attempts=2)
    return Capture(
        keys=TokenKeys(Secret(client=secrets, secret_id=settings.tokens_secret_id, clock=clock)),
        events=Queue(client=clients.sqs(timeout=1, attempts=2), url=settings.events_queue_url),
        clock=clock,
        new_id=lambda: str(uuid4()),
        forwarded=tuple(name for one in settings.forwarded_parameters.split(",") if (name := one.strip())),
        stitching=settings.stitching == "on",
    )


def facts(request: http.Request) -> Facts:
    """Return what `request` tells of who made it; of the address only the known network that it belongs to."""
    headers = request.headers
    return Facts(
        # That a request has none is a fact, which reports of an ESP cannot give; access logs write it so, too.
        user_agent=headers.get("user-agent", "").strip() or "-",
        head=request.method == "HEAD",
        prefetch=any(
            word in headers[name].lower() for name in PREFETCH_HEADERS if name in headers for word in PREFETCH
        ),
        network=network(request.viewer),
    )


def opted_out(request: http.Request) -> bool:
    """Return whether the browser asks not to be tracked (W3C, "Global Privacy Control", `Sec-GPC: 1`)."""
    return request.headers.get("sec-gpc", "").strip() == "1"
