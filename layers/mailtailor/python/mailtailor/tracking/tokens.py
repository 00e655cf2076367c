"""Signed tokens: what a link or pixel says about itself, and whom it was sent to.

A token is unpadded base64url of

    version (1 byte) | length of the key id (1) | key id | payload | tag (16)

The tag is HMAC-SHA256 of all before it, truncated to 128 bits: a forger has no offline test and needs about 2^127
requests, and a click URL stays 22 characters shorter than with the whole digest. Each kind of token, and each purpose
of a recipient token, has a key of its own derived from the signing key, so none is accepted for another. Payloads
are not encrypted: they hold what the mail itself shows, and a pseudonym. Only a stitch token hides its profile, for
it is shown to the shop's page and all scripts in it.

No dependency but the standard library, for this is on the path of every open and click.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from mailtailor.errors import BadInput, MailtailorError, Unauthorized
from mailtailor.instant import MINUTE, Instant
from mailtailor.tracking.destination import BadDestination, check_destination

VERSION: Final = 1
TAG_BYTES: Final = 16
MAX_TOKEN_CHARACTERS: Final = 4_096
"""Longer ones are refused unread. Leaves a link about 2,900 bytes of URL, campaign, product and category."""
MIN_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
STITCH_LIFETIME: Final = 10 * MINUTE

_KEY_ID: Final = re.compile(r"(?!active$)[A-Za-z0-9_-]{1,16}")
_CAMPAIGN: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,100}")
_INSTANCE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PROFILE_ID: Final = re.compile(r"[A-Za-z0-9_-]{22}")
_PROFILE_BYTES: Final = 16


class BadToken(Unauthorized):
    """A token that is not to be believed.

    Parameters
    ----------
    reason
        One short word for metrics: `length`, `encoding`, `version`, `key`, `signature`, `payload` or `expired`.
    message
        The sentence for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnknownKey(BadToken):
    """The token names a key that the keyring lacks: forged, foreign, or newer than our copy of the keyring."""

    def __init__(self) -> None:
        super().__init__("key", "The token was signed with an unknown key.")


class Purpose(StrEnum):
    """What a recipient token may be used for."""

    TRACK = "track"
    """Recording opens and clicks."""
    CONTENT = "content"
    """Fetching personal content."""
    MANAGE = "manage"
    """Changing preferences and consent."""


@dataclass(frozen=True, slots=True)
class LinkToken:
    """What a link says: where it leads and what it stood for.

    Attributes
    ----------
    url
        The destination, exactly as signed; may have slots (`destination.SLOT`).
    campaign
        The mailing.
    position
        The link's number in the mail, from 1; 0 is the honeypot, which no person sees.
    sent_at
        When the mail was instrumented.
    product_id, category
        What the link shows; empty if it names none.
    instance
        The send of a repeated mailing, merged in by the ESP and therefore unsigned; empty if none.
    """

    url: str
    campaign: str
    position: int
    sent_at: Instant
    product_id: str = ""
    category: str = ""
    instance: str = ""


@dataclass(frozen=True, slots=True)
class MailingToken:
    """What a pixel says: which mailing, and which send of it (`instance`, unsigned, may be empty)."""

    campaign: str
    instance: str = ""


@dataclass(frozen=True, slots=True)
class RecipientToken:
    """Whom a mail was sent to: a pseudonym, for one purpose.

    Attributes
    ----------
    profile_id
        22 characters, base64url of 16 bytes.
    purpose
        The only use the token is accepted for.
    epoch
        The profile's revocation counter when the token was made; readers of content and preferences refuse older ones.
    """

    profile_id: str
    purpose: Purpose
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class StitchToken:
    """Whose click led to a page: lets the browser there be the recipient's, once and for ten minutes.

    Attributes
    ----------
    profile_id
        The recipient. The token hides it: two tokens of one person have nothing in common.
    issued_at
        When the click happened.
    nonce
        12 random bytes that no other token has.
    """

    profile_id: str
    issued_at: Instant
    nonce: bytes

    @property
    def expires_at(self) -> Instant:
        """The last instant at which the token is accepted."""
        return self.issued_at + STITCH_LIFETIME


