from __future__ import annotations

import sys
from pathlib import Path

import pytest

from infra.local import environments
from infra.local.environments import CommandFailed


def test_a_program_that_fails_is_one_sentence_with_its_last_words() -> None:
    # given
    program = "import sys; print('first', file=sys.stderr); sys.exit('segments/a.yaml:3: no such operator')"
    # when
    with pytest.raises(CommandFailed) as raised:
        environments.run([sys.executable, "-c", program], doing="Synthesizing the templates")
    # then
    assert raised.value.message == "Synthesizing the templates failed: segments/a.yaml:3: no such operator"
    assert raised.value.hint == "first"


def test_a_digest_tells_contents_names_and_what_else_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("x")
    other.write_text("x")
    # when
    digests = {environments.digest([one]), environments.digest([other]), environments.digest([one], "3.13")}
    # then
    assert len(digests) == 3
    assert environments.digest([one, other]) == environments.digest([other, one])
