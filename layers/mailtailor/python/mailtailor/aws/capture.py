"""What the pixel and the redirect work with: the token keys, the events queue and a clock.

Both are on a recipient's path, where no failure may be felt: time-outs are short, and an event that cannot be queued
is logged for replay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from mailtailor.aws import clients
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.observability import count, logger
from mailtailor.aws.queues import Queue
from mailtailor.aws.secrets import Secret
from mailtailor.aws.settings import from_environment
from mailtailor.aws.token_keys import TokenKeys
from mailtailor.events import envelope


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of a capturing function."""

    events_queue_url: str
    tokens_secret_id: str


@dataclass(frozen=True, slots=True)
class Capture:
    """What a capturing function works with."""

    keys: TokenKeys
    events: Queue
    clock: Clock
    new_id: Callable[[], str]

    def queue(self, event: str) -> None:
        """Send `event`, given as JSON, to the events queue; if that fails, log it and count the loss. Never raises.

        The event holds no personal data but a pseudonym, so it may be logged whole.
        """
        try:
            for message in envelope.pack([event]):
                self.events.send(message)
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
    )
