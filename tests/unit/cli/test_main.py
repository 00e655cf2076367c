from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from mailtailor.errors import BadInput
from mailtailor_cli import main


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command with a subcommand that fails as it is told."""
    monkeypatch.delenv(main.DEBUG_VARIABLE, raising=False)

    def run(error: BaseException, *arguments: str) -> int:
        def fail() -> None:
            raise error

        monkeypatch.setattr(main, "app", fail if not arguments else main.app)
        monkeypatch.setattr(sys, "argv", ["mailtailor", *arguments])
        with pytest.raises(SystemExit) as raised:
            main.main()
        return int(raised.value.code or 0)

    return run


def test_what_a_person_can_mend_is_one_sentence_and_a_hint(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    # when
    code = run(BadInput("The campaign [x] is empty.", "Name one."))
    # then
    assert code == 1
    assert capsys.readouterr() == ("", "The campaign [x] is empty. Name one.\n")


def test_an_interrupt_says_nothing(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(KeyboardInterrupt()) == 130
    assert capsys.readouterr() == ("", "")


def test_debugging_shows_where_an_error_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setenv(main.DEBUG_VARIABLE, "1")

    def fail() -> None:
        raise BadInput("no")

    monkeypatch.setattr(main, "app", fail)
    # when, then
    with pytest.raises(BadInput):
        main.main()
