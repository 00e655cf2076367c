"""Reading tokens with the keys of the tokens secret, including keys added a moment ago."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from mailtailor.aws.secrets import Secret
from mailtailor.tracking.tokens import Keyring, UnknownKey

T = TypeVar("T")


class TokenKeys:
    """The keyring as it stands in Secrets Manager.

    Parameters
    ----------
    secret
        The tokens secret; read at the first token, not before.
    """

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._known: tuple[Mapping[str, str], Keyring] | None = None

    def read(self, reader: Callable[[Keyring], T]) -> T:
        """Return `reader(keyring)`; a key that we lack is looked up once more, for it may be newer than our copy.

        Raises
        ------
        BadToken
            As `reader` does.
        """
        try:
            return reader(self._keyring(self._secret.value()))
        except UnknownKey:
            return reader(self._keyring(self._secret.fresh()))

    def _keyring(self, secret: Mapping[str, str]) -> Keyring:
        # Checking all keys anew takes as long as reading a token; the secret stays the same object until it is read.
        if self._known is None or self._known[0] is not secret:
            self._known = (secret, Keyring.from_secret(secret))
        return self._known[1]
