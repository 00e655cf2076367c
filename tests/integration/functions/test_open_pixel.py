from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.open_pixel import handler as open_pixel
from mailtailor.aws.capture import connect
from mailtailor.aws.startup import prepared
from mailtailor.tracking.pixel import GIF
from mailtailor.tracking.tokens import MailingToken, Purpose, sign_mailing
from tests.integration.functions.capture_engine import (
    FOREIGN,
    KEYRING,
    NEWER,
    NOW,
    PROFILE,
    RETIRED,
    SECRET,
    Engine,
    engine,
    recipient,
)
from tests.integration.functions.intake_engine import Context, http_event

MAILING = sign_mailing(KEYRING, MailingToken("spring"))
PATH = f"/o/{MAILING}/{recipient()}.gif"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    with engine(monkeypatch) as running:
        monkeypatch.setattr(open_pixel, "dependencies", lambda: running.capture)
        yield running


def opened(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    """Return the answer to a request, after making sure that it is the image."""
    response = open_pixel.handler(http_event(method, path, "", **headers), Context())
    assert_image(response)
    return response


def assert_image(response: dict[str, Any], body: bytes = GIF) -> None:
    assert response["statusCode"] == 200
    assert response["headers"]["content-type"] == "image/gif"
    assert response["headers"]["content-length"] == "43"
    assert "no-store" in response["headers"]["cache-control"]
    assert not {name for name in response["headers"] if "cookie" in name}
    assert base64.b64decode(response["body"]) == body
    assert bool(response["body"]) == response["isBase64Encoded"]


def metrics(output: str) -> dict[str, Any]:
    return {key: value for line in output.splitlines() for key, value in json.loads(line).items()}


def test_an_open_is_recorded(world: Engine) -> None:
    # when
    opened(PATH, user_agent="Mail/1.0")
    # then
    (event,) = world.queued()
    assert (event.type, event.profile_id, event.occurred_at) == ("email_opened", PROFILE, NOW)
    assert event.properties == {
        "campaign": "spring",
        "user_agent": "Mail/1.0",
    }


def test_each_open_is_an_event_of_its_own(world: Engine) -> None:
    opened(PATH)
    opened(PATH)
    assert len({event.id for event in world.queued()}) == 2


def test_the_send_instance_distinguishes_messages(world: Engine) -> None:
    opened(f"/o/{MAILING}~7/{recipient()}.gif")
    opened(f"/o/{MAILING}%7E7/{recipient()}.gif")
    assert {event.properties["instance"] for event in world.queued()} == {"7"}


def test_a_probe_gets_the_headers_and_is_recorded_as_one(world: Engine) -> None:
    # when
    response = open_pixel.handler(http_event("HEAD", PATH), Context())
    # then
    assert_image(response, b"")
    assert response["headers"] == opened(PATH)["headers"]
    assert [event.properties.get("method") for event in world.queued()] == ["HEAD", None]


@pytest.mark.parametrize(
    "headers",
    [
        {"purpose": "prefetch"},
        {"sec_purpose": "prefetch;prerender"},
        {"Sec_Purpose": "prefetch;anonymous-client-ip"},
        {"x_purpose": "preview"},
        {"x_moz": "Prefetch"},
    ],
)
def test_an_image_fetched_ahead_says_so(world: Engine, headers: dict[str, str]) -> None:
    opened(PATH, **headers)
    assert world.queued()[0].properties["prefetch"] is True


SCANNER, CDN, PERSON = "209.222.80.7", "192.0.2.1", "198.51.100.9"


@pytest.mark.parametrize(
    ("source", "passed"),
    [
        (SCANNER, None),
        (SCANNER, SCANNER),
        (CDN, f"{SCANNER}, {CDN}"),
        (CDN, f"{PERSON}, {SCANNER},{CDN}"),
        (CDN, f"{PERSON}, {SCANNER}"),
    ],
)
def test_an_open_from_a_known_network_names_it_and_the_address_goes_nowhere(
    world: Engine, capsys: pytest.CaptureFixture[str], source: str, passed: str | None
) -> None:
    # given
    headers = {} if passed is None else {"x_forwarded_for": passed}
    # when
    open_pixel.handler(http_event("GET", PATH, source=source, **headers), Context())
    # then
    (event,) = world.queued()
    assert event.properties["network"] == "barracuda"
    assert SCANNER not in event.model_dump_json() + capsys.readouterr().out


@pytest.mark.parametrize(
    "passed", ["", ",", f"{SCANNER}, {PERSON}, {CDN}", f"{SCANNER}, {CDN}, {CDN}", "unknown", "\ud800", "1" * 9_000]
)
def test_an_open_from_anywhere_else_names_no_network(world: Engine, passed: str) -> None:
    open_pixel.handler(http_event("GET", PATH, source=CDN, x_forwarded_for=passed), Context())
    assert "network" not in world.queued()[0].properties


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_of_a_browser_that_asks_not_to_be_tracked_nothing_is_recorded(
    world: Engine, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    # when
    response = open_pixel.handler(http_event(method, PATH, sec_gpc="1"), Context())
    # then
    assert_image(response, GIF if method == "GET" else b"")
    assert world.queued() == []
    printed = capsys.readouterr().out
    assert metrics(printed)["OpensOptedOut"] == [1.0]
    assert PROFILE not in printed


@pytest.mark.parametrize("value", ["0", "", "true"])
def test_any_other_value_of_the_privacy_control_says_nothing(world: Engine, value: str) -> None:
    opened(PATH, sec_gpc=value)
    assert len(world.queued()) == 1


def test_a_token_of_a_retired_key_is_recorded(world: Engine) -> None:
    opened(f"/o/{sign_mailing(RETIRED, MailingToken('spring'))}/{recipient(RETIRED)}.gif")
    assert len(world.queued()) == 1


def test_a_token_of_a_key_added_a_moment_ago_is_recorded(world: Engine) -> None:
    # given: a warm function that read the secret before the rotation
    opened(PATH)
    world.queued()
    newer = {**SECRET, "active": "k2", "k2": NEWER.keys["k2"].decode()}
    world.secrets.put_secret_value(SecretId="tokens", SecretString=json.dumps(newer))
    world.now[0] += 20_000
    # when
    opened(f"/o/{sign_mailing(NEWER, MailingToken('spring'))}/{recipient(NEWER)}.gif")
    # then
    assert len(world.queued()) == 1


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (f"/o/{MAILING}/{recipient(purpose=Purpose.CONTENT)}.gif", "signature"),
        (f"/o/{MAILING}/{recipient(FOREIGN)}.gif", "signature"),
        (f"/o/{MAILING}/{recipient(NEWER)}.gif", "key"),
        (f"/o/{MAILING[:-1]}/{recipient()}.gif", "encoding"),
        (f"/o/{MAILING[:-4]}/{recipient()}.gif", "signature"),
        (f"/o/{recipient()}/{MAILING}.gif", "signature"),
        (f"/o/{MAILING}/{{{{ mailtailor_track }}}}.gif", "encoding"),
        (f"/o/{MAILING}/%FF%FE.gif", "encoding"),
        (f"/o/{MAILING}/.gif", "length"),
        (f"/o/{MAILING}", "length"),
        ("/o/", "length"),
        ("/", "length"),
        ("", "length"),
        (f"/o/{'A' * 8_000}/{'A' * 8_000}.gif", "length"),
        (f"/o/{'A' * 1_000_000}", "length"),
    ],
)
def test_a_bad_token_gets_the_image_and_is_counted_with_its_reason(
    world: Engine, capsys: pytest.CaptureFixture[str], path: str, reason: str
) -> None:
    opened(path)
    assert world.queued() == []
    counted = metrics(capsys.readouterr().out)
    assert counted["OpensRefused"] == [1.0]
    assert counted["reason"] in {reason, "encoding"}


