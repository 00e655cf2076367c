"""Marketing Cloud's notifications: the verification of a callback, and what each event becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.errors import Unauthorized, Unavailable
from mailtailor.events.sources.webhook import Delivery, Reply
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, Servers, take, taken
from tests.senders.sfmc import ACCOUNT as ACCOUNT_ENTRIES
from tests.senders.sfmc import EVENTS, KEY, SENDER, TOKEN_URL, VERIFY_URL, sign
from tests.unit.profiles.world import CONSENT, World, event, segment

PAIR = {"callbackId": "a1b2", "verificationKey": "c3d4"}
ACCOUNT = {TOKEN_URL: b'{"access_token": "the token"}', VERIFY_URL: b"{}"}


def asking(pair: Any) -> Delivery:
    return Delivery({}, json.dumps(pair).encode(), NOW)


def test_a_new_callback_is_verified_with_the_account_itself() -> None:
    # given
    servers = Servers(ACCOUNT)
    # when
    answer = take(asking(PAIR), "sfmc", servers=servers)
    # then
    assert answer == Reply()
    grant = {"grant_type": "client_credentials", "client_id": "client", "client_secret": "secret"}
    assert servers.posted == [(TOKEN_URL, grant, ""), (VERIFY_URL, PAIR, "the token")]


def test_a_pair_that_the_account_does_not_know_is_for_a_later_try() -> None:
    with pytest.raises(Unavailable):
        take(asking(PAIR), "sfmc", servers=Servers({TOKEN_URL: ACCOUNT[TOKEN_URL]}))


@pytest.mark.parametrize(
    "pair", [{}, {"callbackId": "a"}, {**PAIR, "more": "x"}, {**PAIR, "callbackId": {}}, [PAIR], "callbackId", None]
)
def test_anything_else_unsigned_is_refused_and_asks_nobody(pair: Any) -> None:
    # given
    servers = Servers(ACCOUNT)
    # then
    with pytest.raises(Unauthorized):
        take(asking(pair), "sfmc", servers=servers)
    assert servers.posted == []


@pytest.mark.parametrize(
    "secrets",
    [
        (f"key={KEY}",),
        ("subdomain=mc1", "client_id=a"),
        ("subdomain=evil.example/", "client_id=a", "client_secret=b"),
        ("subdomain=mc1.evil.example#", "client_id=a", "client_secret=b"),
        ("subdomain=-mc1", "client_id=a", "client_secret=b"),
        ("subdomain=MC1", "client_id=a", "client_secret=b"),
        ("subdomain=mc1\n", "client_id=a", "client_secret=b"),
    ],
)
def test_no_host_but_the_account_s_is_ever_asked(secrets: tuple[str, ...]) -> None:
    # given
    servers = Servers()
    # then
    with pytest.raises(Unavailable, match="account is not known"):
        take(asking(PAIR), "sfmc", secrets=secrets, servers=servers)
    assert servers.posted == []


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"access_token": ""}', b'{"access_token": []}', b"\xff"])
def test_an_answer_without_a_token_is_for_a_later_try(answer: bytes) -> None:
    # given
    servers = Servers({TOKEN_URL: answer, VERIFY_URL: b"{}"})
    # then
    with pytest.raises(Unavailable):
        take(asking(PAIR), "sfmc", servers=servers)
    assert [url for url, _, _ in servers.posted] == [TOKEN_URL]


def test_a_callback_can_be_verified_before_its_key_is_known() -> None:
    assert take(asking(PAIR), "sfmc", secrets=ACCOUNT_ENTRIES, servers=Servers(ACCOUNT)) == Reply()


def test_before_the_key_is_known_what_is_signed_is_refused() -> None:
    with pytest.raises(Unauthorized):
        take(SENDER.delivery(EVENTS), "sfmc", secrets=ACCOUNT_ENTRIES)


def test_a_signed_pair_is_no_request_to_verify() -> None:
    # given
    servers = Servers(ACCOUNT)
    # when
    received = taken(sign(json.dumps(PAIR).encode(), {}, {}, NOW), "sfmc", servers=servers)
    # then
    assert (received.events, servers.posted) == ([], [])


def test_a_callback_s_old_and_new_key_are_good_at_once() -> None:
    assert taken(SENDER.delivery(EVENTS), "sfmc", secrets=("key=another", f"key={KEY}")).events


def test_only_entries_that_are_keys_sign() -> None:
    with pytest.raises(Unauthorized):
        taken(SENDER.delivery(EVENTS), "sfmc", secrets=(KEY, f"client_secret={KEY}"))


def test_a_mail_sent_is_a_message_of_its_definition() -> None:
    # when
    [event, *_] = taken(SENDER.delivery(EVENTS), "sfmc").events
    # then
    assert (event.type, event.occurred_at, event.properties) == (
        "email_delivered",
        1_799_999_001_000,
        {"campaign": "spring"},
    )
    assert [(one.kind, one.id) for one in event.identities] == [
        (kind, PSEUDONYMIZER.pseudonym(kind, key))
        for kind, key in (
            (IdentityKind.USER_ID, "0035e00000AbCdE"),
            (IdentityKind.EMAIL, "flora@example.com"),
            (IdentityKind.ANONYMOUS_ID, "sfmc:333"),
        )
    ]


def test_an_open_or_click_of_no_definition_is_a_message_of_its_job() -> None:
    # when
    _, opened, clicked, *_ = taken(SENDER.delivery(EVENTS), "sfmc").events
    # then
    mail = {"campaign": "(not set)", "instance": "4711", "user_agent": json.loads(EVENTS.body)[1]["info"]["userAgent"]}
    assert opened.properties == mail
    assert clicked.properties == {**mail, "url": "https://shop.example/lamp?a=1&to=[email]"}


def test_what_names_the_subscriber_s_number_alone_is_of_whom_the_mail_was_sent_to() -> None:
    # given
    world = World(segments=[segment("openers", {"event": "email_opened", "within": "7d"})])
    world.now = NOW
    sent, opened, *_ = taken(SENDER.delivery(EVENTS), "sfmc").events
    person = sent.identities[0].id
    # when
    for one in (event("consent_changed", at=0, profile_id=person, consent=CONSENT), sent, opened):
        assert world.process(one) == {}
    # then
    assert [one.kind for one in opened.identities] == [IdentityKind.ANONYMOUS_ID]
    assert world.members(person) == {"openers"}


def test_only_a_bounce_that_lasts_counts() -> None:
    bounces = [one for one in taken(SENDER.delivery(EVENTS), "sfmc").events if one.type == "email_bounced"]
    assert [one.properties for one in bounces] == [{"campaign": "spring", "reason": "5.1.1"}]


@pytest.mark.parametrize(
    ("info", "kinds"),
    [
        ({"subscriberKey": "flora@example.com"}, [IdentityKind.EMAIL]),
        ({"subscriberKey": "flora@example.com", "to": "f@example.com"}, [IdentityKind.EMAIL]),
        ({"subscriberKey": "42"}, [IdentityKind.USER_ID]),
        ({"to": "flora@example.com"}, [IdentityKind.EMAIL]),
        ({}, []),
    ],
)
def test_a_subscriber_key_that_is_an_address_is_no_id(info: dict[str, Any], kinds: list[IdentityKind]) -> None:
    # given
    events = [{**json.loads(EVENTS.body)[0], "info": info}]
    # when
    [event] = taken(sign(json.dumps(events).encode(), {}, {}, NOW), "sfmc").events
    # then
    assert [one.kind for one in event.identities] == [*kinds, IdentityKind.ANONYMOUS_ID]


def test_a_subscriber_without_a_number_is_nobody_s_number() -> None:
    # given: what was not sent has zeros in place of numbers
    event = json.loads(EVENTS.body)[0]
    event["composite"]["subscriberId"] = "0"
    event["info"] = {}
    # then
    assert taken(sign(json.dumps([event]).encode(), {}, {}, NOW), "sfmc").events == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timestampUTC": None}, "timestampUTC is missing."),
        ({"timestampUTC": "soon"}, "timestampUTC must be a number."),
        ({"timestampUTC": -1}, "timestampUTC is no time since 1970."),
        ({"eventCategoryType": []}, "eventCategoryType must be text."),
        ({"composite": "4711"}, "composite must be an object."),
        ({"composite": {"jobId": {}}}, "composite.jobId must be text."),
        ({"info": []}, "info must be an object."),
    ],
)
def test_an_event_that_cannot_be_used_takes_no_other_with_it(change: dict[str, Any], message: str) -> None:
    # given
    events = json.loads(EVENTS.body)
    events[1] |= change
    # when
    received = taken(sign(json.dumps(events).encode(), {}, {}, NOW), "sfmc")
    # then
    assert len(received.events) == 4
    assert [(one.index, one.error.message) for one in received.rejected] == [(1, message)]
