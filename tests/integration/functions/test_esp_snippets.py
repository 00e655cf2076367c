"""Snippets as ESPs run them, fetching from the content function as it is deployed."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest

from mailtailor.aws import definitions
from mailtailor.content.block import Block
from mailtailor.esp.snippets.registry import WRITERS, usual_shape, write
from mailtailor.esp.snippets.request import SnippetRequest
from mailtailor.tracking.esp_forms import ESP_FORMS
from mailtailor.tracking.tokens import MailingToken, sign_mailing
from tests.integration.functions.capture_engine import KEYRING, PROFILE
from tests.integration.functions.content_engine import Engine, block, engine, recipient, viewed
from tests.unit.esp.snippets.sends import TIMEOUT, Get, Sent, send

MESSAGE: Final = sign_mailing(KEYRING, MailingToken("spring"))
PERSONAL: Final = [esp for esp in WRITERS if esp != "klaviyo"]
"""Klaviyo's feed is one for all recipients."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    with engine(monkeypatch, tmp_path, block("bar", "<p>A bar for {{ recipient.first_name }}</p>")) as running:
        yield running


def hero() -> Block:
    return next(block for block in definitions.blocks() if block.name == "hero")


def sent(esp: str, get: Get, token: str, *blocks: str) -> Sent:
    """Return a mail that holds the hero block, or these, and nothing else, as the ESP sends it."""
    known = {block.name: block.fallback for block in definitions.blocks()}
    request = SnippetRequest(
        form=ESP_FORMS[esp],
        blocks=blocks or ("hero",),
        fallbacks=known,
        content_url="https://mail.example",
        shape=usual_shape(ESP_FORMS[esp]),
        message=MESSAGE,
    )
    return send(esp, write(request), get, {"mailtailor_content": token})


def through(world: Engine, answers: list[dict[str, Any]] | None = None) -> Get:
    """Return a way to the function."""

    def get(url: str) -> tuple[int, str]:
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc) == ("https", "mail.example")
        query: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
        answer = world.fetch(parts.path, **query)
        if answers is not None:
            answers.append(answer)
        return answer["statusCode"], answer["body"]

    return get


@pytest.mark.parametrize("esp", PERSONAL)
def test_the_recipient_gets_what_is_theirs(world: Engine, esp: str) -> None:
    # given
    world.put_profile(viewed("2"))
    # when
    mail = sent(esp, through(world), recipient()).mail
    # then
    assert "Anna" in mail
    assert "https://mail.example/c/" in mail
    assert mail.strip() not in hero().fallback


@pytest.mark.parametrize("esp", PERSONAL)
def test_several_blocks_come_in_one_fetch_each_in_its_place(world: Engine, esp: str) -> None:
    # given
    world.put_profile(viewed("2"))
    # when
    mail = sent(esp, through(world), recipient(), "bar", "hero")
    # then
    assert len(mail.fetched) == 1
    first, _, second = mail.mail.partition("<p>A bar for Anna</p>")
    assert first.strip() == ""
    assert "Anna" in second


@pytest.mark.parametrize("esp", ["braze", "iterable", "hubspot"])
def test_a_block_that_is_gone_leaves_the_others_theirs(world: Engine, esp: str) -> None:
    # given: a snippet that names a block of which nobody knows any more
    world.put_profile(viewed("2"))
    # when
    mail = sent(esp, through(world), recipient(), "bar", "gone").mail
    # then
    assert mail.strip() == "<p>A bar for Anna</p>"


@pytest.mark.parametrize("esp", WRITERS)
def test_somebody_unknown_gets_the_static_variant_from_the_function(world: Engine, esp: str) -> None:
    # given
    answers: list[dict[str, Any]] = []
    # when
    mail = sent(esp, through(world, answers), recipient()).mail
    # then
    assert [answer["statusCode"] for answer in answers] == [200]
    assert mail.strip() == hero().fallback.strip()


@pytest.mark.parametrize("esp", WRITERS)
def test_the_static_variant_in_the_snippet_looks_the_same_when_nothing_answers(esp: str, world: Engine) -> None:
    assert world.s3
    mail = sent(esp, lambda _: TIMEOUT, recipient()).mail

    assert html.unescape(mail).split() == html.unescape(hero().fallback).split()


@pytest.mark.parametrize("esp", PERSONAL)
def test_nobodys_name_is_evaluated_by_the_esp(world: Engine, esp: str) -> None:
    # given: a person who calls herself what every ESP would evaluate
    world.put_profile(viewed("2"))
    loaded = world.profiles.load([PROFILE])[PROFILE]
    name = loaded.profile.attributes["first_name"]
    hostile = "%%=v(@mt_url)=%%{{7*7}}{% if 1 %}[[x]]*|X|*"
    loaded.profile.attributes["first_name"] = name._replace(value=hostile)
    world.profiles.save(loaded, ())
    # when
    mail = sent(esp, through(world), recipient()).mail
    # then
    for syntax in ("%%=", "{{", "{%", "[[", "*|"):
        assert syntax not in mail
    # and: people read what she wrote
    assert hostile in html.unescape(mail)
