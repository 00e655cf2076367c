"""Secrets Manager, read lazily and cached, so that a rotated secret reaches a warm function."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from mailtailor.instant import MINUTE, Instant

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from mailtailor.aws.clock import Clock

MAX_AGE: Final = 5 * MINUTE
MIN_AGE: Final = MINUTE // 6


class Secret:
    """A secret whose value is a flat JSON object of strings.

    Parameters
    ----------
    client
        Secrets Manager.
    secret_id
        Name or ARN.
    clock
        Decides when the cached value is old.
    """

    def __init__(self, *, client: SecretsManagerClient, secret_id: str, clock: Clock) -> None:
        self._client = client
        self._id = secret_id
        self._clock = clock
        self._value: dict[str, str] | None = None
        self._read_at: Instant = 0

    def value(self, *, max_age: int = MAX_AGE) -> dict[str, str]:
        """Return the secret, read again when it is older than `max_age` milliseconds.

        If it cannot be read again, the old value serves: a rotation must not depend on Secrets Manager being up.
        """
        now = self._clock()
        if self._value is None or now - self._read_at >= max_age:
            try:
                self._value = json.loads(self._client.get_secret_value(SecretId=self._id)["SecretString"])
            except Exception:
                if self._value is None:
                    raise
            self._read_at = now
        return self._value

    def fresh(self) -> dict[str, str]:
        """Return the secret, read again unless it was just read: for a key id that we do not know yet."""
        return self.value(max_age=MIN_AGE)
