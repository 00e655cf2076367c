"""How long it takes from a click to changed content, on a local system of its own."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from rich.console import Console

from infra.local import start
from infra.local.demo import sample
from infra.local.demo.seed import upload_catalog
from infra.local.phases import Phases
from infra.local.system import System
from tests.e2e.people import Recipient


def click_to_content(*, runs: int) -> list[float]:
    """Return the seconds from sending a click until a fetch of the block shows the other variant, ascending."""
    with (
        tempfile.TemporaryDirectory() as states,
        start.running(port=0, demo=False, phases=Phases(Console(quiet=True)), states=Path(states)) as system,
    ):
        upload_catalog(system, sample.load())
        once(system)
        return sorted(once(system) for _ in range(runs))


def once(system: System) -> float:
    """Return the seconds from a click of somebody new until their content is another."""
    recipient = Recipient(system, patient=True).introduce()
    recipient.content()
    started = time.perf_counter()
    recipient.click(product_id="85123A", category="Lighting")
    # Under load the CDN may answer in the function's place, and then names no variant.
    while recipient.content().get("variant") != "products":
        time.sleep(0.01)
    return time.perf_counter() - started
