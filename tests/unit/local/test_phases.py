from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from infra.local.phases import Phases


def test_without_a_terminal_each_phase_is_one_plain_line() -> None:
    # given
    out = io.StringIO()
    phases = Phases(Console(file=out, width=80))
    # when
    with phases.phase("deploy") as tell:
        tell("3 of 90 resources")
    # then
    assert out.getvalue() == "✓ deploy           0.0 s\n"
    assert phases.seconds.keys() == {"deploy"}


def test_on_a_terminal_the_detail_is_shown_while_it_lasts() -> None:
    # given
    out = io.StringIO()
    phases = Phases(Console(file=out, width=80, force_terminal=True))
    # when
    with phases.phase("deploy") as tell:
        tell("3 of 90 resources")
        time.sleep(0.3)
        shown = out.getvalue()
    # then
    assert "deploy: 3 of 90 resources" in shown


def test_a_phase_that_fails_is_marked() -> None:
    # given
    out = io.StringIO()
    # when
    with pytest.raises(RuntimeError), Phases(Console(file=out, width=80)).phase("deploy"):
        raise RuntimeError
    # then
    assert out.getvalue() == "✗ deploy\n"