@dataclass(frozen=True, slots=True, repr=False)
class Keyring:
    """The keys that verify, and the one that signs.

    Parameters
    ----------
    active
        Id of the signing key.
    keys
        Every key by its id, at least 32 bytes each; those no longer active still verify, so that sent mails keep
        working.

    Raises
    ------
    MailtailorError
        If the active key is missing, or an id or key has the wrong form.
    """

    active: str
    keys: Mapping[str, bytes]

    def __post_init__(self) -> None:
        if self.active not in self.keys:
            raise MailtailorError("The token keys name no active key.", "Run `mailtailor tokens rotate`.")
        for key_id, key in self.keys.items():
            if not _KEY_ID.fullmatch(key_id) or len(key) < MIN_KEY_BYTES:
                raise MailtailorError(
                    "A token key has the wrong form.",
                    f"Ids are 1 to 16 of A-Z a-z 0-9 _ -, keys at least {MIN_KEY_BYTES} bytes.",
                )

    @classmethod
    def from_secret(cls, secret: Mapping[str, str]) -> Keyring:
        """Return the keyring of the tokens secret: `{"active": "k1", "k1": "...", "k0": "..."}`."""
        keys = {name: key.encode() for name, key in secret.items() if name != "active"}
        return cls(active=secret.get("active", ""), keys=keys)


def sign_link(keyring: Keyring, link: LinkToken) -> str:
    """Return the token of `link`.

    Raises
    ------
    BadDestination
        If the URL is not allowed, or too long together with the link's other fields.
    BadInput
        If another field has the wrong form.
    """
    check_destination(link.url)
    _check_campaign(link.campaign)
    payload = (
        _varint(link.sent_at)
        + _varint(link.position)
        + b"".join(_prefixed(text) for text in (link.campaign, link.product_id, link.category))
        + link.url.encode()
    )
    token = _sign(keyring, b"link", payload)
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise BadDestination(
            f"The link's token would be {len(token):,} characters long.",
            f"At most {MAX_TOKEN_CHARACTERS:,} are allowed; shorten the destination.",
        )
    return _with_instance(token, link.instance)


def read_link(keyring: Keyring, token: str) -> LinkToken:
    """Return what `token` says.

    Raises
    ------
    UnknownKey
        If its key is not in `keyring`.
    BadToken
        If it is anything but an unchanged link token.
    """
    signed, instance = _split_instance(token)
    reader = _Reader(_verified(keyring, b"link", signed))
    sent_at, position = reader.varint(), reader.varint()
    campaign, product_id, category = reader.text(), reader.text(), reader.text()
    return LinkToken(reader.rest(), campaign, position, sent_at, product_id, category, instance)


def sign_mailing(keyring: Keyring, mailing: MailingToken) -> str:
    """Return the token of `mailing`; raise `BadInput` if the campaign or instance has the wrong form."""
    _check_campaign(mailing.campaign)
    return _with_instance(_sign(keyring, b"mailing", mailing.campaign.encode()), mailing.instance)


def read_mailing(keyring: Keyring, token: str) -> MailingToken:
    """Return what `token` says; raise `UnknownKey` or `BadToken` as `read_link` does.

    An instance of the wrong form, such as a merge tag that was never filled in, counts as none: it is unsigned
    anyhow, and the open is real.
    """
    signed, instance = _split_instance(token)
    return MailingToken(_Reader(_verified(keyring, b"mailing", signed)).rest(), instance)


def sign_recipient(keyring: Keyring, recipient: RecipientToken) -> str:
    """Return the token of `recipient`; raise `BadInput` if the profile id has the wrong form."""
    payload = _profile_bytes(recipient.profile_id) + _varint(recipient.epoch)
    return _sign(keyring, b"recipient:" + recipient.purpose.value.encode(), payload)


def read_recipient(keyring: Keyring, token: str, purpose: Purpose) -> RecipientToken:
    """Return what `token` says, if it was made for `purpose`; raise `UnknownKey` or `BadToken` as `read_link` does."""
    payload = _verified(keyring, b"recipient:" + purpose.value.encode(), token)
    if len(payload) <= _PROFILE_BYTES:
        raise BadToken("payload", "The token names no profile.")
    epoch = _Reader(payload[_PROFILE_BYTES:]).varint()
    return RecipientToken(_base64url(payload[:_PROFILE_BYTES]), purpose, epoch)


def sign_stitch(keyring: Keyring, stitch: StitchToken) -> str:
    """Return the token of `stitch`; raise `BadInput` if the profile id or the nonce has the wrong form."""
    if len(stitch.nonce) != NONCE_BYTES:
        raise BadInput(f"The nonce of a stitch token has {NONCE_BYTES} bytes.")
    hidden = _masked(keyring.keys[keyring.active], stitch.nonce, _profile_bytes(stitch.profile_id))
    return _sign(keyring, b"stitch", _varint(stitch.issued_at) + stitch.nonce + hidden)


def read_stitch(keyring: Keyring, token: str, *, now: Instant) -> StitchToken:
    """Return what `token` says; raise `UnknownKey` or `BadToken` as `read_link` does, and if it has expired."""
    payload, key = _opened(keyring, b"stitch", token)
    reader = _Reader(payload)
    issued_at, nonce, hidden = reader.varint(), reader.raw(NONCE_BYTES), reader.raw(_PROFILE_BYTES)
    stitch = StitchToken(_base64url(_masked(key, nonce, hidden)), issued_at, nonce)
    if now > stitch.expires_at:
        raise BadToken("expired", "The token has expired.")
    return stitch


