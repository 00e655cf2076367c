"""Why somebody is, or is not, in a segment: the engine's own truths, and evidence in plain English."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtailor.consent.policy import Consent, Purpose
from mailtailor.instant import DAY, FOREVER, HOUR, MINUTE
from mailtailor.profiles.profile import JsonValue, Profile
from mailtailor.profiles.projection import evaluate
from mailtailor.segments.engine import Engine, Membership
from mailtailor.segments.why import Reason, Why, explain
from tests.unit.segments.people import NOW, Happened, definition, person

EVIDENCE = yaml.safe_load((Path(__file__).parent / "evidence.yaml").read_text(encoding="utf-8"))
VIEW, ORDER = "product_viewed", "order_completed"
ACTIVE = {
    "all": [
        {"event": "email_link_clicked", "at_least": 3, "within": "30d"},
        {"opened_share": 0.7, "within": "30d"},
    ]
}


def why(rule: dict[str, Any], *events: Happened, at: int = NOW, **attributes: JsonValue) -> Why:
    engine = Engine([definition(rule), definition({"event": "order_completed", "within": "7d"}, "buyers")])
    return explain(person(engine, *events, **attributes), "s", engine=engine, at=at)


def all_of(reason: Reason) -> Iterator[Reason]:
    yield reason
    for child in reason.children:
        yield from all_of(child)


def ago(days: float) -> int:
    return NOW - int(days * DAY)


def test_a_tree_tells_of_each_condition_its_truth_its_end_and_its_evidence() -> None:
    # given
    clicks = [("email_link_clicked", ago(days), {"campaign": "a"}) for days in (9, 5, 2)]
    mails = [("email_delivered", ago(days), {"campaign": campaign}) for days, campaign in ((20, "a"), (10, "b"))]
    # when
    told = why(ACTIVE, *clicks, *mails, ("email_opened", ago(9), {"campaign": "a"}))
    # then
    clicked, opened = told.reason.children
    assert (told.reason.says, told.reason.holds) == ("all of these are true:", False)
    assert clicked == Reason(
        "they have clicked a link in a mail at least 3 times in the last 30 days",
        holds=True,
        until=ago(9) + 30 * DAY,
        evidence="at least 3 clicks in mails, the last on 2026-09-19 14:13:20 UTC; "
        "the third last leaves the window on 2026-10-12 14:13:20 UTC",
    )
    # The mail that was not opened leaves last, so nothing but an event makes a member.
    assert opened == Reason(
        "they opened at least 70 % of the mails delivered to them in the last 30 days",
        holds=False,
        until=FOREVER,
        evidence="1 of 2 delivered were opened, 50 %",
    )


@pytest.mark.parametrize("known", EVIDENCE, ids=lambda known: known["says"])
def test_each_kind_of_condition_has_evidence_of_its_own(known: dict[str, Any]) -> None:
    # given
    events: list[Happened] = [
        (VIEW, ago(3), {"category": "Lighting"}),
        (ORDER, ago(2), {"total": 40.5}),
        (ORDER, ago(1), {"total": 30}),
        ("order_refunded", NOW - HOUR, {"total": 3}),
    ]
    # when
    told = why(known["rule"], *events, country="FR", score_churn=0.8, latitude=52.51983)
    # then
    assert told.reason.evidence == known["says"]


def test_a_condition_that_is_negated_is_told_negated() -> None:
    # when
    told = why({"not": {"event": ORDER, "within": "7d"}}, (ORDER, ago(1), {}))
    # then
    assert (told.reason.says, told.reason.holds) == ("they have not bought in the last 7 days", False)
    assert told.reason.until == ago(1) + 7 * DAY


def test_a_segment_referred_to_is_told_once() -> None:
    # when
    told = why({"all": [{"segment": "buyers"}, {"not": {"segment": "buyers"}}]}, (ORDER, ago(1), {}))
    # then
    first, again = told.reason.children
    assert (first.says, first.holds) == ("they are in the segment buyers", True)
    assert [child.says for child in first.children] == ["they have bought in the last 7 days"]
    assert (again.says, again.holds) == ("they are not in the segment buyers", False)
    assert (again.evidence, again.children) == ("see above", ())


def test_a_long_chain_of_segments_is_not_told_to_its_end() -> None:
    # given
    links = [definition({"segment": f"s{number + 1}"}, f"s{number}") for number in range(9)]
    engine = Engine([*links, definition({"event": ORDER}, "s9")])
    # when
    told = list(all_of(explain(person(engine), "s0", engine=engine, at=NOW).reason))
    # then
    assert told[-1] == Reason("they are in the segment s6", False, FOREVER, "ask for that segment by itself")


def test_without_consent_nobody_is_in_a_segment_whatever_its_conditions_say() -> None:
    # given
    engine = Engine([definition({"not": {"event": ORDER}})])
    profile = person(engine)
    profile.consent = {Purpose.PERSONALIZATION: Consent(granted=False, at=ago(1))}
    # when
    reason = explain(profile, "s", engine=engine, at=NOW).reason
    # then
    consent, rule = reason.children
    assert (reason.holds, reason.until) == engine.evaluate(profile, NOW)["s"]
    assert (consent.says, consent.holds) == ("they allow personal content", False)
    assert consent.evidence == "they refused it on 2026-09-20 14:13:20 UTC"
    assert rule.holds


def test_provisional_clicks_count_and_are_told() -> None:
    # given
    engine = Engine([definition({"event": "email_link_clicked", "at_least": 2, "within": "7d"})])
    profile = person(engine)
    for number in (1, 2):
        at = NOW - number * MINUTE
        engine.memory.record(
            profile.streams,
            event_id=f"c{number}",
            event_type="email_link_clicked",
            at=at,
            properties={"campaign": "a", "position": number},
            seen=at,
        )
    # when
    told = explain(profile, "s", engine=engine, at=NOW)
    # then
    assert told.reason.holds
    assert told.reason.evidence.startswith("at least 2 clicks in mails, the last on 2026-09-21 14:12:20 UTC")


def test_clicks_that_are_provisional_do_not_hide_that_others_are_no_longer_kept() -> None:
    # given three settled clicks, of which the last two are kept, and a provisional one from before the window
    engine = Engine([definition({"event": "email_link_clicked", "at_least": 2, "within": "7d"})])
    profile = person(engine, *(("email_link_clicked", ago(days), {"campaign": "a"}) for days in (3, 2, 1)))
    engine.memory.record(
        profile.streams,
        event_id="late",
        event_type="email_link_clicked",
        at=ago(9),
        properties={"campaign": "a"},
        seen=NOW,
    )
    # then
    told = explain(profile, "s", engine=engine, at=NOW).reason.evidence
    assert told.startswith("at least 2 clicks in mails, the last on 2026-09-20")


def stored(**changes: Any) -> tuple[Engine, Profile]:
    """Return somebody who bought yesterday, evaluated then."""
    engine = Engine([definition({"event": ORDER, "within": "7d"})])
    profile = person(engine, (ORDER, ago(1), {}))
    evaluate(profile, engine=engine, now=ago(1), reason="event:e0")
    for name, value in changes.items():
        setattr(profile, name, value)
    return engine, profile


def test_what_is_stored_is_told() -> None:
    # given
    engine, profile = stored()
    # when
    told = explain(profile, "s", engine=engine, at=NOW).payload()
    # then
    assert told["stored"] == {
        "member": True,
        "since": "2026-09-20T14:13:20.000Z",
        "valid_until": "2026-09-27T14:13:20.000Z",
        "evaluated_at": "2026-09-20T14:13:20.000Z",
        "by_these_definitions": True,
    }
    assert told["notes"] == []
    assert (told["member"], told["until"]) == (True, "2026-09-27T14:13:20.000Z")


@pytest.mark.parametrize(
    ("changes", "at", "note"),
    [
        ({}, NOW + 9 * DAY, "What is stored ran out on 2026-09-27 14:13:20 UTC: whoever reads it evaluates it anew."),
        ({}, ago(2), "The profile was evaluated on 2026-09-20 14:13:20 UTC, after the instant asked for"),
        ({"definitions": "others"}, NOW, "Other definitions gave what is stored"),
        ({"incomplete": True}, NOW, "A correction left less than segments may need"),
        ({"memberships": {"s": Membership(False, FOREVER, 0)}}, NOW, "That should never be."),
    ],
)
def test_what_is_stored_and_may_be_doubted_is_said(changes: dict[str, Any], at: int, note: str) -> None:
    # given
    engine, profile = stored(**changes)
    # when
    notes = explain(profile, "s", engine=engine, at=at).notes
    # then
    assert note in notes[0]


def test_a_segment_that_there_is_not_is_an_error() -> None:
    engine, profile = stored()
    with pytest.raises(KeyError):
        explain(profile, "t", engine=engine, at=NOW)


JOINS: dict[str, Callable[[list[bool]], bool]] = {
    "all": all,
    "not all": lambda parts: not all(parts),
    "at least one": any,
    "none": lambda parts: not any(parts),
}
KINDS = st.sampled_from(["product_viewed", "product_added", "order_completed"])
WINDOW = st.integers(1, 20).map(lambda days: f"{days}d")
LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda kind, n, w: {"event": kind, "at_least": n, "within": w}, KINDS, st.integers(1, 3), WINDOW),
    st.builds(lambda kind, n, w: {"event": kind, "at_most": n, "within": w}, KINDS, st.integers(0, 2), WINDOW),
    st.builds(lambda kind, w: {"event": kind, "older_than": w}, KINDS, WINDOW),
    st.builds(lambda kind, w: {"event": kind, "first": True, "within": w}, KINDS, WINDOW),
    st.builds(lambda kind, end: {"event": kind, "between": ["1d", f"{end}d"]}, KINDS, st.integers(2, 20)),
    st.builds(lambda kind, w: {"event": kind, "sum": "total", "within": w, "at_least": 5}, KINDS, WINDOW),
    st.builds(lambda kind, w: {"event": kind, "distinct": "total", "within": w, "below": 3}, KINDS, WINDOW),
    st.builds(lambda kind, w: {"event": kind, "last": {"total": 3}, "within": w}, KINDS, WINDOW),
    st.builds(lambda one, other, w: {"event": one, "within": w, "followed_by": {"event": other}}, KINDS, KINDS, WINDOW),
    st.builds(
        lambda one, other: {"event": one, "within": "20d", "not_followed_by": {"event": other}, "older_than": "1d"},
        KINDS,
        KINDS,
    ),
    st.builds(lambda w: {"opened_share": 0.5, "within": w}, WINDOW),
    st.sampled_from(
        [{"segment": "buyers"}, {"consent": "tracking"}, {"mail_state": "bounced"}, {"attribute": "plan", "is": "pro"}]
    ),
)
RULES = st.recursive(
    LEAVES,
    lambda children: st.one_of(
        st.lists(children, min_size=1, max_size=3).map(lambda some: {"all": some}),
        st.lists(children, min_size=1, max_size=3).map(lambda some: {"any": some}),
        children.map(lambda one: {"not": one}),
    ),
    max_leaves=8,
)
HISTORIES = st.lists(
    st.tuples(
        st.sampled_from(
            ["product_viewed", "product_added", "order_completed", "email_delivered", "email_opened", "email_bounced"]
        ),
        st.integers(0, 25),
        st.integers(1, 4),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(RULES, HISTORIES, st.booleans(), st.integers(0, 30))
def test_the_root_is_what_the_engine_says_and_joined_truths_follow_from_their_parts(
    rule: dict[str, Any], happened: list[tuple[str, int, int]], allowed: bool, later: int
) -> None:
    # given
    engine = Engine([definition(rule), definition({"event": ORDER, "within": "7d"}, "buyers")])
    events = [(kind, ago(days), {"campaign": str(n), "total": n}) for kind, days, n in happened]
    profile = person(engine, *events, plan="pro")
    if not allowed:
        profile.consent = {}
    at = NOW + later * DAY
    # when
    told = explain(profile, "s", engine=engine, at=at)
    # then
    assert (told.reason.holds, told.reason.until) == engine.evaluate(profile, at)["s"]
    for one in all_of(told.reason):
        if one.says.endswith(("are true:", "is true:")):
            how = one.says.partition(" of these")[0]
            assert one.holds == JOINS[how]([child.holds for child in one.children])
        else:
            assert one.evidence or one.children
    json.dumps(told.payload())
