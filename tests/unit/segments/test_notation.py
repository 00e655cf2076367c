"""Rules written as people would write them read back as the same rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mailtailor.segments.definition import Condition, SegmentDefinition
from mailtailor.segments.notation import as_yaml

CLAUSES = yaml.safe_load((Path(__file__).parent / "english.yaml").read_text(encoding="utf-8"))


def condition(rule: dict[str, Any]) -> Condition:
    return SegmentDefinition.model_validate({"name": "s", "description": "d", "rule": rule}).rule


@pytest.mark.parametrize("rule", [clause["rule"] for clause in CLAUSES], ids=str)
def test_a_rule_reads_back_as_itself(rule: dict[str, Any]) -> None:
    # given
    both = condition({"all": [rule, {"not": {"any": [rule, {"segment": "vip"}]}}]})
    # when
    text = as_yaml(both)
    # then
    assert condition(yaml.safe_load(text)["rule"]) == both


@pytest.mark.parametrize(
    "text",
    [
        "rule:\n  event: order_completed\n  within: 7d\n",
        "rule:\n  event: order_completed\n  where:\n    within: {in: [5, 7d]}\n  between: [0d, 90m]\n",
        "rule: {event: a, minus: [b, c], within: 172800001ms, at_least: 0.1, below: '0.12345678901234567', sum: x}\n",
        "rule: {consent: tracking}\n",
        "rule:\n  all:\n  - {mail_state: bounced}\n  - not: {segment: vip}\n",
    ],
)
def test_it_is_written_as_people_would(text: str) -> None:
    # given
    rule = condition(yaml.safe_load(text)["rule"])
    # when, then
    assert yaml.safe_load(as_yaml(rule)) == yaml.safe_load(text)
