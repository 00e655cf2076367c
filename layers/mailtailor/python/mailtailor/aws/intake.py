"""What the functions that take events from outside share: secrets, clock, and the queue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws import clients
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.event_queue import EventQueue, LargeEvents
from mailtailor.aws.observability import logger
from mailtailor.aws.parked_items import ParkedItems
from mailtailor.aws.queues import Queue, SendFailed
from mailtailor.aws.secrets import Secret
from mailtailor.aws.settings import from_environment
from mailtailor.errors import Unavailable
from mailtailor.events.event import Event
from mailtailor.events.parked import Parked
from mailtailor.profiles.identity import Pseudonymizer


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of such a function."""

    events_queue_url: str
    intake_bucket: str
    identity_secret_id: str
    ingest_secret_id: str


@dataclass(frozen=True, slots=True)
class Intake:
    """What such a function works with.

    Parameters
    ----------
    events
        The queue of events.
    parked
        Where items wait that could not be used.
    identity, ingest
        The secrets that hold the pepper, and the keys of senders.
    clock
        Says when something was received.
    """

    events: EventQueue
    parked: ParkedItems
    identity: Secret
    ingest: Secret
    clock: Clock

    def pseudonymizer(self) -> Pseudonymizer:
        """Return the pseudonymizer of this deployment."""
        return Pseudonymizer(_read(self.identity)["pepper"].encode())

    def keys(self, name: str) -> list[str]:
        """Return the keys that the ingest secret holds under `name`, parted by blanks; none if there are none.

        Several may be good at once, because a sender goes on with the old one for a while after a rotation.
        """
        return _read(self.ingest).get(name, "").split()

    def fresh_keys(self, name: str) -> list[str]:
        """Return the keys as of `keys`, read again: one that we do not know may be newer than our copy."""
        _read(self.ingest, fresh=True)
        return self.keys(name)

    def send(self, events: Iterable[Event]) -> None:
        """Queue `events`.

        Raises
        ------
        Unavailable
            If the queue did not take all of them; sending them again does no harm.
        """
        try:
            self.events.send(events)
        except (BotoCoreError, ClientError, SendFailed) as error:
            logger.error("Events could not be queued.", extra={"error": type(error).__name__})
            raise Unavailable("The events could not be queued.", "Send them again; doubles do no harm.") from error

    def park(self, parked: Parked) -> None:
        """Keep items that could not be used for a later try.

        Raises
        ------
        Unavailable
            If they could not be kept; the sender's next try repeats the events that were queued, which does no harm.
        """
        try:
            self.parked.park(parked)
        except (BotoCoreError, ClientError) as error:
            logger.error("Items could not be parked.", extra={"error": type(error).__name__})
            raise Unavailable("The events could not be kept.", "Send them again; doubles do no harm.") from error


def _read(secret: Secret, *, fresh: bool = False) -> dict[str, str]:
    try:
        return secret.fresh() if fresh else secret.value()
    except (BotoCoreError, ClientError) as error:
        logger.error("A secret could not be read.", extra={"error": type(error).__name__})
        raise Unavailable("The keys could not be read.", "Send the request again.") from error


def connect() -> Intake:
    """Compose the intake from the environment; short time-outs, for senders wait for few seconds only."""
    settings = from_environment(Settings)
    clock = clock_from_environment()
    secrets, s3 = clients.secrets_manager(), clients.s3(timeout=1.5, attempts=2)
    return Intake(
        events=EventQueue(
            Queue(client=clients.sqs(timeout=1, attempts=2), url=settings.events_queue_url),
            LargeEvents(s3, settings.intake_bucket),
        ),
        parked=ParkedItems(s3, settings.intake_bucket),
        identity=Secret(client=secrets, secret_id=settings.identity_secret_id, clock=clock),
        ingest=Secret(client=secrets, secret_id=settings.ingest_secret_id, clock=clock),
        clock=clock,
    )
