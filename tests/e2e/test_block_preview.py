"""Previews and coverage on the whole local system: commands, functions, and the authorizer before them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from infra.local.system import CREDENTIALS, REGION, System
from mailtailor_cli import block_preview, pictures
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from tests.e2e.people import Recipient, until


@pytest.fixture
def command(system: System, monkeypatch: pytest.MonkeyPatch) -> Any:
    settings = {"endpoint_url": system.endpoint_url, "region_name": REGION, **CREDENTIALS}
    running = Connection("the test system", system.outputs, settings, clock=system.now)
    monkeypatch.setattr(block_preview, "connect", lambda _where: running)
    monkeypatch.setenv("COLUMNS", "140")

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["blocks", *arguments])
        assert result.exit_code == 0, f"{result.output}{result.exception!r}"
        return result

    return run


def test_a_preview_is_what_the_esp_would_fetch_and_says_why(system: System, command: Any, tmp_path: Path) -> None:
    # given
    recipient = Recipient(system).introduce()
    served = until(recipient.content, accept=lambda content: content.get("variant", "fallback") != "fallback")
    # when
    told = json.loads(command("preview", "hero", "--as", recipient.profile_id, "--form", "json").stdout)
    command("preview", "hero", "--as", recipient.profile_id, "--out", str(tmp_path))
    # then: but for the links
    assert told["variant"] == served["variant"]
    assert "Robin" in told["body"]
    assert _without_links(told["body"]) == _without_links(served["html"])
    assert "/c/" not in told["body"]
    assert "Robin" in (tmp_path / "index.html").read_text(encoding="utf-8")


def _without_links(html: str) -> str:
    return re.sub(r'href="[^"]*"', "href", html)


def test_without_consent_a_preview_shows_what_is_sent_and_nothing_of_the_person(system: System, command: Any) -> None:
    # given
    recipient = Recipient(system, {"tracking": True, "personalization": False}).introduce()
    # when
    output = command("preview", "hero", "--as", recipient.profile_id, "--form", "html")
    # then
    assert "Robin" not in output.stdout
    assert "They allowed no personal content" in output.stderr


def test_coverage_counts_every_profile_of_a_small_system_once(system: System, command: Any) -> None:
    # given
    for personalization in (True, False):
        Recipient(system, {"tracking": True, "personalization": personalization}).introduce()
    # when
    told = json.loads(command("coverage", "hero", "--json").stdout)
    # then
    profiles = _profiles(system)
    assert told["whole"] is True
    assert told["looked_at"] == sum(told["shown"].values()) == profiles
    assert told["fallbacks"]["no_consent"] >= 1


def _profiles(system: System) -> int:
    pages = system.client("dynamodb").get_paginator("scan").paginate(TableName=system.outputs["ProfilesTable"])
    return sum("merged_into" not in item for page in pages for item in page["Items"])


@pytest.mark.parametrize("what", ["preview", "coverage"])
def test_nobody_looks_at_people_without_an_administrators_token(system: System, what: str) -> None:
    answer = httpx.post(f"{system.base_url}/admin/blocks/hero/{what}", json={"part": 0, "limit": 1}, timeout=30)

    assert answer.status_code == 401


@pytest.mark.skipif(not any(map(shutil.which, pictures.NAMES)), reason="no Chromium is installed")
def test_pictures_of_all_looks_are_taken(command: Any, tmp_path: Path) -> None:
    # when
    command("preview", "hero", "--empty", "--out", str(tmp_path), "--png")
    # then
    names = {"desktop-600.png", "phone-360.png", "dark-600.png", "images-off-600.png"}
    assert {file.name for file in tmp_path.glob("*.png")} == names
