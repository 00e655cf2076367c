"""`mailtailor segments why`: what the function answers, as a tree."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from mailtailor.errors import MailtailorError
from mailtailor.events.flips import Occasion, PastFlip
from mailtailor.instant import DAY
from mailtailor.profiles.profile import Profile
from mailtailor.profiles.projection import evaluate
from mailtailor.segments.engine import NOT_A_MEMBER, Engine
from mailtailor.segments.trail import Trail
from mailtailor.segments.trail import told as told_of
from mailtailor.segments.why import explain
from mailtailor_cli import segments
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from tests.unit.segments.people import NOW, definition, person

ENTERED = PastFlip("A" * 22, "s", True, NOW - 3 * DAY, "event:o1", 5, NOW - DAY, NOW, "f1")
LEFT = PastFlip("A" * 22, "s", False, NOW - DAY, "time", 6, None, NOW, "f1")
OCCASIONS = {"o1": Occasion("order_completed", NOW - 3 * DAY - 1_000)}
RULE = {"all": [{"event": "order_completed", "within": "7d"}, {"attribute": "plan", "is": "[pro]"}]}


def flips(*told: PastFlip, then: int | None = None) -> dict[str, Any]:
    """Return what the function answers about these flips."""
    trail = Trail(told, NOW - 99 * DAY, whole=True)
    said = told_of(trail, profile_id="A" * 22, stored=NOT_A_MEMBER, occasions=OCCASIONS, most=10, then=then)
    return {"statusCode": 200, "body": json.dumps({"profile_id": "A" * 22, **said})}


class Lambda:
    """The edge of Lambda: keeps what was asked and answers as it is told."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {}
        self.asked_for_flips: list[dict[str, str]] = []
        self.flips = flips()

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        asked = json.loads(Payload)
        if FunctionName == "trail-function":
            assert asked["rawPath"].endswith("/flips")
            self.asked_for_flips.append(asked["queryStringParameters"])
            return {"Payload": io.BytesIO(json.dumps(self.flips).encode())}
        assert FunctionName == "profile-function"
        self.asked.append(asked)
        return {"Payload": io.BytesIO(json.dumps(self.answer).encode())}


class System(Connection):
    """A system of which only the function answers."""

    function = Lambda()

    def client(self, service: str) -> Any:
        assert service == "lambda"
        return self.function


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Lambda:
    answering = Lambda()
    monkeypatch.setattr(System, "function", answering)
    system = System("the test system", {"ProfileApiFunction": "profile-function", "TrailApiFunction": "trail-function"})
    monkeypatch.setattr(segments, "connect", lambda _where: system)
    monkeypatch.setenv("COLUMNS", "140")
    return answering


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["segments", "why", *arguments])


def answered(profile: Profile, engine: Engine) -> dict[str, Any]:
    payload = explain(profile, "s", engine=engine, at=NOW).payload()
    return {"statusCode": 200, "body": json.dumps(payload)}


def buyer(engine: Engine) -> Profile:
    profile = person(engine, ("order_completed", NOW - DAY, {}), plan="[free]")
    evaluate(profile, engine=engine, now=NOW - DAY, reason="event:e0")
    return profile


def test_a_tree_has_ticks_and_crosses_ends_and_evidence(function: Lambda) -> None:
    # given
    engine = Engine([definition(RULE)])
    function.answer = answered(buyer(engine), engine)
    # when
    result = run("A" * 22, "s")
    # then
    assert result.exit_code == 0, result.exception
    assert result.output.rstrip() == (
        f"{'A' * 22} is not in s at 2026-09-21 14:13:20 UTC, until something happens.\n"
        "s: d\n"
        "\n"
        "✗ all of these are true:\n"
        "├── ✓ they have bought in the last 7 days\n"
        "│     the last purchase was on 2026-09-20 14:13:20 UTC; it leaves the window on 2026-09-27 14:13:20 UTC\n"
        "│     true until 2026-09-27 14:13:20 UTC if nothing happens\n"
        "└── ✗ their plan is “[pro]”\n"
        "      their plan is “[free]”, stated on 2026-09-21 14:13:20 UTC\n"
        "\n"
        "Stored: no member; evaluated at 2026-09-20 14:13:20 UTC by these definitions."
    )


