"""As much of AMPscript as snippets use, strictly: whatever is not known here is an error, unclosed blocks above all.

Source: developer.salesforce.com, AMPscript language elements and the pages of the functions below. Names of functions
and keywords are read without regard to case; a doubled quote in a string constant is one quote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

ARITY = {"httpget": (1, 4), "concat": (1, 99), "attributevalue": (1, 1), "empty": (1, 1), "v": (1, 1)}
KEYWORDS = {"var", "set", "if", "then", "else", "endif", "not", "and", "or", "true", "false"}

_CODE = re.compile(
    r"""\s+|(?P<string>"(?:[^"]|"")*"|'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<variable>@\w+)|(?P<name>[A-Za-z]\w*)"""
    r"""|(?P<sign>==|!=|=|\(|\)|,)"""
)


class BadScript(Exception):
    """What Marketing Cloud would refuse, or what is not known here."""


class Token(NamedTuple):
    kind: str
    text: str


def tokens(mail: str) -> list[Token]:
    """Return the text and code of a mail."""
    found: list[Token] = []
    at = 0
    while at < len(mail):
        start = mail.find("%%", at)
        if start < 0:
            start = len(mail)
        if start > at:
            found.append(Token("text", mail[at:start]))
        if start == len(mail):
            break
        at = _tag(mail, start, found)
    return found


def _tag(mail: str, start: int, found: list[Token]) -> int:
    for opener, closer, kind in (("%%[", "]%%", ""), ("%%=", "=%%", "print")):
        if mail.startswith(opener, start):
            end = mail.find(closer, start + 3)
            if end < 0:
                raise BadScript(f"{opener} is never closed")
            if kind:
                found.append(Token(kind, ""))
            found.extend(_code(mail[start + 3 : end]))
            if kind:
                found.append(Token("printed", ""))
            return end + 3
    raise BadScript("%% opens nothing that is known")


def _code(text: str) -> list[Token]:
    if "%%" in text:
        raise BadScript("percent signs inside of code")
    found, at = [], 0
    while at < len(text):
        match = _CODE.match(text, at)
        if match is None:
            raise BadScript(f"no token: {text[at : at + 20]!r}")
        if match.lastgroup:
            kind, value = match.lastgroup, match[0]
            if kind == "name" and value.lower() in KEYWORDS:
                kind, value = "keyword", value.lower()
            found.append(Token(kind, value))
        at = match.end()
    return found


@dataclass
class Sending:
    """One mail to one subscriber.

    `get` answers a URL with text and status as HttpGet tells them; `attributes` are the subscriber's and the send's.
    """

    get: Callable[[str], tuple[str, int]]
    attributes: Mapping[str, str]
    fetched: list[str] = field(default_factory=list)
    _variables: dict[str, Any] = field(default_factory=dict)

    def send(self, mail: str) -> str:
        """Return the mail as it arrives; raise `BadScript` if it cannot be sent."""
        self._tokens, self._at = tokens(mail), 0
        said = self._statements(run=True, until=())
        if self._at < len(self._tokens):
            raise BadScript(f"{self._peek()} closes nothing")
        return said

    def _peek(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else Token("end", "")

    def _take(self, kind: str, *texts: str) -> Token:
        token = self._peek()
        if token.kind != kind or (texts and token.text not in texts):
            raise BadScript(f"{token} where {kind} {texts} should be")
        self._at += 1
        return token

    def _statements(self, *, run: bool, until: tuple[str, ...]) -> str:
        said = ""
        while (token := self._peek()).kind != "end" and not (token.kind == "keyword" and token.text in until):
            match token:
                case Token("text", text):
                    self._at += 1
                    said += text if run else ""
                case Token("print"):
                    self._at += 1
                    value = self._value(run=run)
                    self._take("printed")
                    said += str(value or "") if run else ""
                case Token("keyword", "var"):
                    self._declare(run=run)
                case Token("keyword", "set"):
                    self._assign(run=run)
                case Token("keyword", "if"):
                    said += self._if(run=run)
                case _:
                    raise BadScript(f"{token} begins no statement")
        return said

    def _declare(self, *, run: bool) -> None:
        self._take("keyword", "var")
        while True:
            name = self._take("variable").text
            if run:
                self._variables[name] = None
            if self._peek() != Token("sign", ","):
                return
            self._at += 1

    def _assign(self, *, run: bool) -> None:
        self._take("keyword", "set")
        name = self._take("variable").text
        self._take("sign", "=")
        value = self._value(run=run)
        if run:
            if name not in self._variables:
                raise BadScript(f"{name} was not declared")
            self._variables[name] = value

    def _if(self, *, run: bool) -> str:
        self._take("keyword", "if")
        holds = self._condition(run=run)
        self._take("keyword", "then")
        said = self._statements(run=run and holds, until=("else", "endif"))
        if self._peek() == Token("keyword", "else"):
            self._at += 1
            said += self._statements(run=run and not holds, until=("endif",))
        self._take("keyword", "endif")
        return said

    def _condition(self, *, run: bool) -> bool:
        holds = self._comparison(run=run)
        while self._peek() in {Token("keyword", "and"), Token("keyword", "or")}:
            joined = self._take("keyword").text
            other = self._comparison(run=run)
            holds = (holds and other) if joined == "and" else (holds or other)
        return holds

    def _comparison(self, *, run: bool) -> bool:
        if self._peek() == Token("keyword", "not"):
            self._at += 1
            return not self._comparison(run=run)
        left = self._value(run=run)
        if self._peek() in {Token("sign", "=="), Token("sign", "!=")}:
            equal = self._take("sign").text == "=="
            return (left == self._value(run=run)) is equal
        return bool(left)

    def _value(self, *, run: bool) -> Any:
        token = self._peek()
        self._at += 1
        match token:
            case Token("string", text):
                return text[1:-1].replace(text[0] * 2, text[0])
            case Token("number", text):
                return int(text)
            case Token("keyword", "true" | "false"):
                return token.text == "true"
            case Token("variable", name):
                return self._variables.get(name)
            case Token("name", name) if self._peek() == Token("sign", "("):
                return self._call(name.lower(), run=run)
            case Token("name", name):
                if run and name not in self.attributes:
                    raise BadScript(f"there is no attribute {name}")
                return self.attributes.get(name)
        raise BadScript(f"{token} is no value")

    def _call(self, name: str, *, run: bool) -> Any:
        self._take("sign", "(")
        names: list[Token] = []
        values: list[Any] = []
        while self._peek() != Token("sign", ")"):
            if values:
                self._take("sign", ",")
            names.append(self._peek())
            values.append(self._value(run=run))
        self._take("sign", ")")
        least, most = ARITY.get(name, (0, -1))
        if not least <= len(values) <= most:
            raise BadScript(f"{name} with {len(values)} arguments is not known")
        if not run:
            return None
        return self._called(name, names, values)

    def _called(self, name: str, names: list[Token], values: list[Any]) -> Any:
        match name:
            case "concat":
                return "".join(str(value if value is not None else "") for value in values)
            case "attributevalue":
                return self.attributes.get(values[0])
            case "empty":
                return not values[0]
            case "v":
                if names[0].kind != "variable":
                    raise BadScript("v() takes a variable")
                return values[0]
        return self._http_get(names, values)

    def _http_get(self, names: list[Token], values: list[Any]) -> Any:
        url, keep_on, allow_empty, _ = values
        if keep_on is not True or allow_empty != 0 or names[3].kind != "variable":
            raise BadScript("a fetch that fails would end the send, or skip the subscriber")
        self.fetched.append(url)
        text, status = self.get(url)
        self._variables[names[3].text] = status
        return text
