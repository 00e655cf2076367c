"""Errors a person can act on: one clear sentence and a hint."""

from __future__ import annotations


class MailtailorError(Exception):
    """Something the caller can mend.

    Parameters
    ----------
    message
        One sentence that says what is wrong, without personal data.
    hint
        What to do about it; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class BadInput(MailtailorError):
    """Untrusted input that cannot be used; nothing was changed."""


class Unauthorized(MailtailorError):
    """A key, token or signature is missing or wrong; nothing was changed."""


class NotFound(MailtailorError):
    """The thing named does not exist."""


class Conflict(MailtailorError):
    """Somebody else changed what was to be changed; nothing was changed by this."""


class TooLarge(MailtailorError):
    """Input beyond a documented limit; nothing was changed."""


class Unavailable(MailtailorError):
    """Something we depend on does not answer or is not set up; the same request may succeed later."""
