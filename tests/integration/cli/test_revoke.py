from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mailtailor.tracking.tokens import Purpose, RecipientToken, read_recipient
from mailtailor_cli import tokens
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from tests.integration.functions.capture_engine import KEYRING, PROFILE
from tests.integration.functions.content_engine import Engine, engine


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    outputs = {"TokensSecretId": "tokens", "ProfilesTable": "profiles"}
    monkeypatch.setattr(tokens, "connect", lambda _where: Connection("the test system", outputs))
    with engine(monkeypatch, tmp_path) as running:
        yield running


def run(command: str) -> str:
    return CliRunner().invoke(app, ["tokens", command, PROFILE]).output


def tokens_now() -> dict[str, str]:
    return dict(line.split("\t") for line in run("recipient").splitlines())


def test_revoking_ends_what_sent_mails_may_fetch_and_keeps_what_they_track(world: Engine) -> None:
    # given a recipient who sees personal content
    world.put_profile()
    sent = tokens_now()
    assert "Hello Anna" in world.fetch(r=sent["content"])["body"]
    # when
    said = run("revoke")
    # then
    assert "epoch 1" in said
    assert "mailtailor tokens export" in said
    assert "Anna" not in world.fetch(r=sent["content"])["body"]
    assert "Hello Anna" in world.fetch(r=tokens_now()["content"])["body"]
    assert read_recipient(KEYRING, sent["track"], Purpose.TRACK) == RecipientToken(PROFILE, Purpose.TRACK)
