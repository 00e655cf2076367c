"""How deliveries prove who sent them: each refuses what is missing, wrong or stale, and compares in constant time.

Public keys come from whoever owns the scheme (`Outside`), never from a host that the delivery names freely.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final, TypeVar

from mailtailor.errors import Unauthorized
from mailtailor.instant import MINUTE, Instant

K = TypeVar("K")

TOLERANCE: Final = 5 * MINUTE
"""How old or early a signed time may be; what Standard Webhooks, HubSpot and others prescribe."""


def as_base64(mac: bytes) -> str:
    """Return a signature as most senders write it."""
    return base64.b64encode(mac).decode()


def check_hmac(
    given: Iterable[str],
    signed: bytes,
    secrets: Sequence[str],
    *,
    written: Callable[[bytes], str] = as_base64,
    digest: str = "sha256",
) -> None:
    """Refuse unless one of the `given` signatures is the HMAC of `signed` under one of the secrets.

    Parameters
    ----------
    given
        What the delivery carries; several during a sender's rotation.
    signed
        The bytes that were signed.
    secrets
        Any may be right.
    written
        How the signature is written; `bytes.hex` for hexadecimal.
    digest
        The hash function.
    """
    expected = [written(hmac.digest(secret.encode(), signed, digest)) for secret in secrets]
    matches = [same(one, other) for one in given for other in expected]
    if not any(matches):
        raise refused()


def same(one: str, other: str) -> bool:
    """Return whether two secrets are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def check_time(said: str, now: Instant, *, unit: int, tolerance: int = TOLERANCE) -> None:
    """Refuse a signed time that is no number, or further from `now` than `tolerance`, in either direction.

    Parameters
    ----------
    said
        The time as a decimal number.
    unit
        Milliseconds that one of it stands for: 1000 for seconds, 1 for milliseconds.
    """
    if not (said.isascii() and said.isdecimal() and len(said) <= 15) or abs(int(said) * unit - now) > tolerance:
        raise Unauthorized(
            "The delivery's time is missing, or too far from now.",
            "Check both clocks; the sender signs anew on a retry.",
        )


def check_secret(given: str, secrets: Sequence[str]) -> None:
    """Refuse unless `given`, a password or key sent along, is one of the secrets."""
    matches = [same(given, secret) for secret in secrets]
    if not given or not any(matches):
        raise refused()


def check_basic(authorization: str, secrets: Sequence[str]) -> None:
    """Refuse unless an HTTP Basic header holds one of the secrets as `user:password` (RFC 7617)."""
    scheme, _, credentials = authorization.strip().partition(" ")
    try:
        given = base64.b64decode(credentials.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        given = ""
    check_secret(given, secrets)


def check_bearer(authorization: str, secrets: Sequence[str]) -> None:
    """Refuse unless a bearer token is one of the secrets (RFC 6750)."""
    scheme, _, token = authorization.strip().partition(" ")
    check_secret(token.strip() if scheme.lower() == "bearer" else "", secrets)


def check_rsa(given: str, signed: bytes, keys: Iterable[bytes], *, digest: str) -> None:
    """Refuse unless `given`, in base64, is the RSA signature (PKCS #1 v1.5) of `signed` by one of the keys.

    Parameters
    ----------
    keys
        Public keys or certificates in PEM.
    digest
        `sha256`, or `sha1` where a sender knows nothing newer.
    """
    # A tenth of a second, which only senders with such signatures pay.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256  # noqa: PLC0415

    algorithm = SHA1() if digest == "sha1" else SHA256()  # noqa: S303 - the sender's choice, not ours

    def verify(key: bytes, signature: bytes) -> None:
        public = _public_key(key)
        if not isinstance(public, RSAPublicKey):
            raise InvalidSignature("not an RSA key")
        public.verify(signature, signed, PKCS1v15(), algorithm)

    _check_any(verify, keys, given)


def check_ecdsa(given: str, signed: bytes, keys: Iterable[str]) -> None:
    """Refuse unless `given`, in base64, is the ECDSA signature (P-256, SHA-256, DER) of `signed` by one of the keys.

    Parameters
    ----------
    keys
        Public keys as senders show them: DER in base64.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    def verify(key: str, signature: bytes) -> None:
        public = load_der_public_key(base64.b64decode(key))
        if not isinstance(public, EllipticCurvePublicKey):
            raise InvalidSignature("not a key on an elliptic curve")
        public.verify(signature, signed, ECDSA(SHA256()))

    _check_any(verify, keys, given)


def check_ed25519(given: str, signed: bytes, keys: Iterable[bytes]) -> None:
    """Refuse unless `given`, in base64, is the Ed25519 signature of `signed` by one of the keys.

    Parameters
    ----------
    keys
        Public keys, raw.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - as above

    def verify(key: bytes, signature: bytes) -> None:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)

    _check_any(verify, keys, given)


def _check_any(verify: Callable[[K, bytes], None], keys: Iterable[K], given: str) -> None:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - as above

    try:
        signature = base64.b64decode(given, validate=True)
    except ValueError as error:
        raise refused() from error
    for key in keys:
        with suppress(InvalidSignature, ValueError):
            verify(key, signature)
            return
    raise refused()


def refused() -> Unauthorized:
    """Return the error of a delivery that is not signed; it says the same whatever was wrong."""
    return Unauthorized("The signature of the webhook is missing or wrong.", "Check the source's secret.")


@lru_cache(maxsize=16)
def _public_key(key: bytes) -> object:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - as above
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

    return load_pem_x509_certificate(key).public_key() if b"CERTIFICATE" in key else load_pem_public_key(key)
