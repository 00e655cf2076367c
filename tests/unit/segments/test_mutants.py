"""The proof of exactness can fail: bugs in composition, at the edges of windows and in pruning are found.

`make mutants` plants all of them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.mutants.bugs import BUGS, Bug
from tests.mutants.hunt import LIBRARY, is_found, plant


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.quick], ids=lambda bug: bug.name)
def test_a_bug_is_found(bug: Bug) -> None:
    assert is_found(bug)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted(bug: Bug, tmp_path: Path) -> None:
    shutil.copytree(LIBRARY / "segments", tmp_path / "segments")
    plant(bug, tmp_path)
