"""Verdicts on opens and clicks, measured on labelled ones.

The fixtures in `machine/` were written from public lists, not from the rules: a line is a hit, or all hits of one
message, with the truth about each. Some are beyond what hits show; they stay, so that the figures say so.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.tracking.bursts import OPEN, BurstSettings, Hit, machine_ids
from mailtailor.tracking.machine import Label, label

FIXTURES: Final = Path(__file__).parent / "machine"
CHROME: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)
GMAIL: Final = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
HITS: Final = ("email_opened", "email_link_clicked")


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FIXTURES / name).read_text(encoding="utf-8").splitlines()]


def figures(verdicts: Iterable[tuple[str, bool]]) -> tuple[float, float]:
    """Return precision and recall of (reason, whether a machine made it), and write how often each reason was right."""
    right, wrong, missed = Counter[str](), Counter[str](), 0
    for reason, machine in verdicts:
        if reason:
            (right if machine else wrong)[reason] += 1
        else:
            missed += machine
    for reason in sorted(right | wrong):
        sys.stdout.write(f"{reason:20} right {right[reason]:4} wrong {wrong[reason]:3}\n")
    precision = right.total() / (right.total() + wrong.total())
    recall = right.total() / (right.total() + missed)
    sys.stdout.write(f"precision {precision:.4f} recall {recall:.4f}, {missed} missed\n")
    return precision, recall


def test_single_hits_are_judged_well() -> None:
    # given
    hits = lines("hits.jsonl")
    # when
    precision, recall = figures(
        (label(hit["type"], hit["properties"]).machine, hit["truth"] == "machine") for hit in hits
    )
    # then
    assert len(hits) >= 300
    assert precision >= 0.99
    assert recall >= 0.95


def test_hits_of_one_message_are_judged_well_together() -> None:
    # given
    messages = lines("sequences.jsonl")
    hits = [hit for message in messages for hit in message["hits"]]
    # when
    reasons = [reason for message in messages for reason in judged(message["hits"])]
    precision, recall = figures((reason, hit["truth"] == "machine") for reason, hit in zip(reasons, hits, strict=True))
    # then
    assert len(messages) >= 60
    assert precision >= 0.98
    assert recall >= 0.95


def judged(hits: list[dict[str, Any]]) -> list[str]:
    """Return the reasons why a machine made the hits of one message, by themselves or together with others."""
    known = [Hit(str(number), hit["at"], 1, hit.get("position", OPEN)) for number, hit in enumerate(hits)]
    together = machine_ids(known, BurstSettings())
    return [label(hit["type"], hit).machine or together.get(str(number), "") for number, hit in enumerate(hits)]


@pytest.mark.parametrize("hit", [one for one in lines("hits.jsonl") if one["kind"] in {"browser", "app's browser"}])
def test_no_browser_is_called_a_crawler(hit: Mapping[str, Any]) -> None:
    assert label(hit["type"], hit["properties"]) == Label()


@pytest.mark.parametrize(
    ("event_type", "properties", "reason"),
    [
        ("email_opened", {"user_agent": "Mozilla/5.0"}, "apple_mpp"),
        ("email_link_clicked", {"user_agent": "Mozilla/5.0"}, "http_client"),
        ("email_opened", {"user_agent": CHROME, "method": "HEAD"}, "head"),
        ("email_opened", {"user_agent": CHROME, "prefetch": True}, "prefetch"),
        ("email_link_clicked", {"user_agent": CHROME, "position": 0}, "honeypot"),
        ("email_link_clicked", {"user_agent": CHROME, "position": 1, "network": "microsoft"}, "scanner_microsoft"),
        ("email_opened", {"user_agent": "Barracuda Sentinel (EE)"}, "scanner_barracuda"),
        ("email_opened", {"user_agent": ""}, "no_user_agent"),
        ("email_link_clicked", {"user_agent": "python-requests/2.32.3"}, "crawler"),
        ("email_link_clicked", {"user_agent": "Java/17.0.2"}, "http_client"),
    ],
)
def test_a_label_gives_its_reason(event_type: str, properties: Mapping[str, Any], reason: str) -> None:
    assert label(event_type, properties) == Label(machine=reason)


def test_an_image_proxy_stands_for_a_person_who_opens_but_clicks_for_nobody() -> None:
    # when
    opened, clicked = (label(event_type, {"user_agent": GMAIL}) for event_type in HITS)
    # then
    assert opened == Label(proxy="gmail")
    assert clicked == Label(machine="crawler")


def test_mail_programs_load_images_without_a_browser_s_name_but_do_not_click() -> None:
    # given
    properties = {"user_agent": "Outlook/16.16.18071205 CFNetwork/902.1 Darwin/17.7.0 (x86_64)"}
    # when / then
    assert [label(event_type, properties).machine for event_type in HITS] == ["", "http_client"]


@pytest.mark.parametrize(
    ("said", "reason"), [("sg_machine_open", "sg_machine_open"), (True, "esp"), (False, ""), ("", "")]
)
def test_an_esp_s_own_label_is_kept(said: object, reason: str) -> None:
    assert label("email_opened", {"machine": said, "user_agent": GMAIL}).machine == reason


@pytest.mark.parametrize("event_type", HITS)
def test_a_report_without_any_facts_is_a_person_s(event_type: str) -> None:
    assert label(event_type, {}) == Label()


JSON: Final = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(
    st.sampled_from(HITS),
    st.dictionaries(st.sampled_from(["user_agent", "method", "prefetch", "network", "position", "machine"]), JSON),
)
def test_every_hit_gets_a_verdict_and_never_two(event_type: str, properties: dict[str, Any]) -> None:
    # when
    verdict = label(event_type, properties)
    # then
    assert not (verdict.machine and verdict.proxy)


@pytest.mark.parametrize(
    "hostile", ["a" * 10**6, "Mozilla/5.0 (" * 10**5, " " * 10**6, "\ud800" * 300, "bot\n" * 10**5]
)
def test_a_hostile_user_agent_takes_no_longer(hostile: str) -> None:
    # given the patterns are loaded
    label("email_opened", {"user_agent": CHROME})
    # when
    start = perf_counter()
    label("email_link_clicked", {"user_agent": hostile})
    # then: a thousand patterns take some tenths of a millisecond
    assert perf_counter() - start < 0.05
