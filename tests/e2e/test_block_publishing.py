"""Publishing blocks on the whole local system: by command and by API, until the content endpoint shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from infra.local import start
from infra.local.system import CREDENTIALS, REGION, System
from mailtailor_cli import block_versions
from mailtailor_cli.admin import sign_in
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from tests.e2e.people import until

DEFINITION = """name: {name}
description: A block.
variants: [{{name: all, template: all.html.j2}}]
cache: {{kind: shared, seconds: 0}}
fallback: nothing
"""
SOON = 25
"""Seconds: functions read the manifest every ten, and a busy machine is slow."""


@pytest.fixture
def running(system: System, monkeypatch: pytest.MonkeyPatch) -> Connection:
    settings = {"endpoint_url": system.endpoint_url, "region_name": REGION, **CREDENTIALS}
    connection = Connection("the test system", system.outputs, settings, clock=system.now)
    monkeypatch.setattr(block_versions, "connect", lambda _where: connection)
    return connection


def command(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["blocks", *arguments])
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    return result.output


def served(system: System, name: str, wanted: str) -> str:
    """Return what the content endpoint shows as soon as it holds what is wanted."""

    def fetched() -> str:
        return httpx.get(f"{system.base_url}/content/{name}", timeout=30).text

    return until(fetched, accept=lambda text: wanted in text, seconds=SOON)


@pytest.mark.usefixtures("running")
def test_what_is_pushed_is_shown_once_published_and_what_was_before_once_rolled_back(
    system: System, tmp_path: Path
) -> None:
    # given
    folder = tmp_path / "ribbon"
    folder.mkdir()
    (folder / "block.yaml").write_text(DEFINITION.format(name="ribbon"))
    template = folder / "all.html.j2"
    template.write_text("<style>p { color: #222222 }</style><p>Spring</p>")
    command("push", str(folder), "--publish")
    assert served(system, "ribbon", "Spring").strip() == '<p style="color: #222222;">Spring</p>'

    # when
    template.write_text("<p>Summer</p>")
    command("push", str(folder))
    command("publish", "ribbon")

    # then
    assert served(system, "ribbon", "Summer").strip() == "<p>Summer</p>"

    # and
    command("rollback", "ribbon")
    assert served(system, "ribbon", "Spring")
    assert "version 1" in command("list")


def test_the_same_is_done_by_api(system: System, running: Connection) -> None:
    # given
    token = sign_in(running, start.ADMINISTRATOR, system.admin_password)

    def ask(method: str, path: str, body: Any = None) -> Any:
        headers = {"authorization": f"Bearer {token}"}
        answer = httpx.request(method, f"{system.base_url}/admin/blocks{path}", headers=headers, json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    files = {
        "block.yaml": DEFINITION.format(name="banner").replace("all.html.j2", "all.mjml"),
        "all.mjml": "<mj-section><mj-column><mj-text>Autumn</mj-text></mj-column></mj-section>",
    }

    # when
    assert ask("PUT", "/banner", {"files": files})["published"] == 0
    ask("POST", "/banner/publish")

    # then
    assert "<mj-" not in served(system, "banner", "Autumn")
    assert ask("GET", "/banner/versions")["published"] == 1
    assert "banner" in {one["block"] for one in ask("GET", "")["blocks"]}

    # and
    assert ask("POST", "/banner/rollback")["published"] == 0
    until(
        lambda: httpx.get(f"{system.base_url}/content/banner", timeout=30).status_code,
        accept=lambda status: status == 404,
        seconds=SOON,
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PUT", "/hero"),
        ("GET", "/hero/versions"),
        ("POST", "/hero/publish"),
        ("POST", "/hero/rollback"),
    ],
)
def test_nobody_publishes_without_an_administrators_token(system: System, method: str, path: str) -> None:
    answer = httpx.request(method, f"{system.base_url}/admin/blocks{path}", json={}, timeout=30)

    assert answer.status_code == 401
