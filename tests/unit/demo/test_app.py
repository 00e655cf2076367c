"""The demonstration's pages."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser
from standardwebhooks.webhooks import Webhook
from starlette.applications import Starlette
from starlette.testclient import TestClient

from infra.local.demo.app import routes_of
from infra.local.demo.demonstration import Demonstration, duration
from infra.local.system import System
from mailtailor.instant import DAY, HOUR, MINUTE
from tests.unit.demo.conftest import ESP_KEY
from tests.unit.demo.test_esp import change

BLOCK = '<p>Hello <a href="http://127.0.0.1:8095/c/x/y">there</a></p>'
HOSTILE = "<script>alert(1)</script>\"'%%=v(@x)=%%{{7*7}}"


class Answers:
    """The system behind the pages: content comes back, calls are remembered."""

    def __init__(self) -> None:
        self.calls: list[httpx.Request] = []
        self.variant = "greeting"
        self.broken = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        if self.broken:
            raise httpx.ConnectError("down")
        return httpx.Response(200, json={"html": BLOCK, "variant": self.variant, "block": "hero"})

    def tracked(self) -> list[httpx.Request]:
        return [call for call in self.calls if call.url.path == "/v1/track"]


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def demonstration(system: System, answers: Answers) -> Demonstration:
    return Demonstration(system, transport=httpx.MockTransport(answers))


@pytest.fixture
def browser(demonstration: Demonstration) -> Iterator[TestClient]:
    application = Starlette(routes=routes_of(demonstration))
    with TestClient(application, base_url=demonstration.system.base_url, follow_redirects=False) as client:
        yield client


def text_of(response: httpx.Response) -> str:
    return " ".join(LexborHTMLParser(response.text).text(separator=" ").split())


def test_the_start_page_says_what_is_real_and_what_is_invented(browser: TestClient) -> None:
    said = text_of(browser.get("/"))
    for words in (
        "Online Retail II",
        "10.24432/C5CG6D",
        "CC BY 4.0",
        "Chen",
        "Invented:",
        "first names, addresses, consent",
    ):
        assert words in said


def test_the_start_page_links_to_each_inbox(browser: TestClient, demonstration: Demonstration) -> None:
    links = [node.attributes["href"] for node in LexborHTMLParser(browser.get("/").text).css("a.recipient")]
    assert links == [f"/inbox/{one.number}" for one in demonstration.recipients]
    assert len(links) == 8


@pytest.mark.parametrize("path", ["/", "/inbox/1", "/shop", "/inbox/1/mail/letter-8", "/inbox/99"])
def test_pages_allow_no_inline_script_and_no_foreign_resource(browser: TestClient, path: str) -> None:
    response = browser.get(path)
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src 'unsafe-inline'" not in policy
    page = LexborHTMLParser(response.text)
    assert not [node for node in page.css("script") if not node.attributes.get("src")]
    for node in page.css("script, link, img, iframe"):
        address = node.attributes.get("src") or node.attributes.get("href") or ""
        assert address.startswith(("/", "http://127.0.0.1:8095/"))


@pytest.mark.parametrize("number", range(1, 9))
def test_each_inbox_opens_also_before_anything_is_imported(browser: TestClient, number: int) -> None:
    response = browser.get(f"/inbox/{number}")
    assert response.status_code == 200
    assert "iframe" in response.text


def test_an_inbox_opens_while_the_system_does_not_answer(browser: TestClient, answers: Answers) -> None:
    answers.broken = True
    assert browser.get("/inbox/1").status_code == 200
    assert browser.get("/inbox/1/mail/letter-8").status_code == 200


def test_without_consent_the_page_says_why_the_content_is_general(
    browser: TestClient, demonstration: Demonstration, answers: Answers
) -> None:
    answers.variant = "fallback"
    for one in demonstration.recipients:
        said = text_of(browser.get(f"/inbox/{one.number}"))
        assert ("did not allow" in said) == (not one.person.consented)
        assert ("for want of consent" in said) == (not one.person.personalization)


def test_a_hostile_name_is_text_on_every_page(browser: TestClient, demonstration: Demonstration) -> None:
    # given
    first = demonstration.recipients[0]
    demonstration.recipients[0] = replace(first, person=replace(first.person, first_name=HOSTILE))
    # when
    for path in ("/", "/inbox/1", "/shop/22178"):
        response = browser.get(path)
        # then
        assert "<script>alert" not in response.text
        assert HOSTILE in LexborHTMLParser(response.text).text()


def test_no_name_or_customer_number_stands_in_an_address(browser: TestClient, demonstration: Demonstration) -> None:
    for one in demonstration.recipients:
        page = LexborHTMLParser(browser.get(f"/inbox/{one.number}").text)
        addresses = [node.attributes.get("href") or "" for node in page.css("[href]")]
        addresses += [node.attributes.get("src") or "" for node in page.css("[src]")]
        assert not [address for address in addresses if one.person.id in address or one.person.first_name in address]


def test_a_mail_arrives_merged_with_its_pixel_links_and_block(browser: TestClient) -> None:
    mail = browser.get("/inbox/1/mail/letter-8")
    page = LexborHTMLParser(mail.text)
    assert [node.text() for node in page.css("#hero p")] == ["Hello there"]
    assert page.css_first('img[src^="http://127.0.0.1:8095/o/"]') is not None
    links = [node.attributes["href"] or "" for node in page.css("a")]
    assert len(links) >= 5
    assert all(link.startswith("http://127.0.0.1:8095/c/") for link in links)
    assert "{{" not in mail.text
    assert "[[" not in mail.text


def test_a_countdown_is_asked_for_anew_by_each_recipient_and_says_when_it_ends_without_images(
    browser: TestClient,
) -> None:
    # when
    pictures = [
        LexborHTMLParser(browser.get(f"/inbox/{number}/mail/letter-8").text).css("img[src*='/image/winter_sale/']")
        for number in (1, 2)
    ]
    # then
    (first,), (second,) = pictures
    assert first.attributes["src"] != second.attributes["src"]
    assert (first.attributes["src"] or "").endswith(".gif")
    assert first.attributes["alt"] == "Winter sale: Ends 31 Jan 2027, 23:59 GMT"
    assert "/image/" not in browser.get("/inbox/1/mail/letter-7").text


def test_an_inbox_remembers_who_goes_shopping(browser: TestClient) -> None:
    # given
    assert "Nobody is shopping" in browser.get("/shop/22178").text
    # when
    response = browser.get("/inbox/3")
    # then
    assert "HttpOnly" in response.headers["set-cookie"]
    assert "Add to cart" in browser.get("/shop/22178").text


@pytest.mark.parametrize(
    ("event", "name"), [("viewed", "Product Viewed"), ("added", "Product Added"), ("ordered", "Order Completed")]
)
def test_what_is_done_in_the_shop_goes_through_the_tracking_api(
    browser: TestClient, answers: Answers, event: str, name: str
) -> None:
    browser.get("/inbox/3")
    # when
    response = browser.post("/shop/22178", data={"event": event})
    # then
    assert response.status_code == 303
    (call,) = answers.tracked()
    assert f'"event":"{name}"' in call.content.decode()
    assert base64.b64decode(call.headers["authorization"].removeprefix("Basic ")) == b"the-write-key:"


def test_nobody_buys_without_having_come_from_an_inbox(browser: TestClient, answers: Answers) -> None:
    assert browser.post("/shop/22178", data={"event": "ordered"}).status_code == 400
    assert answers.tracked() == []


@pytest.mark.parametrize("path", ["/shop/unknown", "/inbox/9", "/inbox/x", "/inbox/1/mail/unknown"])
def test_what_does_not_exist_is_said_in_a_page(browser: TestClient, path: str) -> None:
    response = browser.get(path)
    assert response.status_code == 404
    assert "Back to the start" in response.text


def test_time_moves_forward_by_the_offered_steps_only(browser: TestClient, demonstration: Demonstration) -> None:
    for hours in ("-1", "0", "1000000", "x", ""):
        assert browser.post("/demo/clock", data={"hours": hours}).status_code == 400
    response = browser.post("/demo/clock", data={"hours": "24", "back": "/inbox/1?letter=letter-8"})
    assert response.headers["location"] == "/inbox/1?letter=letter-8"
    assert demonstration.clock()["ahead"].startswith(("1 d", "23 h 59"))


def test_the_clock_leads_back_to_our_own_pages_only(browser: TestClient) -> None:
    response = browser.post("/demo/clock", data={"hours": "1", "back": "//elsewhere.example"})
    assert response.headers["location"] == "/"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": "null"},
        {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:9000"},
        # Safari before 16.4 says only this.
        {"origin": "https://evil.example"},
        {"origin": "null"},
        # A name that was pointed at this machine makes the evil page's requests those of the same site.
        {"host": "evil.example:8095", "origin": "http://evil.example:8095"},
        {"host": "evil.example:8095", "sec-fetch-site": "same-origin"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/demo/clock", "/shop/22178", "/inbox/1/clicked"])
def test_another_sites_page_can_do_nothing_here(browser: TestClient, path: str, headers: dict[str, str]) -> None:
    response = browser.post(path, data={"hours": "1", "event": "ordered"}, headers=headers)
    assert response.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        # Our pages name no referrer, so a form's origin is null.
        {"sec-fetch-site": "same-origin", "origin": "null"},
        {"origin": "http://127.0.0.1:8095"},
        {"host": "localhost:8095", "origin": "http://localhost:8095"},
        {},
    ],
    ids=str,
)
def test_our_own_pages_and_command_lines_can_move_the_clock(browser: TestClient, headers: dict[str, str]) -> None:
    assert browser.post("/demo/clock", data={"hours": "1"}, headers=headers).status_code == 303


def test_membership_changes_arrive_signed_and_appear(browser: TestClient, demonstration: Demonstration) -> None:
    # given
    profile = demonstration.profile_id(demonstration.recipients[0])
    body = change().replace(b'"p"', f'"{profile}"'.encode())
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "flip_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(base64.b64encode(ESP_KEY.encode()).decode()).sign("flip_1", now, body.decode()),
    }
    # when
    taken, forged = browser.post("/demo/esp", content=body, headers=headers), browser.post("/demo/esp", content=body)
    # then
    assert (taken.status_code, forged.status_code) == (204, 401)
    assert browser.get("/demo/esp").json()["counts"] == {"recent_purchasers": {"entered": 1, "left": 0}}
    (latest,) = browser.get("/demo/state").json()["esp"]["latest"]
    assert latest["who"] == demonstration.recipients[0].person.first_name
    assert browser.get("/inbox/1/state/letter-8").json()["log"][0]["title"] == "Recent purchasers"


def test_a_changed_variant_is_timed_from_the_click(browser: TestClient, answers: Answers) -> None:
    # given
    browser.get("/inbox/1/mail/letter-8")
    browser.post("/inbox/1/clicked")
    # when
    answers.variant = "products"
    # then
    said = ""
    for _ in range(100):
        said = browser.get("/inbox/1/state/letter-8").json()["change"]["text"]
        if said.startswith("Changed"):
            break
    assert said.endswith("s after the click.")


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (30_000, "less than a minute"),
        (5 * MINUTE, "5 min"),
        (3 * HOUR + 5 * MINUTE, "3 h 5 min"),
        (DAY, "1 d"),
        (6 * DAY + 2 * HOUR, "6 d 2 h"),
    ],
)
def test_lengths_of_time_are_said_briefly(length: int, text: str) -> None:
    assert duration(length) == text
