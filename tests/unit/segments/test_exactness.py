"""The engine is exact at every instant: compared with an oracle over random rules and lives.

`make nightly` plays more of them.
"""

from __future__ import annotations

import pytest

from tests.unit.segments.replay import Replay

GROUPS, LIVES = 8, 40
CHECKS = 50_000
"""Of all groups together; a change of the lives must not make the proof a small one unnoticed."""


@pytest.mark.parametrize("group", range(GROUPS))
def test_what_is_stored_and_read_is_what_the_whole_history_says(group: int) -> None:
    checks = sum(Replay(seed).play() for seed in range(group * LIVES, (group + 1) * LIVES))
    assert checks >= CHECKS // GROUPS
