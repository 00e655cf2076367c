"""Where things live on this machine, and the two virtual environments that the stand-in for AWS needs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mailtailor.errors import MailtailorError

ROOT: Final = Path(__file__).resolve().parents[2]
LOCAL: Final = ROOT / ".local"
"""Everything that only this machine needs; removing it costs time, never data of a deployed system."""


class CommandFailed(MailtailorError):
    """A program that the start needs has failed; the message carries its last words."""


def digest(paths: Iterable[Path], *extra: str) -> str:
    """Return a short digest of files' names and contents, in whatever order they come."""
    total = hashlib.sha256("\0".join(extra).encode())
    for path in sorted(paths):
        total.update(f"\0{path.relative_to(ROOT)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def run(command: list[str | Path], *, doing: str, environment: dict[str, str] | None = None) -> None:
    """Run a program quietly.

    Raises
    ------
    CommandFailed
        If it fails; the sentence ends with what the program said last.
    """
    done = subprocess.run(  # noqa: S603 - our own commands
        [str(part) for part in command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise CommandFailed(
            f"{doing} failed: {said[-1] if said else f'exit code {done.returncode}'}", "\n".join(said[-20:-1])
        )


def stand_in() -> Path:
    """Return the Python of the environment in which the stand-in for AWS runs, made if its lock changed."""
    lock = ROOT / "requirements" / "ministack.txt"
    home = LOCAL / "ministack-venv"
    ready = home / f"ready-{digest([lock], sys.version)}"
    python = home / "bin" / "python"
    if not ready.exists():
        shutil.rmtree(home, ignore_errors=True)
        uv = [sys.executable, "-m", "uv", "--no-progress"]
        run([*uv, "venv", "--quiet", "--python", sys.executable, home], doing="Making an environment for MiniStack")
        run(
            [*uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", lock],
            doing="Installing MiniStack",
        )
        ready.touch()
    return python


def functions() -> Path:
    """Return the Python that functions run on: an environment without any package, as Lambda's is but for its own.

    A function must find every dependency in its layers; in any other environment a missing one would go unnoticed.
    """
    home = LOCAL / "function-venv"
    ready = home / f"ready-{digest([], sys.version)}"
    if not ready.exists():
        run(
            [sys.executable, "-m", "venv", "--clear", "--without-pip", home],
            doing="Making an environment for functions",
        )
        ready.touch()
    return home / "bin" / "python"
