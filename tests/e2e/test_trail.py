"""The trail on the whole local system: who left days ago is told when and why she was in, and whether she was then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.testing import CliRunner

from infra.local.system import CREDENTIALS, REGION, System
from mailtailor.instant import DAY, to_iso
from mailtailor_cli import segments
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from tests.e2e.people import Recipient, until

if TYPE_CHECKING:
    import pytest

SEGMENT = "browse_abandoners"


def test_why_tells_who_entered_by_an_event_and_left_by_time(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: who viewed a product, and three days that pass
    settings = {"endpoint_url": system.endpoint_url, "region_name": REGION, **CREDENTIALS}
    running = Connection("the test system", system.outputs, settings, clock=system.now)
    monkeypatch.setattr(segments, "connect", lambda _where: running)
    recipient = Recipient(system).introduce()
    recipient.click(product_id="85123A", category="Lighting")
    until(recipient.segments, accept=lambda names: SEGMENT in names)
    then = system.now()
    system.move_clock(3 * DAY)
    until(recipient.segments, accept=lambda names: SEGMENT not in names)

    def why(*options: str) -> str:
        return CliRunner().invoke(app, ["segments", "why", recipient.profile_id, SEGMENT, *options]).output

    # then: flips are archived a minute later
    told = until(why, accept=lambda text: "left" in text and "email_link_clicked" in text, seconds=180)
    left, entered = [line for line in told.splitlines() if line.startswith(("  left", "  entered"))]
    assert left.endswith("UTC by time")
    assert "because of event" in entered
    assert "not in the archive yet" not in told
    # and of then the trail knows that she was in it
    assert "By their flips, they were in it then." in why("--at", to_iso(then))
