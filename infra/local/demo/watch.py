"""Measures how long it takes from something a recipient does until their content is another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

POLL_SECONDS: Final = 0.1
GIVE_UP_SECONDS: Final = 10.0


@dataclass(slots=True)
class Change:
    """What became of the last thing a recipient did.

    Attributes
    ----------
    what
        What they did, as the page says it.
    seconds
        From then until the content was another; None as long as it is the same.
    over
        Whether nobody watches any more.
    """

    what: str
    began: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    over: bool = False


class Watch:
    """Watches one recipient's content after they did something.

    Parameters
    ----------
    fingerprint
        Fetches the content as an ESP would, and returns what identifies it; None if that failed.
    """

    def __init__(self, fingerprint: Callable[[], str | None]) -> None:
        self._fingerprint = fingerprint
        self._before: str | None = None
        self.change: Change | None = None

    def shown(self, fingerprint: str) -> None:
        """Note what the recipient sees, unless a change of it is being waited for."""
        if self.change is None or self.change.over:
            self._before = fingerprint

    def begin(self, what: str) -> None:
        """Watch from now on, in the background; what was watched for before is given up."""
        if self.change is not None:
            self.change.over = True
        self.change = Change(what)
        threading.Thread(target=self._run, args=(self.change,), name="watch", daemon=True).start()

    def _run(self, change: Change) -> None:
        while not change.over and time.monotonic() - change.began < GIVE_UP_SECONDS:
            now = self._fingerprint()
            if now is not None and now != self._before:
                change.seconds = time.monotonic() - change.began
                self._before = now
                break
            time.sleep(POLL_SECONDS)
        change.over = True
