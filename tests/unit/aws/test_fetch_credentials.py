from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.aws.fetch_credentials import FetchCredentials, presented
from mailtailor.aws.secrets import Secret

OLD, NEW = "o" * 32, "n" * 32
NOT_UTF8 = f"Basic {base64.b64encode(b':' + bytes([255]) * 40).decode()}"


class Stored:
    """Secrets Manager with one secret, and the time."""

    def __init__(self, **credentials: str) -> None:
        self.value = credentials
        self.reads = 0
        self.now = 1_000_000

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        self.reads += 1
        return {"SecretString": json.dumps(self.value)}

    def credentials(self) -> FetchCredentials:
        client: Any = self
        return FetchCredentials(Secret(client=client, secret_id="credentials", clock=lambda: self.now))


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    "header", [f"Bearer {NEW}", f"bearer  {NEW} ", basic(f"braze:{NEW}"), basic(f":{NEW}"), f"Bearer {OLD}"]
)
def test_each_valid_credential_is_admitted_in_each_form(header: str) -> None:
    assert Stored(old=OLD, new=NEW).credentials().admit(header)


@pytest.mark.parametrize(
    "header",
    [
        *("", "Bearer", "Bearer ", f"Bearer {NEW}x", f"Bearer {NEW[:-1]}", NEW, f"Token {NEW}", f"Bearer {NEW} {OLD}"),
        *("Basic !", basic(NEW), basic(f"{NEW}:"), NOT_UTF8),
        *("Bearer " + "x" * 10_000, "Bearer short", "Bearer \u00e9" + NEW, "Bearer \ud800" + NEW),
    ],
)
def test_nothing_else_is(header: str) -> None:
    assert not Stored(old=OLD, new=NEW, weak="short").credentials().admit(header)


@given(st.text(max_size=60))
def test_whatever_stands_in_the_header_is_refused_and_raises_nothing(header: str) -> None:
    for scheme in ("", "Bearer ", "Basic "):
        assert isinstance(presented(scheme + header), str)
        assert not Stored(old=OLD).credentials().admit(scheme + header)


def test_a_credential_that_was_added_is_known_at_once_and_one_taken_out_after_five_minutes() -> None:
    # given a function that knows the old one
    stored = Stored(old=OLD)
    credentials = stored.credentials()
    assert credentials.admit(f"Bearer {OLD}")

    # when the other one is added, then the old one taken out
    stored.now += 60_000
    stored.value["new"] = NEW
    assert credentials.admit(f"Bearer {NEW}")
    del stored.value["old"]
    stored.now += 5 * 60_000

    # then
    assert not credentials.admit(f"Bearer {OLD}")
    assert credentials.admit(f"Bearer {NEW}")


def test_who_guesses_makes_us_read_the_secret_every_ten_seconds_at_most() -> None:
    stored = Stored(old=OLD)
    credentials = stored.credentials()

    for _ in range(100):
        credentials.admit(f"Bearer {NEW}")

    assert stored.reads == 1
