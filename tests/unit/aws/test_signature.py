from __future__ import annotations

from typing import Any
from unittest.mock import patch

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.aws.signature import Credentials, Scope, signed
from mailtailor.instant import to_datetime

MOMENTS = st.integers(min_value=1_600_000_000, max_value=2_000_000_000).map(lambda seconds: seconds * 1_000)
NAMES = st.from_regex(r"\A[A-Za-z0-9_.~-]{1,20}\Z")
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


def botocores(request: AWSRequest, credentials: Credentials, scope: Scope, now: int) -> dict[str, str]:
    """Return the headers that botocore signs `request` with at `now`."""
    theirs = BotocoreCredentials(credentials.access_key, credentials.secret_key, credentials.token or None)
    signer = botocore.auth.S3SigV4Auth if scope.service == "s3" else botocore.auth.SigV4Auth
    moment = to_datetime(now)
    with patch.object(botocore.auth, "get_current_datetime", lambda **_: moment.replace(tzinfo=None)):
        signer(theirs, scope.service, scope.region).add_auth(request)
    return dict(request.headers.items())


@given(now=MOMENTS, body=st.binary(max_size=200), target=VALUES, token=st.just("") | VALUES, region=NAMES)
def test_posted_json_is_signed_as_botocore_signs_it(
    now: int, body: bytes, target: str, token: str, region: str
) -> None:
    # given
    credentials, scope = Credentials("AKID", "secret", token), Scope(region, "dynamodb")
    headers = {"host": "dynamodb.example", "content-type": "application/x-amz-json-1.0", "x-amz-target": target}
    # botocore signs the content's hash for S3 only, unless it is among the headers
    ours = signed("POST", "/", headers, body, credentials=credentials, scope=scope, now=now)
    hashed = headers | {"x-amz-content-sha256": ours["x-amz-content-sha256"]}
    request = AWSRequest("POST", "https://dynamodb.example/", headers=hashed, data=body)

    # then
    assert botocores(request, credentials, scope, now)["Authorization"] == ours["authorization"]


@given(now=MOMENTS, key=st.lists(NAMES.filter(lambda name: set(name) != {"."}), min_size=1, max_size=4).map("/".join))
def test_an_object_is_asked_for_as_botocore_asks_for_it(now: int, key: str) -> None:
    # given
    credentials, scope = Credentials("AKID", "secret", "token"), Scope("eu-west-1", "s3")
    headers = {"host": "bucket.s3.example", "if-none-match": '"etag"'}
    ours = signed("GET", f"/{key}", headers, b"", credentials=credentials, scope=scope, now=now)
    request = AWSRequest("GET", f"https://bucket.s3.example/{key}", headers=headers)

    # then
    assert botocores(request, credentials, scope, now)["Authorization"] == ours["authorization"]


def test_a_signature_depends_on_everything() -> None:
    whole: dict[str, Any] = {
        "method": "POST",
        "path": "/",
        "headers": {"host": "a"},
        "body": b"x",
        "credentials": Credentials("AKID", "secret"),
        "scope": Scope("eu-west-1", "dynamodb"),
        "now": 1_790_000_000_000,
    }
    others: dict[str, Any] = {
        "method": "GET",
        "path": "/a",
        "headers": {"host": "b"},
        "body": b"y",
        "credentials": Credentials("AKID", "other"),
        "scope": Scope("eu-west-2", "dynamodb"),
        "now": 1_790_000_001_000,
    }

    def signature(name: str = "") -> str:
        arguments = whole | ({name: others[name]} if name else {})
        method, path, headers, body = (arguments.pop(one) for one in ("method", "path", "headers", "body"))
        return signed(method, path, headers, body, **arguments)["authorization"]

    assert len({signature(), *(signature(name) for name in others)}) == 1 + len(others)


def test_credentials_are_not_printed() -> None:
    assert "secret" not in repr(Credentials("AKID", "secret"))
