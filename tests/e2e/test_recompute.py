"""Recomputing on the whole local system: the command, its queue and function, the archive, and what the ESP is told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from infra.local.system import CREDENTIALS, REGION, System
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.events import archive
from mailtailor_cli import estimate, recompute
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from tests.e2e.people import Recipient, until

if TYPE_CHECKING:
    import pytest


def _archived(system: System, profile_id: str) -> int:
    """Return how many files the person's bucket of the archive has."""
    files = system.client("s3").list_objects_v2(Bucket=system.outputs["ArchiveBucket"], Prefix=archive.EVENTS)
    return sum(f"bucket={archive.bucket(profile_id):02}/" in file["Key"] for file in files.get("Contents", []))


def test_who_remembers_nothing_of_a_segments_history_gets_it_from_the_archive(
    system: System, monkeypatch: pytest.MonkeyPatch, esp: list[dict[str, Any]]
) -> None:
    # given: an order in the archive, and a profile as from before the segment was deployed
    settings = {"endpoint_url": system.endpoint_url, "region_name": REGION, **CREDENTIALS}
    running = Connection("the test system", system.outputs, settings, clock=system.now)
    for command in (estimate, recompute):
        monkeypatch.setattr(command, "connect", lambda _where: running)
    recipient = Recipient(system).introduce()
    until(lambda: _archived(system, recipient.profile_id), seconds=120)
    before = _archived(system, recipient.profile_id)
    recipient.send([recipient.track("Order Completed", total=20)])
    until(recipient.segments, accept=lambda segments: "recent_purchasers" in segments)
    until(lambda: _archived(system, recipient.profile_id), accept=lambda files: files > before, seconds=120)
    table = ProfileTable(client=system.client("dynamodb"), table=system.outputs["ProfilesTable"])
    loaded = table.load([recipient.profile_id])[recipient.profile_id]
    table.save(replace(loaded, profile=replace(loaded.profile, streams={}, memberships={}, definitions="before")), ())

    # when
    estimated = CliRunner().invoke(app, ["segments", "estimate", "--json"])
    would = CliRunner().invoke(app, ["segments", "recompute", "--dry-run"])
    did = CliRunner().invoke(app, ["segments", "recompute"])

    # then
    assert (would.exit_code, did.exit_code) == (0, 0), f"{would.output}{did.output}{did.exception}"
    assert estimated.exit_code == 0, f"{estimated.output}{estimated.exception}"
    assert json.loads(estimated.stdout)["segments"]["recent_purchasers"]["members"] >= 1
    assert "recent_purchasers" in would.output
    assert ": done." in did.output
    assert "recent_purchasers" in recipient.segments()
    told = until(
        lambda: [one["data"] for one in esp if one["data"]["profile_id"] == recipient.profile_id],
        accept=lambda flips: [one["reason"] for one in flips].count("definition") == 1,
    )
    assert [one["segment"] for one in told] == ["recent_purchasers", "recent_purchasers"]
