"""Why somebody is in a segment, asked of the function as the API does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.profile_api import handler
from mailtailor.aws.startup import prepared
from mailtailor.consent.policy import Consent, Purpose
from mailtailor.instant import DAY, HOUR
from mailtailor.profiles.profile import Attribute, Profile
from mailtailor.profiles.projection import evaluate
from mailtailor.profiles.store import Loaded
from tests.integration.functions.content_engine import Engine, engine
from tests.integration.functions.intake_engine import Context, http_event

REQUEST: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "events" / "profile_api_request.json").read_text(encoding="utf-8")
)
NOW = 1_700_049_600_000
"""2023-11-15T12:00:00Z, the instant that the request asks for."""
PROFILE, POINTER = "A" * 22, "B" * 22


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    with engine(monkeypatch, tmp_path) as running:
        monkeypatch.setattr(handler, "clock_from_environment", lambda: lambda: NOW + HOUR)
        monkeypatch.setattr(handler, "dependencies", prepared(handler.connect))
        yield running


def buyer(world: Engine) -> None:
    """Store somebody who bought yesterday, and whose other identity is a pointer."""
    profile = Profile(PROFILE, consent={Purpose.PERSONALIZATION: Consent(granted=True, at=0)})
    profile.attributes = {"email": Attribute("anna@example.com", 0), "first_name": Attribute("Anna", 0)}
    world.segments.memory.record(
        profile.streams, event_id="o", event_type="order_completed", at=NOW - DAY, properties={"order_id": "SECRET-1"}
    )
    evaluate(profile, engine=world.segments, now=NOW - DAY, reason="event:o")
    world.profiles.save(Loaded(profile, None), ())
    world.profiles.save(Loaded(Profile(POINTER, merged_into=PROFILE), None), ())


def ask(event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = handler.handler(event, Context())
    assert answer["headers"]["cache-control"] == "no-store"
    return answer["statusCode"], json.loads(answer["body"])


def get(profile: str, segment: str = "recent_purchasers", **query: str) -> tuple[int, dict[str, Any]]:
    return ask(http_event("GET", f"/admin/profiles/{profile}/segments/{segment}") | {"queryStringParameters": query})


def test_the_conditions_their_evidence_and_what_is_stored_are_told(world: Engine) -> None:
    # given
    buyer(world)
    # when
    status, told = ask(REQUEST)
    # then
    assert status == 200
    assert told == {
        "profile_id": PROFILE,
        "segment": "recent_purchasers",
        "description": "Customers who made a purchase within the past 7 days.",
        "at": "2023-11-15T12:00:00.000Z",
        "member": True,
        "until": "2023-11-21T12:00:00.000Z",
        "condition": {
            "says": "they have bought in the last 7 days",
            "holds": True,
            "until": "2023-11-21T12:00:00.000Z",
            "evidence": "the last purchase was on 2023-11-14 12:00 UTC; it leaves the window on 2023-11-21 12:00 UTC",
        },
        "stored": {
            "member": True,
            "since": "2023-11-14T12:00:00.000Z",
            "valid_until": "2023-11-21T12:00:00.000Z",
            "evaluated_at": "2023-11-14T12:00:00.000Z",
            "by_these_definitions": True,
        },
        "notes": [],
    }


def test_the_answer_and_the_log_hold_nothing_that_the_conditions_do_not_ask_for(
    world: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    # given
    buyer(world)
    # when
    answers = [get(PROFILE, name)[1] for name in world.segments.segments]
    # then
    for personal in ("Anna", "anna@example.com", "SECRET-1"):
        assert personal not in json.dumps(answers)
    assert not caplog.records


def test_without_an_instant_it_is_now(world: Engine) -> None:
    # given
    buyer(world)
    # then
    assert get(PROFILE)[1]["at"] == "2023-11-15T13:00:00.000Z"


def test_an_instant_that_lies_ahead_can_be_asked_for(world: Engine) -> None:
    # given
    buyer(world)
    # when: the sign of the offset came as a space, for nobody encoded it
    _, told = get(PROFILE, at="2023-11-21T13:00:00 01:00")
    # then
    assert (told["at"], told["member"]) == ("2023-11-21T12:00:00.000Z", False)
    assert "ran out on 2023-11-21 12:00 UTC" in told["notes"][0]


def test_a_merged_profile_is_the_one_it_became_part_of(world: Engine) -> None:
    # given
    buyer(world)
    # then
    assert get(POINTER)[1]["profile_id"] == PROFILE


@pytest.mark.parametrize(
    ("profile", "segment", "sentence"),
    [
        ("C" * 22, "recent_purchasers", "There is no profile of this id. It was erased, or nothing was ever recorded"),
        ("anna@example.com", "recent_purchasers", "There is no profile of this id. An id is the 22 characters"),
        (PROFILE, "recent_purchaser", "There is no segment of this name. Did you mean 'recent_purchasers'?"),
        (PROFILE, "%00", "There is no segment of this name. Known are browse_abandoners, browse_abandoners_sql,"),
        (PROFILE, "a/b", "There is nothing at this address."),
    ],
)
def test_what_there_is_not_is_404_with_a_sentence_and_a_hint(
    world: Engine, profile: str, segment: str, sentence: str
) -> None:
    # given
    buyer(world)
    # when
    status, told = get(profile, segment)
    # then
    assert status == 404
    assert f"{told['message']} {told['hint']}".startswith(sentence)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    "at", ["", "yesterday", "2023-11-15", "2023-11-15T12:00:00", "1969-01-01T00:00Z", "9999-12-31T23:59-01:00"]
)
def test_no_time_is_400(at: str) -> None:
    assert get(PROFILE, at=at)[0] == 400


def test_a_profile_that_cannot_be_read_is_500_and_the_log_names_it(
    world: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    # given
    buyer(world)
    client = handler.dependencies().profiles._client
    item: dict[str, Any] = {"id": {"S": PROFILE}, "version": {"N": "1"}, "streams": {"B": b"\xff"}}
    client.put_item(TableName="profiles", Item=item)
    # when
    status, told = get(PROFILE)
    # then
    assert (status, told["message"]) == (500, "The profile cannot be read.")
    assert [(vars(one)["profile_id"], vars(one)["error"]) for one in caplog.records] == [(PROFILE, "ValueError")]


@pytest.mark.usefixtures("world")
def test_a_table_that_does_not_answer_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    def unreachable(_profile_id: str) -> None:
        raise EndpointConnectionError(endpoint_url="http://x")

    monkeypatch.setattr(handler.dependencies().profiles, "read_item", unreachable)
    # then
    assert get(PROFILE)[0] == 503
