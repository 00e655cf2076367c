"""Secrets Manager, read lazily and cached, so that a rotated secret reaches a warm function."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mailtailor.aws.observability import count, logger
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
    beside
        Runs what nobody waits for. With it, an old value serves while it is read again.
    """

    def __init__(
        self,
        *,
        client: SecretsManagerClient,
        secret_id: str,
        clock: Clock,
        beside: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._client = client
        self._id = secret_id
        self._clock = clock
        self._beside = beside
        self._value: dict[str, str] | None = None
        self._read_at: Instant = 0

    def value(self, *, max_age: int = MAX_AGE) -> dict[str, str]:
        """Return the secret, read again when it is older than `max_age` milliseconds.

        If it cannot be read again, the old value serves: a rotation must not depend on Secrets Manager being up.
        `SecretsUnreadable` counts it.
        """
        now = self._clock()
        if self._value is None:
            self._value = self._read()
            self._read_at = now
        elif now - self._read_at >= max_age:
            self._read_at = now
            if self._beside is None or max_age < MAX_AGE:
                self._read_again()
            else:
                self._beside(self._read_again)
        return self._value

    def _read_again(self) -> None:
        try:
            self._value = self._read()
        except Exception:  # noqa: BLE001 - whatever it is, the old value serves
            logger.warning("A secret could not be read again; the copy from before serves.", exc_info=True)
            count("SecretsUnreadable")

    def _read(self) -> dict[str, str]:
        value: dict[str, str] = json.loads(self._client.get_secret_value(SecretId=self._id)["SecretString"])
        return value

    def fresh(self) -> dict[str, str]:
        """Return the secret, read again unless it was just read: for a key id that we do not know yet."""
        return self.value(max_age=MIN_AGE)
