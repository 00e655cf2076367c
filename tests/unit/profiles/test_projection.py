"""Only what an event or time may have changed is evaluated, and still every stored membership is right."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mailtailor.events.event import Event
from mailtailor.instant import DAY, FOREVER, HOUR
from mailtailor.profiles import projection
from mailtailor.profiles.profile import Profile
from mailtailor.segments.engine import NOT_A_MEMBER, Engine
from tests.unit.profiles.world import ANNA, NOW, consented, event, segment

HOME = {"category": "Home"}
RULES: dict[str, dict[str, Any]] = {
    "viewers": {"event": "product_viewed", "where": HOME, "within": "1d"},
    "fans": {"event": "product_viewed", "at_least": 3, "within": "2d"},
    "dear": {"sum": "total", "event": "order_completed", "within": "2d", "above": 50},
    "abandoned": {"event": "product_added", "not_followed_by": {"event": "order_completed"}, "older_than": "3h"},
    "openers": {"opened_share": 0.5, "within": "2d"},
    "britons": {"attribute": "country", "is": "GB"},
    "birthday": {"anniversary": "birthday", "in_days": [0, 2], "time_zone_attribute": "zone"},
    "tracked": {"consent": "tracking"},
    "british_fans": {"all": [{"segment": "fans"}, {"segment": "britons"}]},
    "others": {"not": {"segment": "british_fans"}},
    "first": {"event": "order_completed", "first": True, "within": "2d"},
}


KINDS = [
    "product_viewed",
    "product_added",
    "order_completed",
    "email_delivered",
    "email_opened",
    "identified",
    "consent_changed",
]


def happening(chance: random.Random, number: int, now: int) -> Event:
    kind = chance.choice(KINDS)
    at = now - chance.choice([0, 0, HOUR, DAY, 3 * DAY])
    properties: dict[str, Any] = {"campaign": chance.choice("ab")} if kind.startswith("email") else {}
    properties |= {"category": chance.choice(["Home", "Toys"]), "total": chance.choice([20, 40])}
    attributes: dict[str, Any] = {}
    if kind == "identified":
        attributes = {
            "country": chance.choice(["GB", "DE"]),
            "birthday": chance.choice(["1990-09-22", "1990-09-24"]),
            "zone": chance.choice(["Asia/Tokyo", "America/New_York"]),
        }
    if kind == "consent_changed":
        granted = chance.random() < 0.8
        return event(kind, id=f"e{number}", at=at, consent={"personalization": granted, "tracking": granted})
    return event(kind, id=f"e{number}", at=at, properties=properties, attributes=attributes)


@pytest.mark.parametrize("seed", range(40))
def test_memberships_stored_after_events_are_those_of_evaluating_everything(seed: int) -> None:
    # given
    chance = random.Random(seed)
    engine = Engine([segment(name, rule) for name, rule in RULES.items()])
    profile, now = Profile(id=ANNA), NOW
    projection.apply(profile, [consented(at=NOW - 9 * DAY)], engine=engine, now=now)
    for number in range(60):
        # when an event comes, or time passes
        now += chance.choice([0, 1, HOUR, 7 * HOUR, DAY])
        if chance.random() < 0.2:
            projection.evaluate(profile, engine=engine, now=now, reason="time", touched=())
        else:
            projection.apply(profile, [happening(chance, number, now)], engine=engine, now=now)
        # then
        for name, (member, valid_until) in engine.evaluate(profile, now).items():
            stored = profile.memberships.get(name, NOT_A_MEMBER)
            assert stored.member == member, name
            assert now < stored.valid_until <= valid_until, name
        next_wake = min((one.valid_until for one in profile.memberships.values()), default=FOREVER)
        assert (profile.due_at or FOREVER) <= next_wake


def test_an_event_of_no_segment_evaluates_none(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    engine = Engine([segment("buyers", {"event": "order_completed", "within": "7d"})])
    profile = Profile(id=ANNA)
    projection.apply(profile, [consented()], engine=engine, now=NOW)
    asked: list[object] = []
    evaluate = engine.evaluate

    def watched(*given: Any) -> Any:
        asked.append(given[2])
        return evaluate(*given)

    monkeypatch.setattr(engine, "evaluate", watched)
    # when
    projection.apply(profile, [event("product_viewed", id="v")], engine=engine, now=NOW)
    # then
    assert asked == [set()]