@pytest.mark.parametrize("path", [f"//o//{MAILING}//{recipient()}.gif", f"/o/{MAILING}/{recipient()}/"])
def test_doubled_and_trailing_slashes_do_no_harm(world: Engine, path: str) -> None:
    opened(path)
    assert len(world.queued()) == 1


def test_a_failing_queue_is_not_felt_and_the_event_can_be_replayed(
    world: Engine, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # given
    world.sqs.delete_queue(QueueUrl=world.url)
    # when
    opened(PATH)
    # then
    (logged,) = [json.loads(record.__dict__["event"]) for record in caplog.records]
    assert (logged["type"], logged["profile_id"]) == ("email_opened", PROFILE)
    assert '"EventsNotQueued":[1.0]' in capsys.readouterr().out
    assert recipient() not in caplog.text


def test_an_unavailable_secret_is_not_felt(world: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    world.secrets.delete_secret(SecretId="tokens", ForceDeleteWithoutRecovery=True)
    opened(PATH)
    assert '"OpensFailed":[1.0]' in capsys.readouterr().out


def test_missing_settings_are_not_felt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENTS_QUEUE_URL", raising=False)
    monkeypatch.setattr(open_pixel, "dependencies", prepared(connect))
    opened(PATH)


def test_the_environment_of_a_deployed_function_is_all_it_needs(world: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_pixel, "dependencies", prepared(connect))
    opened(PATH)
    assert len(world.queued()) == 1


@pytest.mark.parametrize(
    "event", [{}, {"requestContext": None}, {"body": "%", "isBase64Encoded": True, "headers": None}]
)
def test_an_event_of_any_form_gets_the_image(event: dict[str, Any]) -> None:
    assert_image(open_pixel.handler(event, Context()))
    assert_image(open_pixel.handler(event, None))


@pytest.mark.usefixtures("world")
@given(st.text(max_size=60) | st.text("/o~%.gif-_A", max_size=60).map("/o/{}".format))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_path_gets_the_image(path: str) -> None:
    opened(path)
