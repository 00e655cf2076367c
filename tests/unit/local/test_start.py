from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from rich.console import Console

from infra.local import assembly, environments, ministack, start
from infra.local.front import PortInUse
from infra.local.ministack import MiniStack, StandInFailed
from infra.local.phases import Phases
from infra.local.system import System


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in that dies at once, or that writes what it is asked to and waits."""
    launcher = tmp_path / "launcher.py"
    monkeypatch.setattr(environments, "stand_in", lambda: Path(sys.executable))
    monkeypatch.setattr(environments, "functions", lambda: Path(sys.executable))
    monkeypatch.setattr(ministack, "LAUNCHER", launcher)
    return launcher


def test_a_stand_in_that_dies_says_its_last_words(stand_in: Path, tmp_path: Path) -> None:
    # given
    stand_in.write_text("raise SystemExit('no such module')")
    # when
    with pytest.raises(StandInFailed) as raised:
        MiniStack(tmp_path / "state").start()
    # then
    assert raised.value.message == "MiniStack has stopped: no such module."


def test_stopping_takes_along_what_the_stand_in_spawned(stand_in: Path, tmp_path: Path) -> None:
    # given
    stand_in.write_text(SERVER)
    running = MiniStack(tmp_path / "state")
    running.start()
    child = int((tmp_path / "state" / "tmp" / "child").read_text())
    # when
    running.stop()
    # then
    assert not _alive(child)


def test_state_is_kept_after_an_orderly_stop_only(stand_in: Path, tmp_path: Path) -> None:
    # given
    stand_in.write_text(SERVER)
    running = MiniStack(tmp_path / "state")
    # when
    first = running.start()
    running.stop()
    second = running.start()
    assert running._process is not None
    running._process.send_signal(signal.SIGKILL)
    running.stop()
    third = running.start()
    running.stop()
    # then
    assert (first, second, third) == (False, True, False)


def test_a_busy_port_is_told_before_anything_is_started(stand_in: Path, tmp_path: Path) -> None:
    # given
    stand_in.write_text("raise AssertionError")
    taken = socket.create_server(("127.0.0.1", 0))
    # when
    with taken, pytest.raises(PortInUse), _start(tmp_path, port=taken.getsockname()[1]):
        pass
    # then
    assert not (tmp_path / "states").exists()


def test_a_start_that_fails_leaves_nothing_running(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: the stand-in runs, but nothing can be deployed to it
    stand_in.write_text(SERVER)
    monkeypatch.setattr(assembly, "synthesize", lambda directory: directory / "missing")
    # when
    with pytest.raises(FileNotFoundError), _start(tmp_path, port=0):
        pass
    # then
    assert not [line for line in _processes() if str(stand_in) in line]


def _start(tmp_path: Path, *, port: int) -> AbstractContextManager[System]:
    return start.running(port=port, demo=False, phases=Phases(Console(file=io.StringIO())), states=tmp_path / "states")


def _alive(process: int) -> bool:
    return any(line.split()[0] == str(process) for line in _processes())


def _processes() -> list[str]:
    listed = subprocess.run(["ps", "-eo", "pid=,stat=,args="], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if line.split()[1][0] != "Z"]


SERVER = """
import http.server, os, pathlib, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(os.environ["TMPDIR"], "child").write_text(str(child.pid))
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["GATEWAY_PORT"])), Ready).serve_forever()
"""
