"""Credentials by which an ESP's own servers show that they are what they say.

Most ESPs can send a header with a fetch, Salesforce's AMPscript cannot. The secret holds as many as are valid, by name:
to rotate one, add another, give it to the ESP, take the old one out.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mailtailor.aws.secrets import Secret

MIN_LENGTH: Final = 24
"""Characters; a shorter one might be guessed, so it opens nothing."""
_MAX_HEADER: Final = 1_024


class FetchCredentials:
    """Knows which credentials are valid.

    Parameters
    ----------
    secret
        The credentials by their names; read when the first one is to be checked.
    """

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def admit(self, header: str) -> bool:
        """Return whether an `Authorization` header holds a valid credential: `Bearer {it}` or `Basic {name}:{it}`.

        One that is not known is looked for once more, for it may be newer than our copy. The user name says nothing;
        some ESPs need one.
        """
        given = presented(header)
        if len(given) < MIN_LENGTH:
            return False
        return _is_one_of(given, self._secret.value()) or _is_one_of(given, self._secret.fresh())


def presented(header: str) -> str:
    """Return the credential in an `Authorization` header, empty if there is none in a form that we know."""
    if len(header) > _MAX_HEADER:
        return ""
    scheme, _, value = header.strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip()
        case "basic":
            try:
                decoded = base64.b64decode(value.strip(), validate=True).decode()
            except (binascii.Error, ValueError):
                return ""
            return decoded.partition(":")[2]
    return ""


def _is_one_of(given: str, valid: Mapping[str, str]) -> bool:
    # All are compared, each in the same time, whichever it is or is not.
    found, bytes_ = False, given.encode("utf-8", "surrogatepass")
    for one in valid.values():
        found |= len(one) >= MIN_LENGTH and hmac.compare_digest(bytes_, one.encode())
    return found
