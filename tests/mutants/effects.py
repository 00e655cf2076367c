"""Plants one bug into a copy of library and functions, and tells whether the hour in which they can die reveals it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from tests.mutants.hunt import LIBRARY, ROOT, NoSuchText

FUNCTIONS: Final = ROOT / "functions"
PROGRAM: Final = """
import sys
import tests.conftest
from tests.integration.crashes.runs import reveals
from tests.integration.crashes.wire import Kind, Outcome
sys.exit(2 if reveals(Kind(*sys.argv[1:3]), Outcome[sys.argv[3]]) else 0)
"""


class EffectBug(NamedTuple):
    """One bug.

    Attributes
    ----------
    name
        What is wrong.
    file
        The file, below `mailtailor` or `functions`.
    right, wrong
        The text, which is there exactly once, and what takes its place.
    function, request, outcome
        The fault that should reveal it.
    quick
        That the tests of every change look for it too.
    """

    name: str
    file: str
    right: str
    wrong: str
    function: str
    request: str
    outcome: str
    quick: bool = False


EFFECT_BUGS: Final = [
    EffectBug(**one) for one in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
]


def is_revealed(bug: EffectBug) -> bool:
    """Return whether something is lost, doubled or untrue in the end if the bug is there.

    Raises
    ------
    NoSuchText
        If the code has changed where the bug should be planted.
    RuntimeError
        If the hour could not be played with it.
    """
    with tempfile.TemporaryDirectory() as directory:
        for source in (LIBRARY, FUNCTIONS):
            shutil.copytree(source, Path(directory) / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        plant(bug, Path(directory))
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, bug.function, bug.request, bug.outcome],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([directory, str(ROOT)])},
            # Python looks there first, and would find the functions without the bug here.
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode not in {0, 2}:
        raise RuntimeError(f"{bug.name}: {ended.stderr[-2_000:]}")
    return ended.returncode == 2


def plant(bug: EffectBug, directory: Path) -> None:
    """Write the bug into the copies in a directory."""
    file = directory / bug.file
    text = file.read_text()
    places = text.count(bug.right)
    if places != 1:
        raise NoSuchText(f"{bug.name}: the text in {bug.file} is there {places} times")
    file.write_text(text.replace(bug.right, bug.wrong))
