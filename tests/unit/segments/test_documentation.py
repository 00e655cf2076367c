"""Every example in docs/segments.md is one that deploys, and means what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from mailtailor.segments import vocabulary
from mailtailor.segments.cost import check
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.english import explain
from mailtailor.segments.sql import parse

PAGE: Final = (Path(__file__).parents[3] / "docs" / "segments.md").read_text(encoding="utf-8")
ROWS: Final = re.findall(r"^\| `(\{.+?\})` \| (.+?) \|$", PAGE, re.MULTILINE)
BLOCKS: Final = re.findall(r"^```yaml\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)
QUERIES: Final = [
    *re.findall(r"^```sql\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL),
    *re.findall(r'--sql "(.+?)"', PAGE),
]


def definition(data: dict[str, Any]) -> SegmentDefinition:
    whole = data if "rule" in data else {"name": "s", "description": "d", "rule": data}
    return SegmentDefinition.model_validate(whole)


@pytest.mark.parametrize(("example", "says"), ROWS, ids=[example for example, _ in ROWS])
def test_an_example_of_a_condition_is_usable_and_says_what_stands_beside_it(example: str, says: str) -> None:
    # given
    segment = definition(yaml.safe_load(example))
    # when
    vocabulary.check(segment)
    check(segment)
    # then
    assert explain(segment.rule) == f"People are members while {says}."


@pytest.mark.parametrize("example", BLOCKS)
def test_an_example_of_several_lines_is_usable(example: str) -> None:
    # given
    segment = definition(yaml.safe_load(example))
    # when, then: what is wrong would raise
    vocabulary.check(segment)
    check(segment)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_usable(query: str) -> None:
    # given
    segment = SegmentDefinition(name="s", description="d", rule=parse(query))
    # when, then: what is wrong would raise
    vocabulary.check(segment)
    check(segment)


def test_the_page_has_the_examples_that_are_tested_here() -> None:
    assert len(ROWS) == PAGE.count("\n| `{")
    assert len(BLOCKS) == PAGE.count("```yaml")
    assert len(QUERIES) == PAGE.count("SELECT user_id FROM") - PAGE.count("(SELECT user_id FROM")