def test_what_is_stored_of_a_member_is_told(function: Lambda) -> None:
    # given
    engine = Engine([definition({"event": "order_completed", "within": "604800001ms"})])
    function.answer = answered(buyer(engine), engine)
    # when
    output = run("A" * 22, "s").output
    # then
    assert f"{'A' * 22} is in s at 2026-09-21 14:13:20 UTC, until 2026-09-27 14:13:20.001 UTC if nothing" in output
    assert "Stored: a member, since 2026-09-20 14:13:20 UTC, valid until 2026-09-27 14:13:20.001 UTC; eval" in output


def test_of_somebody_who_was_never_evaluated_nothing_is_stored(function: Lambda) -> None:
    # given
    engine = Engine([definition(RULE)])
    function.answer = answered(person(engine), engine)
    # then
    assert "Nothing is stored: the profile was never evaluated." in run("A" * 22, "s").output


def test_the_function_is_asked_as_the_api_would(function: Lambda) -> None:
    # given
    engine = Engine([definition(RULE)])
    function.answer = answered(buyer(engine), engine)
    # when
    run("a/b", "s?", "--at", "2026-11-20T10:00:00+01:00")
    plain = run("A" * 22, "s", "--json")
    # then
    first, second = function.asked
    assert first["rawPath"] == "/admin/profiles/a%2Fb/segments/s%3F"
    assert first["queryStringParameters"] == {"at": "2026-11-20T10:00:00+01:00"}
    assert second["queryStringParameters"] == {}
    told = json.loads(plain.output)
    assert told == json.loads(function.answer["body"]) | {"flips": []}
    assert function.asked_for_flips == [{"at": "2026-11-20T10:00:00+01:00", "limit": "10"}, {"limit": "10"}]


def test_flips_are_told_with_their_reasons_the_newest_first(function: Lambda) -> None:
    # given
    engine = Engine([definition(RULE)])
    function.answer = answered(buyer(engine), engine)
    function.flips = flips(LEFT, replace(ENTERED, profile_id="B" * 22), ENTERED, then=NOW - 2 * DAY)
    # when
    output = run("A" * 22, "s", "--flips", "3", "--at", "2026-09-19T14:13:20Z").output
    # then
    entered = "  entered 2026-09-18 14:13:20 UTC because of event o1 (order_completed, 2026-09-18 14:13:19 UTC)"
    assert output.rstrip().endswith(
        "By their flips, they were in it then.\n"
        "Flips, the newest first:\n"
        "  left 2026-09-20 14:13:20 UTC by time\n"
        f"{entered}, as {'B' * 22}\n"
        f"{entered}"
    )
    assert function.asked_for_flips[0]["limit"] == "3"


def test_a_segment_that_there_is_no_more_has_flips_all_the_same(function: Lambda) -> None:
    # given
    body = {"code": "NotFound", "message": "There is no segment of this name.", "hint": ""}
    function.answer = {"statusCode": 404, "body": json.dumps(body)}
    function.flips = flips(LEFT)
    # when
    result = run("A" * 22, "s")
    # then
    assert result.exit_code == 0
    assert result.output == (
        "There is no segment of this name any more.\nFlips, the newest first:\n  left 2026-09-20 14:13:20 UTC by time\n"
    )


def test_flips_that_cannot_be_read_do_not_keep_the_rest_from_being_told(function: Lambda) -> None:
    # given
    engine = Engine([definition(RULE)])
    function.answer = answered(buyer(engine), engine)
    body = {"code": "Unavailable", "message": "The archive does not answer.", "hint": "Try again in a moment."}
    function.flips = {"statusCode": 503, "body": json.dumps(body)}
    # when
    result = run("A" * 22, "s")
    # then
    assert result.exit_code == 0
    assert "they have bought in the last 7 days" in result.output
    assert "Flips cannot be told. The archive does not answer. Try again in a moment." in result.output


def test_what_goes_wrong_is_a_sentence(function: Lambda) -> None:
    # given
    body = {"code": "NotFound", "message": "There is no segment of this name.", "hint": "Did you mean 's'?"}
    function.answer = {"statusCode": 404, "body": json.dumps(body)}
    # when
    error = run("A" * 22, "t").exception
    # then
    assert isinstance(error, MailtailorError)
    assert str(error) == "There is no segment of this name. Did you mean 's'?"


def test_a_system_deployed_before_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(segments, "connect", lambda _where: System("the test system", {}))
    # then
    assert str(run("A" * 22, "s").exception) == "The test system has no answers about profiles. Deploy it again."
