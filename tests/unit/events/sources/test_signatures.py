"""Signatures: right ones pass, whatever else is refused with one and the same sentence."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import cache

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.errors import Unauthorized
from mailtailor.events.sources import signatures
from mailtailor.events.sources.signatures import (
    TOLERANCE,
    check_basic,
    check_bearer,
    check_ecdsa,
    check_hmac,
    check_rsa,
    check_secret,
    check_time,
)
from mailtailor.instant import SECOND

NOW = 1_800_000_000_000
GARBAGE = st.text(max_size=40)


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def der(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, form)).decode()


@given(st.binary(max_size=100), st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3), st.data())
def test_an_hmac_under_any_of_the_secrets_passes(body: bytes, secrets: list[str], data: st.DataObject) -> None:
    # given
    secret = data.draw(st.sampled_from(secrets))
    mac = hmac.new(secret.encode(), body, hashlib.sha256)
    # then
    check_hmac(["old", base64.b64encode(mac.digest()).decode()], body, secrets)
    check_hmac([mac.hexdigest()], body, secrets, written=bytes.hex)


@given(st.lists(GARBAGE, max_size=3), st.binary(max_size=100))
def test_what_is_no_hmac_of_the_body_is_refused(given_: list[str], body: bytes) -> None:
    with pytest.raises(Unauthorized):
        check_hmac(given_, body, ["secret"])


@pytest.mark.parametrize("offset", [-TOLERANCE, 0, TOLERANCE])
def test_a_time_within_the_tolerance_passes(offset: int) -> None:
    check_time(str((NOW + offset) // SECOND), NOW, unit=SECOND)
    check_time(str(NOW + offset), NOW, unit=1)


@pytest.mark.parametrize(
    "said",
    ["", "now", "-1", "1e12", "٣", " 1800000000", "1800000000.0", "1" * 400, str((NOW - TOLERANCE) // SECOND - 1)],
)
def test_a_time_too_far_away_or_none_is_refused(said: str) -> None:
    with pytest.raises(Unauthorized):
        check_time(said, NOW, unit=SECOND)


def test_a_secret_that_comes_along_is_compared_whole() -> None:
    check_secret("two", ["one", "two"])
    check_bearer("Bearer two", ["one", "two"])
    check_basic(f"basic {base64.b64encode(b'user:pass:word').decode()}", ["user:pass:word"])


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic two", "two", "Bearer two x", "Basic dHdv", "Basic \xff"]
)
def test_another_secret_is_refused(header: str) -> None:
    for check in (check_bearer, check_basic):
        with pytest.raises(Unauthorized):
            check(header, ["one:two", ""])
    with pytest.raises(Unauthorized):
        check_secret(header, ["one"])


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
def test_an_rsa_signature_is_checked_against_the_public_key(digest: str) -> None:
    # given
    algorithm = hashes.SHA1() if digest == "sha1" else hashes.SHA256()
    signed = base64.b64encode(rsa_key().sign(b"body", padding.PKCS1v15(), algorithm)).decode()
    # then
    check_rsa(signed, b"body", [pem(ec_key()), pem(rsa_key())], digest=digest)
    for signature, body, key in (
        (signed, b"body ", pem(rsa_key())),
        (signed, b"body", pem(ec_key())),
        (signed, b"body", b"no key"),
        (signed, b"body", b"-----BEGIN CERTIFICATE-----\n"),
        ("", b"body", pem(rsa_key())),
        ("no base64", b"body", pem(rsa_key())),
    ):
        with pytest.raises(Unauthorized):
            check_rsa(signature, body, [key], digest=digest)


def test_an_ecdsa_signature_is_checked_against_the_public_key() -> None:
    # given
    signed = base64.b64encode(ec_key().sign(b"body", ec.ECDSA(hashes.SHA256()))).decode()
    # then
    check_ecdsa(signed, b"body", ["no key", der(ec_key())])
    for signature, body, key in (
        (signed, b"body ", der(ec_key())),
        (signed, b"body", der(rsa_key())),
        (signed, b"body", "no key"),
        (signed, b"body", ""),
        ("AAAA", b"body", der(ec_key())),
        ("\u20ac", b"body", der(ec_key())),
    ):
        with pytest.raises(Unauthorized):
            check_ecdsa(signature, body, [key])


def test_a_refusal_says_the_same_whatever_was_wrong() -> None:
    assert str(signatures.refused()) == "The signature of the webhook is missing or wrong. Check the source's secret."
