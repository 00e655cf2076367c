"""The process of MiniStack, the stand-in for AWS: started, awaited and stopped with everything it spawned."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

import httpx

from infra.local import environments
from infra.local.system import CREDENTIALS, REGION
from mailtailor.errors import MailtailorError

START_SECONDS: Final = 60
STOP_SECONDS: Final = 20
LAUNCHER: Final = Path(__file__).with_name("launcher.py")


class StandInFailed(MailtailorError):
    """MiniStack did not start, or died."""


def free_port(preferred: int = 0) -> int:
    """Return a port of this machine that nobody listens on: `preferred` if it is free."""
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise StandInFailed("There is no free port on this machine.")


class MiniStack:
    """MiniStack with its state in a directory.

    State is loaded at start and saved when MiniStack is stopped in an orderly way. After any other end what is on
    disk may be half of it, so it is thrown away: everything in it can be made again.

    Parameters
    ----------
    state_dir
        Holds the state, the log, and the clock's offset.
    """

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.log = state_dir / "ministack.log"
        self._saved = state_dir / "saved"
        self._scratch = state_dir / "tmp"
        self._port_file = state_dir / "port"
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint_url = ""

    def start(self) -> bool:
        """Start, and return whether an earlier state was loaded.

        Raises
        ------
        StandInFailed
            If it does not answer in time.
        """
        kept = self._saved.exists() and self._keeps_its_port()
        if not kept:
            shutil.rmtree(self.state_dir, ignore_errors=True)
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._saved.unlink(missing_ok=True)
        port = free_port(int(self._port_file.read_text()) if kept else 0)
        self._port_file.write_text(str(port))
        self.endpoint_url = f"http://127.0.0.1:{port}"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own launcher
                # -P: beside the launcher lies this module, which would be taken for the package of its name.
                [environments.stand_in(), "-P", LAUNCHER],
                env=self._environment(port),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_ready()
        return kept

    def _keeps_its_port(self) -> bool:
        # Queue URLs carry the port, and functions carry queue URLs.
        port = int(self._port_file.read_text()) if self._port_file.exists() else 0
        return port > 0 and free_port(port) == port

    def _environment(self, port: int) -> dict[str, str]:
        # Functions inherit this environment, so nothing of ours goes in: no credentials, no PYTHONPATH.
        passed = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
        return passed | {
            "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "TMPDIR": str(self._scratch),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_REGION": REGION,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.state_dir / "services"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.state_dir / "objects"),
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "PYTHONUNBUFFERED": "1",
            "MAILTAILOR_CLOCK_FILE": str(self.state_dir / "clock"),
            "MAILTAILOR_FUNCTION_PYTHON": str(environments.functions()),
            "MAILTAILOR_UNPACKED": str(environments.LOCAL / "unpacked"),
        }

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.endpoint_url}/_ministack/ready", timeout=2).is_success:
                    return
            time.sleep(0.1)
        raise StandInFailed(f"MiniStack did not answer within {START_SECONDS} seconds.", f"Its log is {self.log}.")

    def check(self) -> None:
        """Raise `StandInFailed` if the process is gone."""
        if self._process is None or self._process.poll() is not None:
            said = self.log.read_text(errors="replace").strip().splitlines()
            raise StandInFailed(
                f"MiniStack has stopped: {said[-1] if said else 'it said nothing'}.", f"Its log is {self.log}."
            )

    def forget(self) -> None:
        """Stop, and throw the state away."""
        self.stop()
        self._saved.unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop it and whatever it spawned; the state is saved unless it does not stop in time."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            in_order = process.wait(STOP_SECONDS) == 0
        except subprocess.TimeoutExpired:
            in_order = False
        # The functions' workers are in the process group of MiniStack, which leads a session of its own.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)
        if process.stdin is not None:
            process.stdin.close()
        if in_order:
            self._saved.touch()
