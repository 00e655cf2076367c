"""Pseudonyms: an outside key (CRM id, e-mail address, anonymous id) becomes an id that tells nobody who it is.

A profile's id is the pseudonym of its strongest identity at first sight, so that two functions that see a person
first at the same time agree without a lookup. Raw keys do not travel beyond the functions that receive them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from enum import StrEnum
from typing import Final

_HEX_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")


class IdentityKind(StrEnum):
    """Kinds of outside keys, strongest first."""

    USER_ID = "user_id"
    """The CRM's or shop's own id of a known person."""
    EMAIL = "email"
    """An e-mail address, or its hash."""
    ANONYMOUS_ID = "anonymous_id"
    """A device or browser of a person not yet known."""


class Pseudonymizer:
    """Makes pseudonyms that cannot be reversed or guessed without the pepper.

    Parameters
    ----------
    pepper
        The deployment's secret. Another pepper makes strangers of all profiles.
    """

    def __init__(self, pepper: bytes) -> None:
        if not pepper:
            raise ValueError("the pepper is empty")
        self._pepper = pepper

    def pseudonym(self, kind: IdentityKind, value: str) -> str:
        """Return the 22 URL-safe characters that stand for an outside key: 128 bits of HMAC-SHA256.

        Parameters
        ----------
        kind
            What the key is; the same text as another kind is another person.
        value
            The key. An e-mail address and the hex of its SHA-256 give the same pseudonym.

        Raises
        ------
        ValueError
            If the key is blank or no clean text.
        """
        normalized = _normalized(kind, value)
        mac = hmac.digest(self._pepper, f"{kind}\0{normalized}".encode(), "sha256")
        return base64.urlsafe_b64encode(mac[:16])[:22].decode()


def is_email_key(value: str) -> bool:
    """Return whether `value` is an e-mail address, as far as its form tells, or the hex of one's SHA-256."""
    name, at, domain = value.strip().rpartition("@")
    if at:
        return bool(name and domain) and not any(map(str.isspace, f"{name}{domain}"))
    return _HEX_DIGEST.fullmatch(value.strip()) is not None


def _normalized(kind: IdentityKind, value: str) -> str:
    text = value.strip()
    if not text:
        raise ValueError("the identity is blank")
    if kind is not IdentityKind.EMAIL:
        return text
    if _HEX_DIGEST.fullmatch(text):
        return text.lower()
    return hashlib.sha256(text.lower().encode()).hexdigest()
