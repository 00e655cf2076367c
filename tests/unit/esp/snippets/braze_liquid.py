"""Braze's dialect of Liquid on python-liquid: `${name}`, and Connected Content.

Source: the pages "Make a Connected Content API call" and "HTTP status codes" of Braze's documentation. Options that
are not known here are errors, and so are `:retry` and `abort_message`, which can drop a mail.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from liquid import Environment, Mode, RenderContext
from liquid.ast import Node
from liquid.exceptions import LiquidSyntaxError
from liquid.tag import Tag
from liquid.token import TOKEN_TAG, Token

if TYPE_CHECKING:
    from liquid.stream import TokenStream

_ATTRIBUTE = re.compile(r"custom_attribute\.\$\{(\w+)\}|campaign\.\$\{(\w+)\}")
_FILLED = re.compile(r"\{\{attributes\.(\w+)\}\}")
FLAGS = {":no_cache": 0, ":basic_auth": 1, ":cache_max_age": 1, ":save": 1}
"""Options that snippets use, and how many words follow each."""


@dataclass
class Sending:
    """One part of a mail to one user.

    `get` answers a URL as `(status, body)`, or raises `TimeoutError`.
    """

    get: Callable[[str], tuple[int, str]]
    attributes: Mapping[str, str]
    fetched: list[str] = field(default_factory=list)

    def send(self, mail: str) -> str:
        """Return the mail as it arrives."""
        environment = Environment(tolerance=Mode.STRICT, strict_filters=True)
        environment.add_tag(_connected_content(self))
        # `${x}` is the one thing that python-liquid does not read.
        plain = _ATTRIBUTE.sub(lambda match: f"attributes.{match[1] or match[2]}", mail)
        return environment.from_string(plain).render(attributes=self.attributes)

    def answer(self, address: str) -> Any:
        """Return what Braze saves of an answer: an object with its status, text, or nothing."""
        url = _FILLED.sub(lambda match: self.attributes[match[1]], address)
        self.fetched.append(url)
        try:
            status, body = self.get(url)
        except TimeoutError:
            return None
        if not 200 <= status < 300:
            return body if status != 404 else ""
        try:
            saved = json.loads(body)
        except ValueError:
            return body
        return saved | {"__http_status_code__": status} if isinstance(saved, dict) else saved


def _connected_content(sending: Sending) -> type[Tag]:
    class Call(Node):
        def __init__(self, token: Token, words: list[str]) -> None:
            super().__init__(token)
            self.url, *options = words
            self.saved = ""
            if not self.url.startswith(("https://", "http://")):
                raise LiquidSyntaxError(f"{self.url} is no address", token=token)
            while options:
                flag = options.pop(0)
                if flag not in FLAGS or len(options) < FLAGS[flag]:
                    raise LiquidSyntaxError(f"{flag} is no option that is known", token=token)
                values = [options.pop(0) for _ in range(FLAGS[flag])]
                if flag == ":save":
                    (self.saved,) = values

        def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
            answer = sending.answer(self.url)
            if self.saved:
                context.assign(self.saved, answer)
                return 0
            return buffer.write(str(answer))

    class ConnectedContent(Tag):
        name = "connected_content"
        block = False

        def parse(self, stream: TokenStream) -> Node:
            token = stream.eat(TOKEN_TAG)
            return Call(token, stream.current.value.split())

    return ConnectedContent