def _masked(key: bytes, nonce: bytes, profile: bytes) -> bytes:
    """Return a profile's bytes hidden, or what was hidden as it was: the XOR with a pad that `nonce` alone has."""
    pad = hmac.digest(_subkey(key, b"stitch pad"), nonce, "sha256")
    return bytes(one ^ other for one, other in zip(profile, pad[:_PROFILE_BYTES], strict=True))


def _sign(keyring: Keyring, context: bytes, payload: bytes) -> str:
    key_id = keyring.active.encode()
    signed = bytes((VERSION, len(key_id))) + key_id + payload
    return _base64url(signed + _tag(keyring.keys[keyring.active], context, signed))


def _verified(keyring: Keyring, context: bytes, token: str) -> bytes:
    """Return the payload of a token whose signature is right for `context`."""
    return _opened(keyring, context, token)[0]


def _opened(keyring: Keyring, context: bytes, token: str) -> tuple[bytes, bytes]:
    """Return the payload of such a token, and the key that signed it."""
    data = _decoded(token)
    if len(data) < 2 + TAG_BYTES:
        raise BadToken("length", "The token is too short.")
    if data[0] != VERSION:
        raise BadToken("version", "The token has an unknown version.")
    signed, tag, start = data[:-TAG_BYTES], data[-TAG_BYTES:], 2 + data[1]
    if start > len(signed):
        raise BadToken("length", "The token is cut off.")
    key = keyring.keys.get(signed[2:start].decode("ascii", "replace"))
    if key is None:
        raise UnknownKey
    if not hmac.compare_digest(tag, _tag(key, context, signed)):
        raise BadToken("signature", "The token's signature is wrong.")
    return signed[start:], key


def _decoded(token: str) -> bytes:
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise BadToken("length", "The token is too long.")
    try:
        data = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise BadToken("encoding", "The token is not base64url.") from error
    # Decoders accept padding and stray last bits; only one spelling of a token is a token.
    if _base64url(data) != token:
        raise BadToken("encoding", "The token is not canonical base64url.")
    return data


def _tag(key: bytes, context: bytes, signed: bytes) -> bytes:
    return hmac.digest(_subkey(key, context), signed, "sha256")[:TAG_BYTES]


@lru_cache(maxsize=64)
def _subkey(key: bytes, context: bytes) -> bytes:
    return hmac.digest(key, b"mailtailor token v1 " + context, "sha256")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _split_instance(token: str) -> tuple[str, str]:
    signed, _, instance = token.partition("~")
    return signed, instance if _INSTANCE.fullmatch(instance) else ""


def _with_instance(token: str, instance: str) -> str:
    if not instance:
        return token
    if not _INSTANCE.fullmatch(instance):
        raise BadInput("The send instance has the wrong form.", "Use 1 to 64 of A-Z a-z 0-9 _ . -")
    return f"{token}~{instance}"


def _check_campaign(campaign: str) -> None:
    if not _CAMPAIGN.fullmatch(campaign):
        raise BadInput("The campaign id has the wrong form.", "Use 1 to 100 characters without control characters.")


def _profile_bytes(profile_id: str) -> bytes:
    if _PROFILE_ID.fullmatch(profile_id):
        data = base64.urlsafe_b64decode(f"{profile_id}==")
        if _base64url(data) == profile_id:
            return data
    raise BadInput(
        "The profile id has the wrong form.",
        "It has 22 characters; ids are in the first column of: mailtailor tokens export",
    )


def _varint(number: int) -> bytes:
    """Return an unsigned LEB128: most numbers here need one byte, instants six."""
    if number < 0:
        raise BadInput("A token holds no negative number.")
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _prefixed(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise BadInput("A product id or category is not text.") from error
    return _varint(len(data)) + data


class _Reader:
    """Reads a verified payload from its start; we wrote it, but a later version may have written more."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def varint(self) -> int:
        number = shift = 0
        while self._at < len(self._data):
            byte = self._data[self._at]
            self._at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number
        raise BadToken("payload", "The token's content is cut off.")

    def text(self) -> str:
        length = self.varint()
        start, self._at = self._at, self._at + length
        return _text(self._data[start : self._at])

    def raw(self, length: int) -> bytes:
        start, self._at = self._at, self._at + length
        if self._at > len(self._data):
            raise BadToken("payload", "The token's content is cut off.")
        return self._data[start : self._at]

    def rest(self) -> str:
        return _text(self._data[self._at :])


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadToken("payload", "The token's content is not text.") from error
