"""A local system for the end-to-end tests: their own port, their own state, gone when they are done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.console import Console

from infra.local import start
from infra.local.phases import Phases
from infra.local.system import System


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A whole system: `base_url` for requests, `client(service)` for AWS, `outputs`, `write_key`, `move_clock`."""
    states = tmp_path_factory.mktemp("states")
    with start.running(port=0, demo=False, phases=Phases(Console(quiet=True)), states=states) as running:
        yield running
