"""What a web page of anybody's may ask of the system that runs on the machine of whoever reads it."""

from __future__ import annotations

import httpx
import pytest

from infra.local.system import System

EVIL = "https://evil.example"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": EVIL},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"host": "pointed-at-this-machine.example"},
        {"host": "pointed-at-this-machine.example:4566"},
        {"host": ""},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_page_cannot_use_the_stand_in_for_aws(system: System, method: str, headers: dict[str, str]) -> None:
    # when
    answer = httpx.request(method, f"{system.endpoint_url}/2015-03-31/functions/", headers=headers)
    # then
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/_ministack/reset", "/_ministack/config", "/_ministack/health"])
def test_a_page_cannot_reach_through_the_front_behind_the_api(system: System, path: str) -> None:
    assert httpx.post(f"{system.base_url}{path}", headers={"origin": EVIL}, json={}).status_code == 403


def test_the_api_itself_is_for_web_pages_too(system: System) -> None:
    # when
    answer = httpx.post(
        f"{system.base_url}/v1/track",
        headers={"origin": EVIL, "sec-fetch-site": "cross-site"},
        json={"writeKey": system.write_key, "anonymousId": "a visitor", "event": "Page Seen"},
        timeout=30,
    )
    # then
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
