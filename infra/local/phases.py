"""Tells what a start is doing: a spinner with details on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

Tell = Callable[[str], None]
"""Says what a phase is at; only a terminal shows it."""

WIDTH: Final = 14


class Phases:
    """The phases of a start, each with its seconds.

    Parameters
    ----------
    console
        Where to; nothing moves on it unless it is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[Tell]:
        """Show that `name` goes on, and at its end how long it took."""
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            tell: Tell = lambda _: None  # noqa: E731 - the other branch's is a bound method
            if self.console.is_terminal:
                status = stack.enter_context(self.console.status(name))
                tell = lambda text: status.update(f"{name}: {text}")  # noqa: E731
            try:
                yield tell
            except BaseException:
                self.console.print(f"[red]✗[/] {name}", highlight=False)
                raise
        took = self.seconds[name] = time.monotonic() - began
        self.console.print(f"[green]✓[/] {name:<{WIDTH}}[dim]{took:6.1f} s[/]", highlight=False)
