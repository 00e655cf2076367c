"""Requests that are wrong in every way the open internet finds: a pixel stays a pixel, a link never leads astray."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from infra.local.system import System
from mailtailor.tracking.pixel import GIF
from mailtailor.tracking.tokens import (
    Keyring,
    LinkToken,
    MailingToken,
    Purpose,
    RecipientToken,
    sign_link,
    sign_mailing,
    sign_recipient,
)
from tests.e2e.people import keyring, secret, until

DESTINATION = "https://shop.example/lamp"
FOREIGN = Keyring(active="k1", keys={"k1": b"somebody else's key, as long as it has to be"})
UNKNOWN = Keyring(active="k99", keys={"k99": b"a key of an id that nobody knows here, long"})


def link(keys: Keyring) -> str:
    return sign_link(keys, LinkToken(url=DESTINATION, campaign="spring", position=1, sent_at=0))


def mailing(keys: Keyring) -> str:
    return sign_mailing(keys, MailingToken("spring"))


def recipient(keys: Keyring) -> str:
    return sign_recipient(keys, RecipientToken("A" * 22, Purpose.TRACK, 0))


def raw(system: System, target: bytes, method: bytes = b"GET") -> tuple[int, bytes]:
    """Send a request target as it is, without a client that would mend it, and return status and body."""
    address = urlsplit(system.base_url)
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=30) as connection:
        connection.sendall(method + b" " + target + b" HTTP/1.1\r\nHost: mail.example\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize(
    "target",
    [
        "/o/x/y.gif",
        "/o/x",
        "/o/{mailing}/{tampered}.gif",
        "/o/{mailing}/{truncated}.gif",
        "/o/{mailing}/{foreign}.gif",
        "/o/{mailing}/{unknown}.gif",
        "/o/{mailing}//{recipient}.gif",
        "/o//{mailing}/{recipient}.gif",
        "/o/{mailing}/{recipient}.gif/",
        "/o/{mailing}/{recipient}",
        "/o/%ff%fe/%00.gif",
        "/o/{mailing}/{recipient}.gif?q={long}",
    ],
)
def test_the_pixel_always_answers_with_its_image(system: System, target: str) -> None:
    # given
    keys = keyring(system)
    good = recipient(keys)
    filled = target.format(
        mailing=mailing(keys),
        recipient=good,
        tampered=good[:-1] + ("A" if good[-1] != "A" else "B"),
        truncated=good[:-5],
        foreign=recipient(FOREIGN),
        unknown=recipient(UNKNOWN),
        long="a" * 7_000,
    )
    # when, then
    assert raw(system, filled.encode()) == (200, GIF)


@pytest.mark.parametrize("change", ["tampered", "truncated", "foreign", "unknown", "empty", "url"])
def test_a_bad_link_is_not_found_and_leads_nowhere(system: System, change: str) -> None:
    # given
    keys = keyring(system)
    good = link(keys)
    token = {
        "tampered": good[:-1] + ("A" if good[-1] != "A" else "B"),
        "truncated": good[: len(good) // 2],
        "foreign": link(FOREIGN),
        "unknown": link(UNKNOWN),
        "empty": "",
        "url": "https:%2f%2fevil.example",
    }[change]
    # when
    answer = httpx.get(f"{system.base_url}/c/{token}/{recipient(keys)}?url=https://evil.example", timeout=30)
    # then
    assert answer.status_code == 404
    assert "location" not in answer.headers
    assert "evil.example" not in answer.text


@pytest.mark.parametrize("token", ["garbage", "", "{{ mailtailor_track }}"])
def test_a_good_link_of_a_bad_recipient_still_leads_to_its_destination(system: System, token: str) -> None:
    answer = httpx.get(f"{system.base_url}/c/{link(keyring(system))}/{token}?utm_source=evil&url=//evil", timeout=30)
    assert (answer.status_code, answer.headers["location"]) == (302, DESTINATION)


def test_head_answers_like_get_without_a_body(system: System) -> None:
    keys = keyring(system)
    pixel = httpx.head(f"{system.base_url}/o/{mailing(keys)}/{recipient(keys)}.gif", timeout=30)
    assert (pixel.status_code, pixel.headers["content-type"], pixel.content) == (200, "image/gif", b"")
    click = httpx.head(f"{system.base_url}/c/{link(keys)}/{recipient(keys)}", timeout=30)
    assert (click.status_code, click.headers["location"]) == (302, DESTINATION)


@pytest.fixture
def rotated(system: System) -> Iterator[Keyring]:
    """Make a new key the active one, as `mailtailor tokens rotate` does; yield the keyring from before."""
    client, name = system.client("secretsmanager"), system.outputs["TokensSecretId"]
    before = dict(secret(system, "TokensSecretId"))
    added = {**before, "active": "rotated", "rotated": "a-new-key-of-the-end-to-end-tests-0123456789"}
    client.put_secret_value(SecretId=name, SecretString=json.dumps(added))
    yield Keyring.from_secret(before)
    client.put_secret_value(SecretId=name, SecretString=json.dumps({**added, "active": before["active"]}))


def test_links_of_a_retired_key_work_and_those_of_a_new_key_soon(system: System, rotated: Keyring) -> None:
    # given
    new = Keyring(active="rotated", keys={"rotated": b"a-new-key-of-the-end-to-end-tests-0123456789"})

    # when
    def follow(keys: Keyring) -> str:
        answer = httpx.get(f"{system.base_url}/c/{link(keys)}/{recipient(keys)}", timeout=30)
        return str(answer.headers.get("location", ""))

    # then
    assert follow(rotated) == DESTINATION
    # a function asks for the keys again when it meets one it lacks, but not more often than every ten seconds
    until(lambda: follow(new), seconds=15)


def test_the_tracking_api_wants_the_write_key(system: System) -> None:
    for auth in (None, ("wrong", "")):
        answer = httpx.post(f"{system.base_url}/v1/track", json={"userId": "u", "event": "X"}, auth=auth, timeout=30)
        assert answer.status_code == 401
        assert answer.json()["message"]
