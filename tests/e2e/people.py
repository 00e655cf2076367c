"""Recipients of the end-to-end tests: each new to the system, with tokens as an ESP would hold them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from infra.local.system import System
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.instant import Instant, to_iso
from mailtailor.profiles.identity import IdentityKind, Pseudonymizer
from mailtailor.segments.engine import Engine
from mailtailor.tracking.tokens import (
    Keyring,
    LinkToken,
    MailingToken,
    Purpose,
    RecipientToken,
    sign_link,
    sign_mailing,
    sign_recipient,
)
from tests.demonstration import engine

T = TypeVar("T")

BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)
"""What a person's browser says of itself; hits of HTTP libraries and headless browsers do not count."""
PATIENCE = 30
"""Seconds that asynchronous work may take here before a test gives up; it takes about one."""


def until(probe: Callable[[], T], *, accept: Callable[[T], Any] = bool, seconds: float = PATIENCE) -> T:
    """Return the first value of `probe` that is accepted."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if accept(value):
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s it was still {value!r}")
        time.sleep(0.1)


def secret(system: System, output: str) -> dict[str, str]:
    """Return a secret of the system."""
    client = system.client("secretsmanager")
    value: dict[str, str] = json.loads(client.get_secret_value(SecretId=system.outputs[output])["SecretString"])
    return value


def keyring(system: System) -> Keyring:
    """Return the keys that sign tokens."""
    return Keyring.from_secret(secret(system, "TokensSecretId"))


@dataclass
class Recipient:
    """Somebody who gets mail.

    Parameters
    ----------
    system
        The system.
    consent
        What they allowed.
    patient
        Whether calls that are answered with 503 are sent again, as SDKs do.
    """

    system: System
    consent: dict[str, bool] = field(default_factory=lambda: {"tracking": True, "personalization": True})
    user_id: str = field(default_factory=lambda: f"user-{uuid.uuid4()}")
    patient: bool = False

    def __post_init__(self) -> None:
        pseudonymizer = Pseudonymizer(secret(self.system, "IdentitySecretId")["pepper"].encode())
        self.profile_id = pseudonymizer.pseudonym(IdentityKind.USER_ID, self.user_id)
        self._keyring = keyring(self.system)
        self._engine: Engine = engine()

    def introduce(self) -> Recipient:
        """Let the CRM tell who this is and what they allowed."""
        call = {
            "type": "identify",
            "traits": {"firstName": "Robin", "address": {"country": "United Kingdom", "region": "Scotland"}},
            "context": {"consent": {"categoryPreferences": self.consent}},
        }
        self.send([call])
        until(lambda: self.item() is not None)
        return self

    def track(self, event: str, *, at: Instant | None = None, **properties: Any) -> dict[str, Any]:
        """Return a track call; `at` is when it happened, now if not given."""
        timestamp = {"timestamp": to_iso(at)} if at is not None else {}
        return {"type": "track", "event": event, "properties": properties, **timestamp}

    def send(self, calls: list[dict[str, Any]]) -> None:
        """Send calls to the tracking API in one batch."""
        batch = [{"userId": self.user_id, "messageId": str(uuid.uuid4()), **call} for call in calls]
        url, key = f"{self.system.base_url}/v1/batch", (self.system.write_key, "")
        answer = until(
            lambda: httpx.post(url, json={"batch": batch}, auth=key, timeout=30),
            accept=lambda answer: answer.status_code != 503 or not self.patient,
        )
        assert answer.status_code == 200, answer.text
        assert "rejected" not in answer.json(), answer.text

    def token(self, purpose: Purpose = Purpose.TRACK) -> str:
        """Return the recipient's token, as an ESP merges it into links."""
        return sign_recipient(self._keyring, RecipientToken(self.profile_id, purpose, 0))

    def open(self, campaign: str = "spring", *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Open a mail with a browser, unless `headers` say otherwise."""
        mailing = sign_mailing(self._keyring, MailingToken(campaign))
        return self._get(f"/o/{mailing}/{self.token()}.gif", headers)

    def click(self, *, headers: Mapping[str, str] | None = None, query: str = "", **link: Any) -> httpx.Response:
        """Click a link of a mail with a browser, unless `headers` say otherwise."""
        described = {"url": "https://shop.example/", "campaign": "spring", "position": 1, "sent_at": 0, **link}
        token = sign_link(self._keyring, LinkToken(**described))
        return self._get(f"/c/{token}/{self.token()}{query}", headers)

    def _get(self, path: str, headers: Mapping[str, str] | None) -> httpx.Response:
        return httpx.get(
            f"{self.system.base_url}{path}", headers={"user-agent": BROWSER, **(headers or {})}, timeout=30
        )

    def content(self, block: str = "hero") -> dict[str, Any]:
        """Fetch a block as the ESP does when it sends; the first function to start may be late for the CDN."""
        url, parameters = f"{self.system.base_url}/content/{block}.json", {"r": self.token(Purpose.CONTENT)}
        answer = until(
            lambda: httpx.get(url, params=parameters, timeout=30), accept=lambda answer: answer.text not in {"", "{}"}
        )
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    def item(self) -> dict[str, Any] | None:
        """Return the stored item."""
        item: dict[str, Any] | None = (
            self.system.client("dynamodb")
            .get_item(
                TableName=self.system.outputs["ProfilesTable"], Key={"id": {"S": self.profile_id}}, ConsistentRead=True
            )
            .get("Item")
        )
        return item

    def segments(self) -> set[str]:
        """Return the segments that the recipient is in now, by the system's clock."""
        table = ProfileTable(client=self.system.client("dynamodb"), table=self.system.outputs["ProfilesTable"])
        profile = table.read(self.profile_id)
        return set(self._engine.memberships(profile, self.system.now())) if profile else set()
