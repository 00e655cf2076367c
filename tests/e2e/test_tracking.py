"""Opens and clicks over HTTP: who counts, what a campaign's report says of them, and what an open draws."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import pytest

from infra.local.system import System
from mailtailor.tracking.destination import SLOT
from mailtailor.tracking.pixel import GIF
from tests.e2e.people import Recipient, until

APPLE_PROXY = "Mozilla/5.0"
ARCHIVED = 150
"""Seconds in which the archive has what was received: it collects for a minute."""


@pytest.fixture
def recipient(system: System) -> Recipient:
    return Recipient(system).introduce()


@pytest.fixture
def campaign() -> str:
    return f"campaign-{uuid.uuid4()}"


def report(system: System, campaign: str) -> dict[str, Any]:
    """Return a campaign's totals as the command does, by invoking the function."""
    request = {
        "version": "2.0",
        "rawPath": f"/admin/campaigns/{campaign}",
        "pathParameters": {"campaign": campaign},
        "requestContext": {"http": {"method": "GET"}},
    }
    answer = system.client("lambda").invoke(
        FunctionName=system.outputs["CampaignReportFunction"], Payload=json.dumps(request)
    )
    body: dict[str, Any] = json.loads(json.loads(answer["Payload"].read())["body"])
    return body


def test_a_scanner_s_clicks_are_reported_and_count_for_nobody(
    system: System, recipient: Recipient, campaign: str
) -> None:
    # given a mail that Apple's proxy loads and a scanner crawls, all links at once
    recipient.send([recipient.track("Email Delivered", campaign=campaign)])
    assert recipient.open(campaign, headers={"user-agent": APPLE_PROXY}).content == GIF
    for position in (1, 2, 3):
        recipient.click(campaign=campaign, position=position, product_id="85123A", category="Lighting")
    # when the person opens it and clicks one link
    system.move_clock(60_000)
    recipient.open(campaign)
    recipient.click(campaign=campaign, position=2)
    # then the report tells them apart
    totals = until(
        lambda: report(system, campaign).get("totals", {}),
        accept=lambda totals: totals.get("machine_clicks") == 3 and totals.get("human_clicks") == 1,
        seconds=ARCHIVED,
    )
    assert (totals["delivered"], totals["machine_opens"], totals["human_opens"]) == (1, 1, 1)
    assert (totals["human_unique_opens"], totals["human_unique_clicks"]) == (1, 1)
    # and what the scanner looked at was viewed by nobody
    assert "browse_abandoners" not in recipient.segments()


def test_who_asks_not_to_be_tracked_gets_everything_and_leaves_no_trace(recipient: Recipient) -> None:
    # given
    before = recipient.item()
    # when
    image = recipient.open(headers={"sec-gpc": "1"})
    answer = recipient.click(headers={"sec-gpc": "1"}, product_id="85123A", category="Lighting")
    # then
    assert image.content == GIF
    assert answer.headers["location"] == "https://shop.example/"
    # and a click without the header, which comes later, is all there is
    recipient.click(product_id="22423", category="Kitchen")
    until(recipient.segments, accept=lambda segments: "browse_abandoners" in segments)
    after = recipient.item()
    assert before is not None
    assert after is not None
    assert int(after["version"]["N"]) == int(before["version"]["N"]) + 1


def test_a_slot_takes_what_the_esp_merged_and_nothing_else_can_be_changed(recipient: Recipient) -> None:
    # given
    url = f"https://shop.example/basket?name={SLOT}&fixed=1#top"
    # when
    answer = recipient.click(url=url, query="?s1=Ann%20%26x%3D1%0d%0aSet-Cookie:%20a&fixed=2&next=https://evil.example")
    # then
    location = answer.headers["location"]
    assert location == "https://shop.example/basket?name=Ann%20%26x%3D1%0D%0ASet-Cookie%3A%20a&fixed=1#top"
    assert "set-cookie" not in answer.headers


def test_a_countdown_is_drawn_and_a_wrong_address_is_an_image_too(system: System) -> None:
    # when
    drawn = until(
        lambda: httpx.get(f"{system.base_url}/image/winter_sale/anybody.gif", timeout=30),
        accept=lambda answer: len(answer.content) > len(GIF),
    )
    unknown = httpx.get(f"{system.base_url}/image/nothing/anybody.gif", timeout=30)
    # then
    for answer in (drawn, unknown):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/gif"
        assert "no-store" in answer.headers["cache-control"]
    assert len(drawn.content) <= 60_000
    assert unknown.content == GIF
