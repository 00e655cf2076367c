"""What other servers are asked, over real connections: encrypted, bounded, without redirects."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailtailor.aws.outside import MAX_BYTES, HttpsServers
from mailtailor.errors import Unavailable
from mailtailor.instant import DAY


@dataclass
class Server:
    """A server with a certificate of its own."""

    url: str
    authority: str
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


def certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, plain) + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    file = certificate(tmp_path_factory.mktemp("tls"))
    running = Server("", str(file))

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            running.asked.append((self.command, self.path, dict(self.headers), body))
            status, content = {
                "/large": (200, b"x" * (MAX_BYTES + 1)),
                "/broken": (500, b""),
                "/elsewhere": (302, b""),
            }.get(self.path, (200, b"answer"))
            self.send_response(status)
            self.send_header("location", "/plain")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the standard library's own name

        def log_message(self, *_: Any) -> None:
            """Keep the test's output quiet."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    running.url = f"https://127.0.0.1:{listening.server_port}"
    yield running
    listening.shutdown()
    listening.server_close()


@pytest.fixture
def now() -> list[int]:
    return [1_800_000_000_000]


@pytest.fixture
def servers(server: Server, now: list[int]) -> HttpsServers:
    server.asked.clear()
    return HttpsServers(lambda: now[0], urllib3.PoolManager(ca_certs=server.authority))


def test_an_answer_is_returned_and_one_that_may_be_kept_is_asked_for_once_a_day(
    server: Server, servers: HttpsServers, now: list[int]
) -> None:
    # when
    answers = [servers.get(f"{server.url}/key"), servers.kept(f"{server.url}/key"), servers.kept(f"{server.url}/key")]
    now[0] += DAY
    answers.append(servers.kept(f"{server.url}/key"))
    # then
    assert answers == [b"answer"] * 4
    assert len(server.asked) == 3


def test_what_is_posted_is_json_with_its_bearer_token(server: Server, servers: HttpsServers) -> None:
    # when
    servers.post(f"{server.url}/verify", {"id": 7}, bearer="token")
    # then
    [(method, path, headers, body)] = server.asked
    assert (method, path, json.loads(body)) == ("POST", "/verify", {"id": 7})
    assert headers["authorization"] == "Bearer token"


@pytest.mark.parametrize("path", ["/large", "/broken", "/elsewhere"])
def test_an_answer_that_is_too_large_none_or_elsewhere_is_not_taken(
    server: Server, servers: HttpsServers, path: str
) -> None:
    with pytest.raises(Unavailable):
        servers.get(f"{server.url}{path}")
    with pytest.raises(Unavailable):
        servers.kept(f"{server.url}{path}")
    assert {asked[1] for asked in server.asked} == {path}


def test_a_server_that_is_not_who_it_says_or_not_there_is_not_believed(server: Server, now: list[int]) -> None:
    # given: nobody vouches for the certificate
    strangers = HttpsServers(lambda: now[0])
    # then
    for url in (server.url, "https://127.0.0.1:1/", server.url.replace("https", "http")):
        with pytest.raises(Unavailable):
            strangers.get(url)
