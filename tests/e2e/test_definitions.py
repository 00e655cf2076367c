"""Definitions changed on the whole local system: an edited threshold, from the command to what the ESP is told."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner, Result

from infra.local.system import CREDENTIALS, REGION, System
from mailtailor.aws.profile_table import ProfileTable
from mailtailor_cli import definitions
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from tests.e2e.people import Recipient, until

if TYPE_CHECKING:
    import pytest

    from mailtailor.profiles.profile import Profile

SEGMENTS = Path(__file__).parents[2] / "layers" / "definitions" / "segments"
TWICE = """
name: recent_purchasers
description: Customers who made two purchases within the past 7 days.
rule: {event: order_completed, at_least: 2, within: 7d}
"""


def run(*arguments: str) -> str:
    result: Result = CliRunner().invoke(app, ["segments", *arguments])
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    return " ".join(result.output.split())


def stored(system: System, recipient: Recipient) -> Profile:
    table = ProfileTable(client=system.client("dynamodb"), table=system.outputs["ProfilesTable"])
    profile = table.read(recipient.profile_id)
    assert profile is not None
    return profile


def told(esp: list[dict[str, Any]], recipient: Recipient) -> list[tuple[str, str]]:
    """Return what the ESP was told of somebody's purchases."""
    return [
        (one["type"], one["data"]["reason"].partition(":")[0])
        for one in esp
        if (one["data"]["profile_id"], one["data"]["segment"]) == (recipient.profile_id, "recent_purchasers")
    ]


def test_an_edited_threshold_flips_exactly_those_who_should_and_back_again(
    system: System, monkeypatch: pytest.MonkeyPatch, esp: list[dict[str, Any]], tmp_path: Path
) -> None:
    # given: one who bought once and one who bought twice
    settings = {"endpoint_url": system.endpoint_url, "region_name": REGION, **CREDENTIALS}
    running = Connection("the test system", system.outputs, settings, clock=system.now)
    monkeypatch.setattr(definitions, "connect", lambda _where: running)
    once, twice = Recipient(system).introduce(), Recipient(system).introduce()
    once.send([once.track("Order Completed", total=20)])
    twice.send([twice.track("Order Completed", total=20), twice.track("Order Completed", total=30)])
    for recipient in (once, twice):
        until(partial(told, esp, recipient), accept=lambda flips: len(flips) == 1)
    directory = tmp_path / "segments"
    shutil.copytree(SEGMENTS, directory)
    (directory / "recent_purchasers.yaml").write_text(TWICE)

    # when
    would = run("apply", str(directory), "--dry-run")
    did = run("apply", str(directory), "--note", "Twice.")

    # then
    assert "~ recent_purchasers changes." in would
    assert "version 1 rules" in did
    assert not stored(system, once).memberships.get("recent_purchasers", (False,))[0]
    assert stored(system, twice).memberships["recent_purchasers"].member
    until(lambda: told(esp, once), accept=lambda flips: len(flips) == 2)
    assert told(esp, once)[1] == ("segment.left", "definition")
    assert len(told(esp, twice)) == 1

    # and an event is evaluated by what rules now
    once.send([once.track("Order Completed", total=5)])
    until(lambda: told(esp, once), accept=lambda flips: len(flips) == 3)
    assert told(esp, once)[2] == ("segment.entered", "event")

    # when it is taken back, which the tests after this one need, too
    back = run("apply", "--version", "0")

    # then nobody's membership changes, and the versions are kept
    assert "version 2 rules" in back
    assert "Twice." in run("versions")
    assert [len(told(esp, one)) for one in (once, twice)] == [3, 1]
