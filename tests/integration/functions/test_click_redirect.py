from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.click_redirect import handler as click_redirect
from mailtailor.aws.capture import connect
from mailtailor.aws.startup import prepared
from mailtailor.tracking import tokens
from mailtailor.tracking.tokens import LinkToken, MailingToken, Purpose, sign_link, sign_mailing
from tests.integration.functions.capture_engine import (
    FOREIGN,
    KEYRING,
    NEWER,
    NOW,
    PROFILE,
    RETIRED,
    Engine,
    engine,
    recipient,
)
from tests.integration.functions.intake_engine import Context, http_event

LINK = LinkToken("https://shop.example/lamp?id=1#top", "spring", 3, NOW - 60_000, "85123A", "lights")
TOKEN = sign_link(KEYRING, LINK)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    with engine(monkeypatch) as running:
        monkeypatch.setattr(click_redirect, "dependencies", lambda: running.capture)
        yield running


def click(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    return click_redirect.handler(http_event(method, path, "", **headers), Context())  # type: ignore[no-any-return]


def assert_leads_to(response: dict[str, Any], destination: str) -> None:
    assert response["statusCode"] == 302
    assert response["headers"]["location"] == destination
    assert response["headers"]["cache-control"] == "no-store"
    assert response["headers"]["referrer-policy"] == "no-referrer"
    assert not response["body"]


def assert_leads_nowhere(response: dict[str, Any]) -> None:
    assert response["statusCode"] == 404
    assert "location" not in response["headers"]
    assert response["headers"]["content-type"] == "text/html; charset=utf-8"
    assert "http" not in response["body"]


def test_a_click_leads_to_the_destination_and_is_recorded(world: Engine) -> None:
    # when
    response = click(f"/c/{TOKEN}/{recipient()}", user_agent="Browser/1.0")
    # then
    assert_leads_to(response, "https://shop.example/lamp?id=1#top")
    (event,) = world.queued()
    assert (event.type, event.profile_id, event.occurred_at) == ("email_link_clicked", PROFILE, NOW)
    assert event.properties == {
        "campaign": "spring",
        "url": "https://shop.example/lamp?id=1#top",
        "position": 3,
        "product_id": "85123A",
        "category": "lights",
        "user_agent": "Browser/1.0",
    }


def test_the_header_is_ascii_and_the_event_keeps_the_address_as_signed(world: Engine) -> None:
    # given
    url = "https://müller.example/größe?farbe=grün#ä"
    # when
    response = click(f"/c/{sign_link(KEYRING, replace(LINK, url=url))}/{recipient()}")
    # then
    assert_leads_to(response, "https://xn--mller-kva.example/gr%C3%B6%C3%9Fe?farbe=gr%C3%BCn#%C3%A4")
    assert world.queued()[0].properties["url"] == url


def test_parameters_that_arrive_with_the_click_are_not_forwarded(world: Engine) -> None:
    # given
    event = http_event("GET", f"/c/{TOKEN}/{recipient()}", "")
    event |= {"rawQueryString": "next=https://evil.example", "queryStringParameters": {"next": "https://evil.example"}}
    # then
    assert_leads_to(click_redirect.handler(event, Context()), LINK.url)
    assert len(world.queued()) == 1


def test_a_probe_is_redirected_and_not_recorded(world: Engine) -> None:
    assert_leads_to(click(f"/c/{TOKEN}/{recipient()}", method="HEAD"), LINK.url)
    assert world.queued() == []


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        "%FF",
        "{{ mailtailor_track }}",
        recipient()[:-2],
        recipient(FOREIGN),
        recipient(NEWER),
        recipient(purpose=Purpose.MANAGE),
        "A" * 9_000,
    ],
)
def test_a_good_link_with_a_bad_recipient_redirects_unattributed(
    world: Engine, capsys: pytest.CaptureFixture[str], bad: str
) -> None:
    assert_leads_to(click(f"/c/{TOKEN}/{bad}"), LINK.url)
    assert world.queued() == []
    assert '"ClicksUnattributed":[1.0]' in capsys.readouterr().out


def test_a_link_of_a_retired_key_still_leads_to_its_destination(world: Engine) -> None:
    assert_leads_to(click(f"/c/{sign_link(RETIRED, LINK)}/{recipient(RETIRED)}"), LINK.url)
    assert len(world.queued()) == 1


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "https://evil.example",
        "https:%2F%2Fevil.example",
        "%2F%2Fevil.example",
        "%0d%0aLocation:%20https://evil.example",
        "aHR0cHM6Ly9ldmlsLmV4YW1wbGU",
        sign_link(FOREIGN, replace(LINK, url="https://evil.example/")),
        sign_link(NEWER, LINK),
        sign_mailing(KEYRING, MailingToken("https://evil.example/")),
        recipient(),
        TOKEN[:-1],
        TOKEN[:-8],
        TOKEN + "=",
        TOKEN.swapcase(),
        "A" * 4_097,
        "A" * 1_000_000,
        "..",
        "\ud800",
    ],
)
def test_what_is_not_our_link_leads_nowhere(world: Engine, capsys: pytest.CaptureFixture[str], bad: str) -> None:
    assert_leads_nowhere(click(f"/c/{bad}/{recipient()}"))
    assert world.queued() == []
    assert '"ClicksRefused":[1.0]' in capsys.readouterr().out


def test_a_signed_destination_that_is_no_web_address_leads_nowhere(
    world: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a token that signing itself would have refused
    with monkeypatch.context() as careless:
        careless.setattr(tokens, "check_destination", lambda _url: None)
        token = sign_link(KEYRING, replace(LINK, url="javascript:alert(1)"))
    # then
    assert_leads_nowhere(click(f"/c/{token}/{recipient()}"))
    assert world.queued() == []


@pytest.mark.usefixtures("world")
@given(st.text(max_size=60) | st.text("/c~%.-_A", max_size=60).map("/c/{}".format))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_path_that_we_did_not_sign_leads_anywhere(path: str) -> None:
    assert_leads_nowhere(click(path))


@pytest.mark.parametrize("path", [f"//c//{TOKEN}//{recipient()}", f"/c/{TOKEN}/{recipient()}/"])
def test_doubled_and_trailing_slashes_do_no_harm(world: Engine, path: str) -> None:
    assert_leads_to(click(path), LINK.url)
    assert len(world.queued()) == 1


def test_a_failing_queue_is_not_felt_and_the_event_can_be_replayed(
    world: Engine, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # given
    world.sqs.delete_queue(QueueUrl=world.url)
    # when / then
    assert_leads_to(click(f"/c/{TOKEN}/{recipient()}"), LINK.url)
    assert [json.loads(record.__dict__["event"])["type"] for record in caplog.records] == ["email_link_clicked"]
    assert '"EventsNotQueued":[1.0]' in capsys.readouterr().out


def test_without_the_keys_the_recipient_is_asked_to_try_again(world: Engine) -> None:
    # given
    world.secrets.delete_secret(SecretId="tokens", ForceDeleteWithoutRecovery=True)
    # when
    response = click(f"/c/{TOKEN}/{recipient()}")
    # then
    assert response["statusCode"] == 503
    assert response["headers"]["retry-after"] == "5"
    assert "location" not in response["headers"]


def test_the_environment_of_a_deployed_function_is_all_it_needs(world: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click_redirect, "dependencies", prepared(connect))
    assert_leads_to(click(f"/c/{TOKEN}/{recipient()}"), LINK.url)
    assert len(world.queued()) == 1
