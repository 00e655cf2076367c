from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.click_redirect import handler as click_redirect
from mailtailor.aws.capture import connect
from mailtailor.aws.startup import prepared
from mailtailor.tracking import tokens
from mailtailor.tracking.tokens import LinkToken, MailingToken, Purpose, read_stitch, sign_link, sign_mailing
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
from tests.unit.tracking.test_open_redirects import HOSTILE_QUERIES, REFUSED_DESTINATIONS, REFUSED_TOKENS

LINK = LinkToken("https://shop.example/lamp?id=1#top", "spring", 3, NOW - 60_000, "85123A", "lights")
TOKEN = sign_link(KEYRING, LINK)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    with engine(monkeypatch) as running:
        monkeypatch.setattr(click_redirect, "dependencies", lambda: running.capture)
        yield running


def click(path: str, query: str = "", method: str = "GET", **headers: str) -> dict[str, Any]:
    return click_redirect.handler(http_event(method, path, query=query, **headers), Context())  # type: ignore[no-any-return]


def change(world: Engine, patch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Give the function other settings."""
    capture = replace(world.capture, **settings)
    patch.setattr(click_redirect, "dependencies", lambda: capture)


def assert_leads_to(response: dict[str, Any], destination: str) -> None:
    assert response["statusCode"] == 302
    assert response["headers"] == {
        "location": destination,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "content-type": "text/plain; charset=utf-8",
        "x-content-type-options": "nosniff",
    }
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


def test_the_click_fills_the_slots_and_no_value_enters_the_event(world: Engine) -> None:
    # given
    link = sign_link(KEYRING, replace(LINK, url="https://shop.example/?name=\0&id=7&city=\0#top"))
    # when
    response = click(f"/c/{link}/{recipient()}", "s1=Ann+Example&s2=K%C3%B6ln%20%26x%3D1&s1=second&id=8")
    # then
    assert_leads_to(response, "https://shop.example/?name=Ann%20Example&id=7&city=K%C3%B6ln%20%26x%3D1#top")
    assert world.queued()[0].properties["url"] == "https://shop.example/?name=&id=7&city=#top"


def test_slots_that_the_click_does_not_fill_are_empty(world: Engine) -> None:
    # given
    link = sign_link(KEYRING, replace(LINK, url="https://shop.example/?name=\0&city=\0"))
    # then
    assert_leads_to(click(f"/c/{link}/{recipient()}", "s2=K"), "https://shop.example/?name=&city=K")
    assert_leads_to(click(f"/c/{link}/{recipient()}", "s1=" + "x" * 20_000), "https://shop.example/?name=&city=")
    assert len(world.queued()) == 2


def test_parameters_that_arrive_with_the_click_are_not_forwarded(world: Engine) -> None:
    assert_leads_to(click(f"/c/{TOKEN}/{recipient()}", "next=https://evil.example&s1=x"), LINK.url)
    assert len(world.queued()) == 1


def test_parameters_of_the_allow_list_are_forwarded_and_override_nothing(
    world: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    change(world, monkeypatch, forwarded=("gclid", "mc_cid", "id", "mt_stitch"))
    query = f"next=x&mc_cid=a%26b&gclid={'g' * 300}&gclid=second&id=2&mt_stitch=planted"
    # then
    assert_leads_to(
        click(f"/c/{TOKEN}/{recipient()}", query),
        f"https://shop.example/lamp?id=1&gclid={'g' * 200}&mc_cid=a%26b#top",
    )
    assert world.queued()[0].properties["url"] == LINK.url


def test_a_probe_is_redirected_and_recorded_as_one(world: Engine) -> None:
    assert_leads_to(click(f"/c/{TOKEN}/{recipient()}", method="HEAD"), LINK.url)
    assert world.queued()[0].properties["method"] == "HEAD"


def test_a_browser_that_asks_not_to_be_tracked_is_redirected_and_not_recorded(
    world: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    change(world, monkeypatch, stitching=True)
    link = sign_link(KEYRING, replace(LINK, url="https://shop.example/?name=\0"))
    # when
    response = click(f"/c/{link}/{recipient()}", "s1=Ann", sec_gpc="1")
    # then
    assert_leads_to(response, "https://shop.example/?name=Ann")
    assert world.queued() == []
    printed = capsys.readouterr().out
    assert '"ClicksOptedOut":[1.0]' in printed
    assert PROFILE not in printed


def test_the_shops_page_is_told_whose_click_it_was_if_that_is_wanted(
    world: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    change(world, monkeypatch, stitching=True)
    # when
    addresses = [click(f"/c/{TOKEN}/{recipient()}")["headers"]["location"] for _ in range(2)]
    # then
    stitches = [re.fullmatch(r"https://shop\.example/lamp\?id=1&mt_stitch=([\w-]+)#top", one) for one in addresses]
    told = [read_stitch(KEYRING, one[1], now=NOW + 600_000) for one in stitches if one]
    assert [(one.profile_id, one.issued_at) for one in told] == [(PROFILE, NOW)] * 2
    assert told[0].nonce != told[1].nonce
    assert not [event for event in world.queued() if "mt_stitch" in str(event.properties)]


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (f"/c/{TOKEN}/{recipient()}", "HEAD"),
        (f"/c/{TOKEN}/{recipient(FOREIGN)}", "GET"),
        (f"/c/{TOKEN}/", "GET"),
        (f"/c/{sign_link(KEYRING, replace(LINK, position=0))}/{recipient()}", "GET"),
    ],
)
def test_what_is_nobodys_click_is_not_stitched(
    world: Engine, monkeypatch: pytest.MonkeyPatch, path: str, method: str
) -> None:
    change(world, monkeypatch, stitching=True)
    assert_leads_to(click(path, method=method), LINK.url)


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


@pytest.mark.parametrize("kind", REFUSED_DESTINATIONS)
def test_a_signed_destination_that_is_no_web_address_leads_nowhere(
    world: Engine, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    for url in REFUSED_DESTINATIONS[kind]:
        # given: a token that signing itself would have refused
        try:
            payload = url.encode()
        except UnicodeEncodeError:
            continue
        with monkeypatch.context() as careless:
            careless.setattr(tokens, "check_destination", lambda _url: None)
            token = sign_link(KEYRING, replace(LINK, url=payload.decode()))
        # then
        assert_leads_nowhere(click(f"/c/{token}/{recipient()}", "s1=https://evil.example"))
    assert world.queued() == []


@pytest.mark.parametrize("kind", REFUSED_TOKENS)
def test_no_token_of_another_kind_leads_anywhere(world: Engine, kind: str) -> None:
    for token in REFUSED_TOKENS[kind]:
        assert_leads_nowhere(click(f"/c/{token}/{recipient()}", "url=https://evil.example"))
        assert_leads_nowhere(click(f"/c/{quote(token, safe='')}/{recipient()}"))
    assert world.queued() == []


@pytest.mark.parametrize("query", HOSTILE_QUERIES)
def test_no_query_leads_elsewhere_or_adds_a_header(world: Engine, query: str) -> None:
    # given
    link = sign_link(KEYRING, replace(LINK, url="https://shop.example/a?first=\0&fixed=1#top"))
    # when
    sent = click(f"/c/{link}/{recipient()}", query)["headers"]["location"]
    # then
    assert re.fullmatch(r"https://shop\.example/a\?first=[\w.~%-]*&fixed=1#top", sent, re.ASCII)
    assert "evil" not in str(world.queued()[0].properties)


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
    assert_leads_to(click(f"/c/{TOKEN}/{recipient()}", "gclid=1"), LINK.url)
    assert len(world.queued()) == 1


@pytest.mark.usefixtures("world")
def test_forwarding_and_stitching_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setenv("FORWARDED_PARAMETERS", "mc_cid, gclid,")
    monkeypatch.setenv("STITCHING", "on")
    monkeypatch.setattr(click_redirect, "dependencies", prepared(connect))
    # when
    sent = click(f"/c/{TOKEN}/{recipient()}", "gclid=1&other=2&mc_cid=3")["headers"]["location"]
    # then
    assert re.fullmatch(r"https://shop\.example/lamp\?id=1&mt_stitch=[\w-]{70,80}&mc_cid=3&gclid=1#top", sent)
