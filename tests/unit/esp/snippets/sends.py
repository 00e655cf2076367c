"""Sends a mail that holds a snippet, as each ESP would: the same few lines for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final
from unittest.mock import patch

from jinja2 import ChainableUndefined, Environment, StrictUndefined

from mailtailor.esp.snippets.request import Snippet
from tests.unit.esp.snippets import ampscript, braze_liquid, handlebars

TIMEOUT: Final = (0, "")
"""A status of none: nothing came back in time."""
Get = Callable[[str], tuple[int, str]]
"""Answers a URL with status and body."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A mail as it arrived, and what the ESP fetched for it."""

    mail: str
    fetched: list[str]


def send(esp: str, snippet: Snippet, get: Get, attributes: Mapping[str, str]) -> Sent:
    """Return what one recipient gets of a mail that is nothing but the snippet."""
    return SENDERS[esp]([part.code for part in snippet.parts], get, attributes)


def _sfmc(codes: list[str], get: Get, attributes: Mapping[str, str]) -> Sent:
    def http_get(url: str) -> tuple[str, int]:
        status, body = get(url)
        if status != 200:
            return "", -2
        return body, 0 if body else -3

    sending = ampscript.Sending(http_get, attributes)
    return Sent(sending.send("".join(codes)), sending.fetched)


def _braze(codes: list[str], get: Get, attributes: Mapping[str, str]) -> Sent:
    def answer(url: str) -> tuple[int, str]:
        if (given := get(url)) == TIMEOUT:
            raise TimeoutError
        return given

    sending = braze_liquid.Sending(answer, attributes)
    return Sent(sending.send("".join(codes)), sending.fetched)


def _iterable(codes: list[str], get: Get, attributes: Mapping[str, str]) -> Sent:
    feed, mail = codes
    url = handlebars.render(feed, attributes)
    status, body = get(url)
    # Iterable would skip the recipient. What the mail would show without the feed is worth knowing all the same.
    data: dict[str, Any] = {"mailtailor": json.loads(body)} if status == 200 and body else {}
    return Sent(handlebars.render(mail, {**attributes, **data}), [url])


def _hubspot(codes: list[str], get: Get, attributes: Mapping[str, str]) -> Sent:
    action, mail = codes
    fetched: list[str] = []

    def urlopen(url: str, *, timeout: float) -> BytesIO:
        assert 0 < timeout <= 15  # an action has 20 s
        fetched.append(url)
        status, body = get(url)
        if status != 200:
            raise OSError(status)
        return BytesIO(body.encode())

    with patch("urllib.request.urlopen", urlopen):
        namespace: dict[str, Any] = {}
        exec(compile(action, "action", "exec"), namespace)
        outputs = namespace["main"]({"inputFields": dict(attributes)})["outputFields"]
    # HubL is read by Jinjava, a Java Jinja; what is used here is the same in both.
    hubl = Environment(undefined=StrictUndefined)
    return Sent(hubl.from_string(mail).render(contact=outputs), fetched)


def _klaviyo(codes: list[str], get: Get, attributes: Mapping[str, str]) -> Sent:
    feed, mail = codes
    status, body = get(feed)
    feeds = {"mailtailor": json.loads(body)} if status == 200 and body else {}
    # Klaviyo's tags are Django's; what is used here is the same in Jinja, escaping by default included.
    django = Environment(autoescape=True, undefined=ChainableUndefined)
    return Sent(django.from_string(mail).render(feeds=feeds, person=attributes), [feed])


def _generic(codes: list[str], get: Get, attributes: Mapping[str, str]) -> Sent:
    url = Environment(undefined=StrictUndefined).from_string(codes[0]).render(attributes)
    status, body = get(url)
    return Sent(body if status == 200 and body else "".join(codes[1:]), [url])


SENDERS: Final[Mapping[str, Callable[[list[str], Get, Mapping[str, str]], Sent]]] = {
    "sfmc": _sfmc,
    "braze": _braze,
    "iterable": _iterable,
    "hubspot": _hubspot,
    "klaviyo": _klaviyo,
    "generic": _generic,
}
