"""Requests to other servers that a webhook source must make before it believes a delivery.

Senders wait four seconds at the strictest, so each request is short, and none is repeated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import urllib3
from urllib3.exceptions import HTTPError

from mailtailor.aws.clock import Clock
from mailtailor.errors import Unavailable
from mailtailor.instant import DAY, Instant

MAX_BYTES: Final = 65_536
MAX_KEPT: Final = 32
KEPT: Final = DAY
TIMEOUT: Final = urllib3.Timeout(connect=1, read=1.5)


@dataclass(frozen=True, slots=True)
class HttpsServers:
    """Asks servers over HTTPS, certificates verified; implements `events.sources.webhook.Outside`.

    Parameters
    ----------
    clock
        Tells how long an answer has been kept.
    pool
        Keeps connections.
    """

    clock: Clock
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(cert_reqs="CERT_REQUIRED"))
    _kept: dict[str, tuple[Instant, bytes]] = field(default_factory=dict)

    def get(self, url: str) -> bytes:
        """Return what `url` answers with 200; raise `Unavailable` otherwise."""
        return self._ask("GET", url, {})

    def kept(self, url: str) -> bytes:
        """Return what `url` answered in the last day, else ask it."""
        asked_at, answer = self._kept.get(url, (-KEPT, b""))
        now = self.clock()
        if now - asked_at >= KEPT:
            answer = self.get(url)
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[url] = (now, answer)
        return answer

    def post(self, url: str, payload: Mapping[str, Any], *, bearer: str = "") -> bytes:
        """Return what `url` answers to a JSON body with 2xx; raise `Unavailable` otherwise."""
        authorization = {"authorization": f"Bearer {bearer}"} if bearer else {}
        headers = {"content-type": "application/json", **authorization}
        return self._ask("POST", url, headers, json.dumps(payload).encode())

    def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> bytes:
        if not url.startswith("https://"):
            raise Unavailable("An address that must be asked is not encrypted.")
        try:
            answer = self.pool.request(
                method,
                url,
                headers={"user-agent": "Mailtailor", **headers},
                body=body,
                redirect=False,
                retries=False,
                timeout=TIMEOUT,
                preload_content=False,
            )
            read = answer.read(MAX_BYTES + 1, decode_content=True)
            answer.release_conn()
        except HTTPError as error:
            raise Unavailable("A server that must be asked does not answer.", "Send the request again.") from error
        if not 200 <= answer.status < 300 or len(read) > MAX_BYTES:
            raise Unavailable(f"A server that must be asked answered {answer.status}.", "Send the request again.")
        return read
