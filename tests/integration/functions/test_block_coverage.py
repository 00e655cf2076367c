"""How many would see which variant, asked of the function as the API does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.block_coverage import handler
from mailtailor.aws.clock import system_clock
from mailtailor.aws.startup import prepared
from mailtailor.consent.policy import Consent, Purpose
from mailtailor.content.coverage import Coverage, read_coverage
from mailtailor.content.preview_request import PARTS
from mailtailor.instant import HOUR
from mailtailor.profiles.profile import Attribute, Profile
from mailtailor.profiles.store import Loaded
from tests.integration.functions.content_engine import Engine, engine
from tests.integration.functions.intake_engine import Context, http_event

DRAFT: Final[dict[str, Any]] = {
    "name": "welcome",
    "description": "A block that nobody published.",
    "variants": [
        {
            "name": "buyers",
            "audience": ["recent_purchasers"],
            "template": "<p>Thank you {{ recipient.first_name }}</p>",
        },
        {"name": "viewers", "needs": {"products": 1}, "template": "<p>You looked at {{ products[0].name }}</p>"},
        {"name": "named", "audience": {"attribute": "plan", "is": "pro"}, "template": "<p>Pro</p>"},
    ],
    "fallback": "<p>Welcome</p>",
}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    with engine(monkeypatch, tmp_path) as running:
        monkeypatch.setattr(handler, "dependencies", prepared(handler.connect))
        yield running


def ask(body: Any, block: str = "welcome") -> tuple[int, dict[str, Any]]:
    answer = handler.handler(
        http_event("POST", f"/admin/blocks/{block}/coverage", json.dumps({"drafts": [DRAFT], **body})), Context()
    )
    assert answer["headers"]["cache-control"] == "no-store"
    return answer["statusCode"], json.loads(answer["body"])


def put(
    world: Engine, number: int, *events: tuple[str, dict[str, Any]], consent: bool = True, **attributes: str
) -> None:
    at = system_clock() - HOUR
    profile = Profile(f"{number:022}", consent={Purpose.PERSONALIZATION: Consent(granted=consent, at=at)})
    profile.attributes = {name: Attribute(value, at) for name, value in attributes.items()}
    for event_type, properties in events:
        world.segments.memory.record(profile.streams, event_id="e", event_type=event_type, at=at, properties=properties)
    world.profiles.save(Loaded(profile, None), ())


ORDER: Final = ("order_completed", {"products": [{"product_id": "1", "quantity": 1}]})
VIEW: Final = ("product_viewed", {"product_id": "2"})


def everybody(**body: Any) -> Coverage:
    """Return what all parts told together."""
    found = Coverage()
    for part in range(PARTS):
        status, told = ask({"part": part, "limit": 500, **body})
        assert (status, told["whole"]) == (200, True)
        found.unite(read_coverage(told))
    return found


def test_each_profile_is_counted_once_by_what_its_mail_would_hold(world: Engine) -> None:
    # given
    put(world, 1, ORDER, first_name="Anna")
    put(world, 2, ORDER)  # without a name, so the template fails; more of what she bought is shown then
    put(world, 3, VIEW)
    put(world, 4, plan="pro")
    put(world, 5)
    put(world, 6, ORDER, consent=False)
    world.profiles.save(Loaded(Profile("9" * 22, merged_into=f"{1:022}"), None), ())
    # when
    found = everybody()
    # then
    assert found.looked_at == 6
    assert found.shown == {"buyers": 1, "viewers": 2, "named": 1, "fallback": 2}
    assert found.fallbacks == {"no_consent": 1, "no_variant": 1}
    assert found.passed_over["buyers", "UndefinedError"] == 1
    assert found.passed_over["buyers", "audience"] == 3
    assert found.passed_over["viewers", "products"] == 2


def test_the_answer_and_the_log_hold_numbers_and_nobody(
    world: Engine, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # given
    for number in range(20):
        put(world, number, ORDER, first_name="Anna")
    # when
    answers = json.dumps([ask({"part": part, "limit": 500}) for part in range(PARTS)])
    # then
    assert "Anna" not in answers + capsys.readouterr().out + caplog.text
    assert f"{1:022}" not in answers + caplog.text


def test_no_more_is_read_than_is_looked_at(world: Engine) -> None:
    # given
    for number in range(PARTS * 4):
        put(world, number)
    asked: list[dict[str, Any]] = []
    client = handler.dependencies().profiles._client
    client.meta.events.register("provide-client-params.dynamodb.Scan", lambda params, **_: asked.append(params))
    # when
    answers = [ask({"part": part, "limit": 1})[1] for part in range(PARTS)]
    # then
    assert all(told["looked_at"] <= 1 for told in answers)
    assert {(one["Segment"], one["TotalSegments"], one["Limit"]) for one in asked} == {
        (part, PARTS, 1) for part in range(PARTS)
    }


@pytest.mark.usefixtures("world")
def test_a_profile_that_cannot_be_read_is_counted_apart() -> None:
    # given
    item: dict[str, Any] = {"id": {"S": "A" * 22}, "version": {"N": "1"}, "streams": {"B": b"\xff"}}
    handler.dependencies().profiles._client.put_item(TableName="profiles", Item=item)
    # then
    found = everybody()
    assert (found.looked_at, found.unreadable) == (0, 1)


@pytest.mark.usefixtures("world")
def test_the_block_is_told_with_what_is_generic_in_it() -> None:
    told = ask({"part": 0, "limit": 1})[1]

    assert (told["block"], told["variants"], told["generic"]) == (
        "welcome",
        ["buyers", "viewers", "named"],
        ["fallback"],
    )


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    "body",
    [{}, {"part": PARTS, "limit": 1}, {"part": -1, "limit": 1}, {"part": 0, "limit": 0}, {"part": 0, "limit": 501}],
)
def test_parts_and_limits_are_bounded(body: dict[str, Any]) -> None:
    assert ask(body)[0] == 400


@pytest.mark.usefixtures("world")
def test_an_unknown_block_is_404_and_a_silent_table_503(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    def unreachable(*_: Any, **__: Any) -> None:
        raise EndpointConnectionError(endpoint_url="http://x")

    # then
    assert ask({"part": 0, "limit": 1}, "heros")[0] == 404
    monkeypatch.setattr(handler.dependencies().profiles, "read", unreachable)
    assert ask({"part": 0, "limit": 1})[0] == 503
