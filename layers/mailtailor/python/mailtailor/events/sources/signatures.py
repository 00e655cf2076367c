"""How deliveries prove who sent them: each refuses what is missing, wrong or stale, and compares in constant time.

Public keys come from whoever owns the scheme (`Outside`), never from a host that the delivery names freely.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from mailtailor.errors import Unauthorized
from mailtailor.instant import MINUTE, Instant

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


def check_rsa(given: str, signed: bytes, key: bytes, *, digest: str) -> None:
    """Refuse unless `given`, in base64, is the RSA signature (PKCS #1 v1.5) of `signed`.

    Parameters
    ----------
    key
        A public key or certificate in PEM.
    digest
        `sha256`, or `sha1` where a sender knows nothing newer.
    """
    # A tenth of a second, which only senders with such signatures pay.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256  # noqa: PLC0415

    public = _public_key(key)
    if not isinstance(public, RSAPublicKey):
        raise refused()
    try:
        public.verify(_decoded(given), signed, PKCS1v15(), SHA1() if digest == "sha1" else SHA256())  # noqa: S303
    except InvalidSignature as error:
        raise refused() from error


def check_ecdsa(given: str, signed: bytes, key: str) -> None:
    """Refuse unless `given`, in base64, is the ECDSA signature (P-256, SHA-256, DER) of `signed`.

    Parameters
    ----------
    key
        The public key as senders show it: DER in base64.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    try:
        public = load_der_public_key(base64.b64decode(key))
    except ValueError as error:
        raise refused() from error
    if not isinstance(public, EllipticCurvePublicKey):
        raise refused()
    try:
        public.verify(_decoded(given), signed, ECDSA(SHA256()))
    except InvalidSignature as error:
        raise refused() from error


def refused() -> Unauthorized:
    """Return the error of a delivery that is not signed; it says the same whatever was wrong."""
    return Unauthorized("The signature of the webhook is missing or wrong.", "Check the source's secret.")


def _public_key(key: bytes) -> object:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - as above
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

    try:
        if b"CERTIFICATE" in key:
            return load_pem_x509_certificate(key).public_key()
        return load_pem_public_key(key)
    except ValueError as error:
        raise refused() from error


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError) as error:
        raise refused() from error
