from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from infra.fallbacks import FALLBACKS, Fallback
from infra.local.front import Front, Origin, PortInUse, listen, serving

GIF = bytes(range(256))


class _Api(BaseHTTPRequestHandler):
    """Answers what the path asks for, and remembers what arrived."""

    protocol_version = "HTTP/1.1"
    seen: list[dict[str, Any]]

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.seen.append({"line": self.requestline, "headers": self.headers.items(), "body": body})
        if "slow" in self.path:
            time.sleep(4)
        failing = "fail" in self.path
        self.send_response(503 if failing else 200)
        answer = b"broken" if failing else GIF
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_POST = do_HEAD = do_GET  # noqa: N815 - http.server names them so

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[ThreadingHTTPServer]:
    handler = type("Api", (_Api,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _seen(api: ThreadingHTTPServer) -> list[dict[str, Any]]:
    return api.RequestHandlerClass.seen  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def front() -> Front:
    gif = Fallback(prefix="/o/", patience=3, content_type="image/gif", body=b"GIF89a")
    return Front([*(one for one in FALLBACKS if one.prefix == "/content/"), gif], least_patience=3)


@pytest.fixture
def base_url(front: Front, api: ThreadingHTTPServer) -> Iterator[str]:
    with _served(front) as url:
        front.open(Origin(f"http://127.0.0.1:{api.server_port}", host="abc.execute-api.localhost:1"))
        yield url


@contextlib.contextmanager
def _served(front: Front) -> Iterator[str]:
    listening = listen(0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with serving(front, listening):
        yield url


def _raw(base_url: str, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", httpx.URL(base_url).port or 0), timeout=5) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "target",
    ["/o//a/b.gif", "//o/a", "/c/a%2Fb/%E4?x=%20&x=+&y", "/a/../b/./c", "/content/x?r=a~b&m=%7B", "/?", "/a;b=c,d"],
)
def test_path_and_query_reach_the_api_as_they_came(base_url: str, api: ThreadingHTTPServer, target: str) -> None:
    # when
    _raw(base_url, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    # then
    assert _seen(api)[0]["line"] == f"GET {target.removesuffix('?')} HTTP/1.1"


def test_body_and_headers_reach_the_api_as_they_came_but_for_the_host(base_url: str, api: ThreadingHTTPServer) -> None:
    # when
    httpx.post(f"{base_url}/webhooks/shopify", content=GIF, headers={"x-shopify-hmac-sha256": "abc=="})
    # then
    seen = _seen(api)[0]
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert seen["body"] == GIF
    assert headers["host"] == "abc.execute-api.localhost:1"
    assert headers["x-shopify-hmac-sha256"] == "abc=="


def test_a_client_that_names_no_encoding_or_agent_is_given_none(base_url: str, api: ThreadingHTTPServer) -> None:
    # when
    _raw(base_url, b"GET /v1/p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    # then
    assert [name.lower() for name, _ in _seen(api)[0]["headers"]] == ["host"]


def test_a_binary_answer_and_repeated_headers_come_back_unchanged(base_url: str) -> None:
    # when
    answer = httpx.get(f"{base_url}/o/a/b.gif")
    # then
    assert answer.status_code == 200
    assert answer.content == GIF
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_head_brings_the_length_and_no_body(base_url: str) -> None:
    # when
    answer = httpx.head(f"{base_url}/o/a/b.gif")
    # then
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "256", b"")


@pytest.mark.parametrize("path", ["/o/fail", "/o/slow"])
def test_a_failing_or_slow_api_becomes_the_static_answer_where_the_cdn_has_one(base_url: str, path: str) -> None:
    # when
    answer = httpx.get(base_url + path)
    # then
    assert (answer.status_code, answer.content) == (200, b"GIF89a")
    assert answer.headers["content-type"] == "image/gif"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/content/fail", "text/html", b""),
        ("/content/slow.html?r=x.json", "text/html", b""),
        ("/content/fail.json?r=x", "application/json", b"{}"),
        ("/content/a,fail.txt", "text/plain", b""),
    ],
)
def test_a_block_that_nobody_answers_for_is_nothing_of_the_kind_asked_for(
    base_url: str, path: str, kind: str, body: bytes
) -> None:
    # when
    answer = httpx.get(base_url + path)
    # then
    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"


def test_an_api_that_is_gone_becomes_the_static_answer_too(front: Front, api: ThreadingHTTPServer) -> None:
    # given
    api.shutdown()
    api.server_close()
    with _served(front) as url:
        front.open(Origin(f"http://127.0.0.1:{api.server_port}", host="abc"))
        # when
        pixel, track = httpx.get(f"{url}/o/a.gif"), httpx.post(f"{url}/v1/track")
    # then
    assert (pixel.status_code, pixel.content) == (200, b"GIF89a")
    assert track.status_code == 503


def test_a_failing_api_stays_a_failure_elsewhere(base_url: str) -> None:
    # when
    answer = httpx.post(f"{base_url}/v1/fail")
    # then
    assert (answer.status_code, answer.content) == (503, b"broken")


def test_health_is_503_before_and_200_once_the_system_is_ready(front: Front) -> None:
    with _served(front) as url:
        # when
        before = httpx.get(f"{url}/healthz").status_code
        front.open(Origin("http://127.0.0.1:1", host="abc"))
        after = httpx.get(f"{url}/healthz")
    # then
    assert (before, after.status_code) == (503, 200)
    assert after.json() == {"status": "ready"}


def test_pages_of_the_demonstration_come_before_the_api(front: Front, api: ThreadingHTTPServer) -> None:
    with _served(front) as url:
        # given
        page = Route("/", lambda _: PlainTextResponse("inbox"))
        front.open(Origin(f"http://127.0.0.1:{api.server_port}", host="abc"), [page])
        # when
        answer = httpx.get(url)
    # then
    assert answer.text == "inbox"
    assert not _seen(api)


def test_a_busy_port_is_one_sentence_with_a_way_out() -> None:
    # given
    taken = listen(0)
    port = taken.getsockname()[1]
    # when
    with taken, pytest.raises(PortInUse) as raised:
        listen(port)
    # then
    assert str(raised.value) == f"Port {port} is in use. Choose another: make run PORT={port + 10}"
