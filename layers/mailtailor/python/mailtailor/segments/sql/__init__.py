"""Segments in SQL: a subset of SELECT, read into the same tree as YAML and then evaluated as it.

Nothing is executed: the text is parsed, and whatever is not understood is refused with its line, its column and what
to write instead. docs/segments-sql.md has the subset. No function reads SQL; `sqlglot` is in none of their layers.
"""

from __future__ import annotations

from pydantic import ValidationError

from mailtailor.segments.definition import Condition
from mailtailor.segments.sql.select import read
from mailtailor.segments.sql.text import SqlError, Text
from mailtailor.segments.vocabulary import KNOWN, Vocabulary

__all__ = ["SqlError", "parse"]


def parse(text: str, vocabulary: Vocabulary = KNOWN) -> Condition:
    """Return the condition that the people of a query fulfil.

    Raises
    ------
    SqlError
        If the text is not one query of the subset.
    """
    parsed = Text(text)
    try:
        return read(parsed, vocabulary)
    except RecursionError as error:
        raise parsed.too_deep(0) from error
    except ValidationError as error:
        # What is too much for a condition, such as more than twenty filters.
        raise parsed.error(parsed.statement, f"{error.errors()[0]['msg'].removeprefix('Value error, ')}.") from error
