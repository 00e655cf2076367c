"""A local system for the end-to-end tests: their own port, their own state, gone when they are done."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from rich.console import Console
from standardwebhooks import Webhook

from infra.local import start
from infra.local.demo import sample
from infra.local.demo.seed import upload_catalog
from infra.local.phases import Phases
from infra.local.system import System
from tests.e2e.destination import delivering_to
from tests.e2e.people import secret


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A whole system: `base_url` for requests, `client(service)` for AWS, `outputs`, `write_key`, `move_clock`."""
    states = tmp_path_factory.mktemp("states")
    with start.running(port=0, demo=False, phases=Phases(Console(quiet=True)), states=states) as running:
        upload_catalog(running, sample.load())
        yield running


@pytest.fixture
def esp(system: System) -> Iterator[list[dict[str, Any]]]:
    """An ESP that gets membership changes: yields what arrived, each verified as a receiver would."""
    key = base64.b64encode(secret(system, "EspSecretId")["signing_key"].encode()).decode()
    webhook, arrived = Webhook(f"whsec_{key}"), []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            arrived.append(webhook.verify(body.decode(), dict(self.headers)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with delivering_to(f"http://127.0.0.1:{server.server_port}/", system):
        yield arrived
    server.shutdown()
