from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from functions.instrument_api import handler as instrument_api
from mailtailor.aws.startup import prepared
from mailtailor.tracking.tokens import read_link
from tests.integration.functions.capture_engine import KEYRING, Engine, engine
from tests.integration.functions.intake_engine import Context, http_event

HTML = '<body><a href="https://shop.example/lamp?a=1&amp;b=2#top">Lamp</a></body>'
TEXT = "A lamp: https://shop.example/lamp\n"
MAIL = {"campaign": "spring", "html": HTML, "text": TEXT}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    with engine(monkeypatch) as running:
        monkeypatch.setenv("OPEN_URL", "https://open.example")
        monkeypatch.setenv("CLICK_URL", "https://click.example")
        monkeypatch.setattr(instrument_api, "dependencies", prepared(instrument_api.connect))
        yield running


def call(body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes | str) else json.dumps(body)
    response = instrument_api.handler(http_event("POST", "/admin/instrument", raw, **headers), Context())
    assert response["headers"]["cache-control"] == "no-store"
    return response["statusCode"], json.loads(response["body"])


@pytest.mark.usefixtures("world")
def test_both_parts_of_a_mail_come_back_with_signed_links_and_a_pixel() -> None:
    # when
    status, answer = call(MAIL)
    # then
    assert status == 200
    tokens = re.findall(r"https://click\.example/c/([^/]+)/", answer["html"] + answer["text"])
    links = [read_link(KEYRING, token) for token in tokens]
    assert [(link.campaign, link.position) for link in links] == [("spring", 1), ("spring", 2)]
    assert links[0].url.startswith("https://shop.example/lamp?a=1&b=2")
    assert "https://open.example/o/" in answer["html"]
    assert [link["tracked"] for link in answer["links"]] == [True, True]
    assert answer["warnings"] == []


@pytest.mark.usefixtures("world")
def test_the_esp_decides_how_the_recipient_is_merged_in() -> None:
    # when
    _, generic = call(MAIL)
    _, braze = call({**MAIL, "esp": "braze"})
    # then
    assert generic["html"] != braze["html"]
    assert braze["esp_hint"]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        "{",
        "[]",
        {"campaign": "spring"},
        {**MAIL, "surprise": 1},
        {**MAIL, "esp": "nobody"},
        {**MAIL, "campaign": ""},
        {**MAIL, "campaign": "\ud800"},
        {**MAIL, "utm": {"utm_term": "\ud800"}},
        {**MAIL, "honeypot_url": "https://shop.example/\ud800"},
        {**MAIL, "html": "x" * 1_000_001},
    ],
    ids=[
        "nothing",
        "bytes",
        "no JSON",
        "a list",
        "no part",
        "an unknown field",
        "ESP",
        "campaign",
        "half a character",
        "half a character in utm",
        "half a character in an address",
        "part",
    ],
)
def test_what_is_no_mail_is_refused_in_a_sentence(body: Any) -> None:
    # when
    status, answer = call(body)
    # then
    assert status == 400
    assert answer["message"].endswith(".")


@pytest.mark.usefixtures("world")
def test_a_body_beyond_the_limit_is_refused_before_it_is_read() -> None:
    status, answer = call(b"x" * (instrument_api.MAX_BYTES + 1))
    assert (status, answer["code"]) == (413, "TooLarge")


@pytest.mark.usefixtures("world")
def test_an_answer_that_lambda_could_not_give_is_refused_with_a_hint() -> None:
    # given
    many = f'<a href="https://a.example/{"a" * 70}">a</a>' * 9_000
    # when
    status, answer = call({"campaign": "spring", "html": many})
    # then
    assert (status, answer["code"]) == (413, "TooLarge")
    assert "command line" in answer["hint"]


@pytest.mark.usefixtures("world")
def test_a_mail_of_nothing_but_links_is_refused_before_they_are_signed() -> None:
    # given
    many = {"html": "<a href=http:a>" * 60_000, "text": "http://a " * 100_000}
    utm = {f"utm_{number}": "{{ a_merge_tag }}" for number in range(20)}
    # when
    start = time.process_time()
    status, answer = call({"campaign": "spring", **many, "utm": utm})
    # then
    assert (status, answer["message"]) == (413, "The mail has more than 10,000 addresses.")
    assert time.process_time() - start < 2


def test_while_no_key_can_be_read_the_caller_is_told_to_come_again(world: Engine) -> None:
    # given
    world.secrets.delete_secret(SecretId="tokens", ForceDeleteWithoutRecovery=True)
    # when
    status, answer = call(MAIL)
    # then
    assert (status, answer["code"]) == (503, "Unavailable")
