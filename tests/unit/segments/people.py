"""A person with a history, whom one rule judges."""

from __future__ import annotations

from typing import Any

from mailtailor.consent.policy import Consent, ConsentRecord, Purpose
from mailtailor.profiles.profile import Attribute, JsonValue, Profile
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import Engine
from mailtailor.segments.verdict import Verdict

NOW = 1_790_000_000_000
"""2026-09-21T14:13:20Z."""
EVERYTHING_ALLOWED: ConsentRecord = dict.fromkeys(Purpose, Consent(granted=True, at=0))

Happened = tuple[str, int, dict[str, Any]]


def definition(rule: dict[str, Any], name: str = "s") -> SegmentDefinition:
    return SegmentDefinition.model_validate({"name": name, "description": "d", "rule": rule})


def person(engine: Engine, *events: Happened, **attributes: JsonValue) -> Profile:
    profile = Profile(
        id="A" * 22,
        consent=dict(EVERYTHING_ALLOWED),
        attributes={name: Attribute(value, NOW) for name, value in attributes.items()},
    )
    for number, (event_type, at, properties) in enumerate(events):
        engine.memory.record(
            profile.streams, event_id=f"e{number}", event_type=event_type, at=at, properties=properties
        )
    return profile


def judge(rule: dict[str, Any], *events: Happened, now: int = NOW, **attributes: JsonValue) -> Verdict:
    engine = Engine([definition(rule)])
    return engine.evaluate(person(engine, *events, **attributes), now)["s"]
