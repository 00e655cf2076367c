"""Marketing Cloud's notifications: the verification of a callback, and what each event becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailtailor.errors import Unauthorized, Unavailable
from mailtailor.events.sources.webhook import Delivery, Reply
from mailtailor.profiles.identity import IdentityKind
from tests.senders import NOW, PSEUDONYMIZER, Servers, take, taken
from tests.senders.sfmc import EVENTS, KEY, SENDER, TOKEN_URL, VERIFY_URL, sign

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
    ],
)
def test_no_host_but_the_account_s_is_ever_asked(secrets: tuple[str, ...]) -> None:
    # given
    servers = Servers()
    # then
    with pytest.raises(Unavailable, match="account is not known"):
        take(asking(PAIR), "sfmc", secrets=secrets, servers=servers)
    assert servers.posted == []


def test_a_callback_s_old_and_new_key_are_good_at_once() -> None:
    assert taken(SENDER.delivery(EVENTS), "sfmc", secrets=("key=another", f"key={KEY}")).events


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
        for kind, key in ((IdentityKind.USER_ID, "0035e00000AbCdE"), (IdentityKind.EMAIL, "flora@example.com"))
    ]


def test_a_subscriber_key_that_is_an_address_is_one() -> None:
    *_, unsubscribed = taken(SENDER.delivery(EVENTS), "sfmc").events
    assert [one.kind for one in unsubscribed.identities] == [IdentityKind.EMAIL]


def test_an_event_that_cannot_be_used_takes_no_other_with_it() -> None:
    # given
    events = json.loads(EVENTS.body)
    events[1]["timestampUTC"] = "soon"
    # when
    received = taken(sign(json.dumps(events).encode(), {}, {}, NOW), "sfmc")
    # then
    assert len(received.events) == 4
    assert [(one.index, one.error.message) for one in received.rejected] == [(1, "timestampUTC must be a number.")]
