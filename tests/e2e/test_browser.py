"""The demonstration in a real browser, as a newcomer sees it. Runs wherever a Chromium is found."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright
from rich.console import Console
from rich.progress import Progress

from infra.local import start
from infra.local.demo.seed import seed
from infra.local.phases import Phases
from infra.local.system import System
from tests.e2e.people import BROWSER, until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SCREENSHOTS = os.environ.get("SCREENSHOTS")
"""A directory to which each step's picture is written, if set."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="browser tests need a Chromium, and none is on this machine")


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The system with its demonstration, everything imported."""
    quiet = Console(quiet=True)
    states = tmp_path_factory.mktemp("states")
    with start.running(port=0, demo=True, phases=Phases(quiet), states=states) as system:
        stop = threading.Event()
        importer = threading.Thread(target=seed, args=(system, Progress(console=quiet)), kwargs={"stop": stop})
        importer.start()
        until(lambda: httpx.get(f"{system.base_url}/demo/state", timeout=30).json()["import"]["complete"], seconds=180)
        yield system
        stop.set()
        importer.join()


@pytest.fixture
def page(demonstration: System) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"],
        )
        context = browser.new_context(
            base_url=demonstration.base_url, viewport={"width": 1400, "height": 1100}, user_agent=BROWSER
        )
        page = context.new_page()
        page.set_default_timeout(20_000)
        yield page
        browser.close()


def picture(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")


def test_a_click_in_a_mail_changes_segment_and_content_and_time_changes_them_back(page: Page) -> None:
    # given somebody who bought two or three days ago and has looked at nothing since
    page.goto("/")
    expect(page.get_by_role("heading", name="Whose inbox?")).to_be_visible()
    picture(page, "start")
    page.get_by_text("Just bought").click()
    segments = page.locator("section", has_text="Segments, now")
    content = page.locator("section", has_text="Content block, now")
    expect(segments.locator(".member", has_text="Recent purchasers")).to_be_visible()
    expect(content).to_contain_text("offer")
    picture(page, "before")
    # when a product in the mail is clicked
    with page.context.expect_page() as opened:
        page.frame_locator("iframe").get_by_role("link").filter(has_text=re.compile("£")).first.click()
    # then the redirect leads to the shop
    expect(opened.value).to_have_url(re.compile(r"/shop/\w+"))
    picture(opened.value, "shop")
    # and within seconds the mail's block is another
    expect(content).to_contain_text("products")
    expect(page.frame_locator("iframe").get_by_text("Still thinking about")).to_be_visible()
    picture(page, "after")
    # when three days pass
    page.get_by_role("button", name="+3 days").click()
    # then nobody needs to be reminded of the product any more
    expect(segments.locator(".member", has_text=re.compile("^Browse abandoners "))).to_have_count(0)
    expect(content).not_to_contain_text("products")
    picture(page, "later")


def test_who_wants_no_personal_content_sees_what_everybody_sees_and_is_told_why(page: Page) -> None:
    page.goto("/")
    page.get_by_text("Wants no personal content").click()
    expect(page.locator("section", has_text="Content block, now")).to_contain_text("fallback")
    picture(page, "without-consent")
