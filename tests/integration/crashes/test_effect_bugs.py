"""The proof can fail: bugs in the order of effects, and in what is done after a refusal, are found.

`make mutants` plants all of them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.mutants.effects import EFFECT_BUGS, FUNCTIONS, EffectBug, is_revealed, plant
from tests.mutants.hunt import LIBRARY


@pytest.mark.parametrize("bug", [bug for bug in EFFECT_BUGS if bug.quick], ids=lambda bug: bug.name)
def test_a_bug_is_revealed(bug: EffectBug) -> None:
    assert is_revealed(bug)


def test_every_bug_can_be_planted(tmp_path: Path) -> None:
    for bug in EFFECT_BUGS:
        file = tmp_path / bug.file
        file.parent.mkdir(parents=True, exist_ok=True)
        source = LIBRARY.parent if bug.file.startswith(LIBRARY.name) else FUNCTIONS.parent
        shutil.copy(source / bug.file, file)
        plant(bug, tmp_path)
