"""HTTP API requests and responses (payload format 2.0), and the one place where errors become statuses.

Source of the format: AWS, "Working with AWS Lambda proxy integrations for HTTP APIs".
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mailtailor.errors import BadInput, Conflict, MailtailorError, NotFound, TooLarge, Unauthorized, Unavailable
from mailtailor.instant import Instant

STATUS: Final[tuple[tuple[type[MailtailorError], int], ...]] = (
    (Unauthorized, 401),
    (NotFound, 404),
    (Conflict, 409),
    (TooLarge, 413),
    (BadInput, 400),
    (Unavailable, 503),
)
RETRY_AFTER_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the API handed it over: header names in lower case, path and raw query undecoded, the body raw.

    `source` is the address that connected to the API, which behind a CDN is the CDN's; `received_at` the API's time.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    raw_query: str = ""
    source: str = ""
    received_at: Instant = 0

    @property
    def viewer(self) -> str:
        """The address of who asked, empty if unknown; for looking up its network at once, and never to be kept.

        The CDN appends the viewer's address to `X-Forwarded-For` and the API the CDN's. A client that reaches the API
        itself can write there what it likes, so nothing but a label may depend on this.
        """
        passed = [address for one in self.headers.get("x-forwarded-for", "").split(",") if (address := one.strip())]
        if passed and passed[-1] == self.source:
            passed.pop()
        return passed[-1] if passed else self.source


def request(event: Mapping[str, Any]) -> Request:
    """Return the request of an HTTP API event.

    Raises
    ------
    BadInput
        If a body declared as base64 is none, or a packed one was destroyed on its way.
    """
    raw = event.get("body") or ""
    try:
        body = (
            base64.b64decode(raw, validate=True)
            if event.get("isBase64Encoded")
            else raw.encode("utf-8", "surrogatepass")
        )
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadInput("The body is not valid base64.") from error
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    if "content-encoding" in headers and not event.get("isBase64Encoded"):
        headers = _unpacked(headers, body)
    context = event.get("requestContext", {})
    http = context.get("http", {})
    return Request(
        method=str(http.get("method", "GET")).upper(),
        path=str(event.get("rawPath", "/")),
        headers=headers,
        query=event.get("queryStringParameters") or {},
        body=body,
        raw_query=str(event.get("rawQueryString") or ""),
        source=str(http.get("sourceIp") or ""),
        received_at=int(context.get("timeEpoch") or 0),
    )


def _unpacked(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return the headers of a body that came as text, which nothing packed can be: gzip begins with 1F 8B, no UTF-8.

    AWS documents that bodies of binary content types come as base64, and says nothing of packed JSON. A gateway that
    unpacks it leaves the header; one that reads it as text destroys it.
    """
    if body.startswith(b"\x1f"):
        raise BadInput(
            "The packed body was read as text on its way.", "Send it as application/octet-stream, or do not pack it."
        )
    return {name: value for name, value in headers.items() if name != "content-encoding"}


def response(status: int, body: str | bytes = "", *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a response; bytes travel as base64."""
    encoded = isinstance(body, bytes)
    return {
        "statusCode": status,
        "headers": dict(headers or {}),
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": encoded,
    }


def json_response(
    status: int, payload: Mapping[str, Any], *, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return a JSON response."""
    base = {"content-type": "application/json; charset=utf-8", "cache-control": "no-store"}
    return response(status, json.dumps(payload, separators=(",", ":")), headers={**base, **(headers or {})})


def error_response(error: MailtailorError) -> dict[str, Any]:
    """Return what a client sees of `error`: the sentence, the hint, and a status that fits its kind."""
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    headers = {"retry-after": str(RETRY_AFTER_SECONDS)} if isinstance(error, Unavailable) else {}
    payload = {"code": type(error).__name__, "message": error.message, "hint": error.hint}
    return json_response(status, payload, headers=headers)
