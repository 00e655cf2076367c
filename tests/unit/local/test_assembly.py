from __future__ import annotations

from pathlib import Path

import pytest

from infra.local import assembly, environments


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    for name in ("infra/stacks/app.py", "infra/local/front.py", "functions/f/handler.py", "layers/l.txt", "cdk.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize("name", ["infra/stacks/app.py", "functions/f/handler.py", "layers/l.txt", "layers/new"])
def test_templates_are_old_once_anything_they_are_made_from_changes(root: Path, name: str) -> None:
    # given
    before = assembly.key()
    # when
    (root / name).write_text("changed")
    # then
    assert assembly.key() != before


@pytest.mark.parametrize("name", ["infra/local/front.py", "functions/f/__pycache__/handler.pyc", "README.md"])
def test_templates_stay_when_something_else_changes(root: Path, name: str) -> None:
    # given
    before = assembly.key()
    # when
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("changed")
    # then
    assert assembly.key() == before


def test_templates_that_are_current_are_not_written_again(root: Path) -> None:
    # given
    directory = root / "cdk.out"
    directory.mkdir()
    (directory / assembly.MADE_FROM).write_text(assembly.key())
    # when, then: synthesizing here would fail, for there is no CDK app
    assert assembly.synthesize(directory) == directory
