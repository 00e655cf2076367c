"""Reading tokens with the keys of the tokens secret, including keys added a moment ago."""

from __future__ import annotations

from collections.abc import Callable
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

    def read(self, reader: Callable[[Keyring], T]) -> T:
        """Return `reader(keyring)`; a key that we lack is looked up once more, for it may be newer than our copy.

        Raises
        ------
        BadToken
            As `reader` does.
        """
        try:
            return reader(Keyring.from_secret(self._secret.value()))
        except UnknownKey:
            return reader(Keyring.from_secret(self._secret.fresh()))
