"""Moto behind a socket: for clients that are not botocore's, and for what only a socket can do to them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.core.models import botocore_stubber

_SERVICE = re.compile(r"Credential=[^/]+/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/")
ERROR = b'{"__type": "com.amazonaws#%s", "message": "as the test asks"}'


@dataclass
class Trouble:
    """What a service does instead of answering.

    Attributes
    ----------
    seconds
        How long it waits before all else.
    status, code
        What it answers then; without a status it answers as ever.
    hang_up
        Whether it closes the connection instead.
    """

    seconds: float = 0
    status: int = 0
    code: str = ""
    hang_up: bool = False


@dataclass
class AwsOverHttp:
    """What a test holds of the server.

    Attributes
    ----------
    url
        Where it is.
    calls
        What was asked for, as `dynamodb:GetItem`.
    trouble
        By service, as `dynamodb`, or by call.
    """

    url: str = ""
    calls: list[str] = field(default_factory=list)
    trouble: dict[str, Trouble] = field(default_factory=dict)


@contextmanager
def aws_over_http() -> Iterator[AwsOverHttp]:
    """Serve what moto mocks; to be used within `mock_aws`."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.state = AwsOverHttp()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        scope = _SERVICE.search(self.headers["authorization"])
        assert scope
        trouble = self._trouble(scope["service"])
        time.sleep(trouble.seconds)
        if trouble.hang_up:
            self.close_connection = True
        elif trouble.status:
            self._send(trouble.status, {}, ERROR % trouble.code.encode())
        else:
            self._send(*self._mocked(f"https://{scope['service']}.{scope['region']}.amazonaws.com", body))

    def _trouble(self, service: str) -> Trouble:
        state = self.server.state
        call = f"{service}:{self.headers.get('x-amz-target', '.GetObject').rpartition('.')[2]}"
        state.calls.append(call)
        return state.trouble.get(call) or state.trouble.get(service) or Trouble()

    def _mocked(self, host: str, body: bytes) -> tuple[int, dict[str, Any], bytes]:
        headers = HTTPHeaders()
        for name, value in self.headers.items():
            headers[name] = value
        request = AWSPreparedRequest(self.command, host + self.path, headers, body, False)
        answer = botocore_stubber.process_request(request)
        assert answer
        status, answered, content = answer
        return status, answered, content.encode() if isinstance(content, str) else content

    def _send(self, status: int, headers: dict[str, Any], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "connection", "date", "server"}:
                self.send_header(name, str(value))
        if status != 304:
            self.send_header("content-length", str(len(content)))
        # Who asked may have given up long ago.
        with suppress(ConnectionError):
            self.end_headers()
            if status != 304:
                self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
