"""The text of a query, and where in it something stands."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import pairwise
from typing import Final

from sqlglot import TokenType, exp, parse
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ParseError, SqlglotError, TokenError

from mailtailor.errors import MailtailorError

MAX_BYTES: Final = 20_480
_ALONE: Final = "Write SELECT user_id FROM a table WHERE conditions."
_NUMBER: Final = r"\s*[+-]?\d{1,15}(?:\.\d{1,6})?\s*"
_INTERVAL: Final = re.compile(rf"{_NUMBER}|(?:{_NUMBER}[A-Za-z]+(?:\s*,)?)+\s*")
Place = exp.Expr | int
"""A part of the query, or an offset in its text."""


class SqlError(MailtailorError):
    """SQL that no segment can be made of.

    Parameters
    ----------
    line, column
        Where, from 1.
    reason
        What is wrong there, in one sentence.
    hint
        What to write instead.
    """

    def __init__(self, line: int, column: int, reason: str, hint: str = "") -> None:
        super().__init__(f"line {line}, column {column}: {reason}", hint)
        self.line, self.column, self.reason = line, column, reason


class Text:
    """One query and its statement, parsed.

    Raises
    ------
    SqlError
        If it is no SQL, too long, nested too deeply, or more than one statement.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        if len(text.encode("utf-8", "replace")) > MAX_BYTES:
            raise self.error(0, "the query is longer than 20 KB.", "Divide it into segments of their own.")
        self._check_one_query()
        self.statement: Final = self._parsed()

    def _check_one_query(self) -> None:
        """Refuse whatever is not one SELECT before it is parsed."""
        try:
            tokens = Postgres().tokenize(self._text)
        except TokenError as error:
            hint = "A quote or a comment may be left open."
            raise self.error(len(self._text), "this is no SQL: the end is missing.", hint) from error
        told = [one for one in tokens if one.token_type is not TokenType.SEMICOLON]
        if not told:
            raise self.error(0, "there is no query.", _ALONE)
        begins = next((one for one in told if one.token_type is not TokenType.L_PAREN), told[0])
        if begins.token_type not in {TokenType.SELECT, TokenType.WITH}:
            raise self.error(begins.start, f"{begins.text.upper()[:20]!r} is no query; a segment only reads.", _ALONE)
        for one, following in pairwise(tokens):
            # The parser would take 7 days from '7 days ago'.
            if one.token_type is TokenType.INTERVAL and following.token_type is TokenType.STRING:
                self._check_interval(following.text, following.start)
        ended = False
        for one in tokens:
            if ended and one.token_type is not TokenType.SEMICOLON:
                raise self.error(
                    one.start, "a segment is one statement.", "Leave out what follows the first semicolon."
                )
            ended |= one.token_type is TokenType.SEMICOLON

    def _check_interval(self, written: str, offset: int) -> None:
        if not _INTERVAL.fullmatch(written):
            hint = "Write a number and a unit: INTERVAL '2 days'."
            raise self.error(offset, f"{written[:40]!r} is no interval.", hint)

    def _parsed(self) -> exp.Expr:
        try:
            found = [one for one in parse(self._text, dialect="postgres") if isinstance(one, exp.Query)]
        except ParseError as error:
            fault = error.errors[0] if error.errors else {}
            offset = self._offset(fault.get("line") or 1, fault.get("col") or 1, len(fault.get("highlight") or ""))
            raise self.error(offset, f"this is no SQL: {_sentence(fault.get('description'))}", _ALONE) from error
        except (RecursionError, SqlglotError) as error:
            raise self.too_deep(0) from error
        if len(found) != 1:
            raise self.error(0, "there is no query.", _ALONE)
        return found[0]

    def too_deep(self, place: Place) -> SqlError:
        """Return the error of a query that is nested too deeply."""
        return self.error(place, "the query is nested too deeply.", "Divide it into segments of their own.")

    def error(self, place: Place, reason: str, hint: str = "") -> SqlError:
        """Return the error of what stands at a place."""
        offset = min(place if isinstance(place, int) else self._start(place), len(self._text))
        before = self._text[:offset]
        return SqlError(before.count("\n") + 1, offset - before.rfind("\n"), reason, hint)

    def _start(self, node: exp.Expr) -> int:
        """Return the offset of the first thing in `node` that has one, or of the nearest around it."""
        here: exp.Expr | None = node
        while here is not None:
            starts = [one.meta["start"] for one in here.walk() if "start" in one.meta]
            if starts:
                return int(min(starts))
            here = here.parent
        return 0

    def _offset(self, line: int, end: int, length: int) -> int:
        """Return the offset of a token of which the line and the last column are known."""
        lines = self._text.split("\n")
        return sum(len(one) + 1 for one in lines[: line - 1]) + max(0, end - max(length, 1))

    def only(self, node: exp.Expr, allowed: Collection[str]) -> None:
        """Refuse whatever a part of the query has beyond what is understood, for nothing may be passed over.

        Raises
        ------
        SqlError
            With the first of it.
        """
        for name, value in node.args.items():
            if name not in allowed and value not in (None, False, []):
                inner = value[0] if isinstance(value, list) else value
                word = name.rstrip("_").replace("_", " ").upper()
                place = inner if isinstance(inner, exp.Expr) else node
                raise self.error(place, f"{_CLAUSES.get(name, word)} is not available.", _CLAUSE_HINTS.get(name, ""))


_CLAUSES: Final = {
    "with_": "WITH",
    "order": "ORDER BY",
    "laterals": "LATERAL",
    "locks": "FOR UPDATE",
    "into": "INTO",
    "sample": "TABLESAMPLE",
}
_PEOPLE: Final = "A segment has all people who pass, in no order: leave it out."
_CLAUSE_HINTS: Final = {
    "with_": "Write the query in place of its name: user_id IN (SELECT user_id FROM ...).",
    "order": _PEOPLE,
    "limit": _PEOPLE,
    "offset": _PEOPLE,
    "fetch": _PEOPLE,
    "windows": "Count with GROUP BY user_id HAVING COUNT(*) >= 3.",
    "qualify": "Count with GROUP BY user_id HAVING COUNT(*) >= 3.",
    "into": "A segment only reads: leave it out.",
    "locks": "A segment only reads: leave it out.",
    "sample": "Use a condition with random and percent, in YAML.",
}


def _sentence(text: object) -> str:
    """Return what the parser says, unless it speaks of its own parts."""
    said = str(text or "").strip().rstrip(".")
    if not said or "<class" in said:
        return "something is missing after this."
    return f"{said[:1].lower()}{said[1:]}."
