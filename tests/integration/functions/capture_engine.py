"""The queue, secret and keys that the pixel and the redirect work with, on moto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moto import mock_aws

from mailtailor.aws import clients
from mailtailor.aws.capture import Capture
from mailtailor.aws.queues import Queue
from mailtailor.aws.secrets import Secret
from mailtailor.aws.token_keys import TokenKeys
from mailtailor.events import envelope
from mailtailor.events.event import Event
from mailtailor.tracking.tokens import Keyring, Purpose, RecipientToken, sign_recipient

if TYPE_CHECKING:
    import pytest
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

NOW: Final = 1_800_000_000_000
SECRET: Final = {
    "active": "k1",
    "k1": "the first secret key of these tests",
    "k0": "an older secret key of these tests",
}
KEYRING: Final = Keyring.from_secret(SECRET)
NEWER: Final = Keyring.from_secret({**SECRET, "active": "k2", "k2": "a newer secret key of these tests"})
RETIRED: Final = Keyring.from_secret({**SECRET, "active": "k0"})
FOREIGN: Final = Keyring.from_secret({"active": "k1", "k1": "somebody else's key, and as long as ours"})
PROFILE: Final = "AAECAwQFBgcICQoLDA0ODw"


def recipient(keyring: Keyring = KEYRING, purpose: Purpose = Purpose.TRACK) -> str:
    """Return a recipient token."""
    return sign_recipient(keyring, RecipientToken(PROFILE, purpose))


@dataclass
class Engine:
    """What a test holds of the outside world."""

    capture: Capture
    sqs: SQSClient
    secrets: SecretsManagerClient
    url: str
    now: list[int]

    def queued(self) -> list[Event]:
        """Take everything from the queue."""
        events: list[Event] = []
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                events += map(Event.model_validate, envelope.unpack(message["Body"], _none_stored))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return events


def _none_stored(key: str) -> str:
    raise ValueError(f"{key} is not stored: captured events are small")


@contextmanager
def engine(patch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Run an engine; the environment is that of a deployed function."""
    clients._session.cache_clear()
    with mock_aws():
        sqs, secrets = clients.sqs(), clients.secrets_manager()
        url = sqs.create_queue(QueueName="events")["QueueUrl"]
        secrets.create_secret(Name="tokens", SecretString=json.dumps(SECRET))
        patch.setenv("EVENTS_QUEUE_URL", url)
        patch.setenv("TOKENS_SECRET_ID", "tokens")
        now, ids = [NOW], iter(range(1_000_000))
        capture = Capture(
            keys=TokenKeys(Secret(client=secrets, secret_id="tokens", clock=lambda: now[0])),
            events=Queue(client=sqs, url=url),
            clock=lambda: now[0],
            new_id=lambda: f"event-{next(ids)}",
        )
        yield Engine(capture, sqs, secrets, url, now)
    clients._session.cache_clear()
