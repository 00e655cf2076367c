"""Signs requests to AWS, Signature Version 4.

Source: AWS, "Create a signed AWS API request". Tests compare it with botocore's signer.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from mailtailor.instant import Instant

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Who asks; `token` is empty for keys that do not expire."""

    access_key: str
    secret_key: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """For which region and service a signature holds."""

    region: str
    service: str


def signed(
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: Credentials,
    scope: Scope,
    now: Instant,
) -> dict[str, str]:
    """Return `headers` with those that sign the request.

    Parameters
    ----------
    method, path
        Of the request; the path is encoded and has no query.
    headers
        With lower-case names, `host` among them; each of them is signed.
    body
        The body.
    credentials, scope
        Who asks whom.
    now
        AWS refuses what is more than 5 minutes (S3: 15) off its own clock.
    """
    time = datetime.fromtimestamp(now / 1_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    complete = {**headers, "x-amz-date": time, "x-amz-content-sha256": digest}
    if credentials.token:
        complete["x-amz-security-token"] = credentials.token
    names = sorted(complete)
    listed = ";".join(names)
    lines = [f"{name}:{complete[name].strip()}" for name in names]
    canonical = "\n".join((method, path, "", *lines, "", listed, digest))
    granted = f"{time[:8]}/{scope.region}/{scope.service}/aws4_request"
    to_sign = "\n".join((_ALGORITHM, time, granted, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_key}".encode()
    for part in granted.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    complete["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key}/{granted}, SignedHeaders={listed}, Signature={signature}"
    )
    return complete
