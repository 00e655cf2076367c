"""Requests as the API hands them over."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest

from mailtailor.aws.http import request
from mailtailor.errors import BadInput

PACKED = gzip.compress(b'{"event": "x"}')


def event(body: str, *, encoded: bool, encoding: str = "gzip") -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    return {"rawPath": "/v1/t", "headers": headers, "body": body, "isBase64Encoded": encoded}


def test_a_packed_body_comes_as_base64_with_its_encoding() -> None:
    # when
    read = request(event(base64.b64encode(PACKED).decode(), encoded=True))
    # then
    assert (read.body, read.headers["content-encoding"]) == (PACKED, "gzip")


def test_a_body_that_a_gateway_has_unpacked_is_not_unpacked_again() -> None:
    # when
    read = request(event('{"event": "x"}', encoded=False))
    # then
    assert (read.body, "content-encoding" in read.headers) == (b'{"event": "x"}', False)


def test_a_packed_body_that_was_read_as_text_is_lost_and_the_sender_told_what_helps() -> None:
    with pytest.raises(BadInput, match="octet-stream"):
        request(event(PACKED.decode("utf-8", "replace"), encoded=False))
