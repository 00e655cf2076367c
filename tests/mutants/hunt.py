"""Plants one bug into a copy of the engine, and tells whether random lives reveal it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.mutants.bugs import Bug

ROOT: Final = Path(__file__).parents[2]
LIBRARY: Final = ROOT / "layers/mailtailor/python/mailtailor"
LIVES: Final = 600
PROGRAM: Final = """
from tests.unit.segments.replay import Replay
for seed in range({lives}):
    Replay(seed).play(steps=40)
"""

OF_COLUMNS: Final = """
import tempfile
from pathlib import Path
from mailtailor.events import archive
from tests.unit.segments.columns.archived_lives import ArchivedLives
for seed in range(12):
    with tempfile.TemporaryDirectory() as folder:
        connection = archive.connect(memory="256MiB", threads=1, folder=Path(folder) / "duckdb")
        ArchivedLives(seed, 60).compare(connection, Path(folder))
"""
"""For bugs of columns, which the engine has not."""


class NoSuchText(Exception):
    """The text that a bug replaces is not there exactly once, so the bug would prove nothing."""


def is_found(bug: Bug) -> bool:
    """Return whether lives played with the bug differ from their history, or end in an error.

    Raises
    ------
    NoSuchText
        If the engine has changed where the bug should be planted.
    """
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "mailtailor"
        shutil.copytree(LIBRARY, copy, ignore=shutil.ignore_patterns("__pycache__"))
        plant(bug, copy)
        # One that never ends is found too.
        try:
            ended = subprocess.run(
                [sys.executable, "-c", OF_COLUMNS if bug.of_columns else PROGRAM.format(lives=LIVES)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([directory, str(ROOT)])},
                capture_output=True,
                check=False,
                timeout=120,
            )
        except subprocess.TimeoutExpired:
            return True
    return ended.returncode != 0


def plant(bug: Bug, library: Path) -> None:
    """Write the bug into the copy of the library at `library`."""
    file = library / "segments" / bug.module
    text = file.read_text()
    places = text.count(bug.right)
    if places != 1:
        raise NoSuchText(f"{bug.name}: the text in {bug.module} is there {places} times")
    file.write_text(text.replace(bug.right, bug.wrong))
