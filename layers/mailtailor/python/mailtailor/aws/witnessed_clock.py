"""A clock that is checked, for functions that write what time decides."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from mailtailor.aws.clock import Clock, system_clock
from mailtailor.aws.observability import count
from mailtailor.instant import SECOND, Instant, from_datetime

if TYPE_CHECKING:
    from botocore.client import BaseClient

TRUSTED: Final = 2 * SECOND
"""So far a machine's clock may be from AWS's before it is not believed. AWS tells whole seconds, so two clocks that are
believed differ by no more than `instant.SKEW`."""
_ASKED_AT: Final = "mailtailor_asked_at"


class WitnessedClock:
    """The machine's clock as long as AWS's agrees with it, AWS's otherwise.

    Every answer of AWS says when it was made. A clock that is ahead would have members leave before their time, and
    what was written then would hold until that time; one that is behind would keep them.

    Parameters
    ----------
    witness
        A client, whose answers tell the time. Until the first comes, the machine's clock is believed.
    own
        The machine's clock.
    """

    def __init__(self, witness: BaseClient, own: Clock = system_clock) -> None:
        self._own = own
        self._ahead = 0
        witness.meta.events.register("before-call", self._asked)
        witness.meta.events.register("after-call", self._answered)

    def __call__(self) -> Instant:
        """Return the current instant."""
        if self._ahead:
            count("ClockWrong")
        return self._own() - self._ahead

    def _asked(self, context: dict[str, Any], **_: object) -> None:
        context[_ASKED_AT] = self._own()

    def _answered(self, context: Mapping[str, Any], parsed: Mapping[str, Any], **_: object) -> None:
        date = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date is None:
            return
        told, asked_at, answered_at = from_datetime(parsedate_to_datetime(date)), context[_ASKED_AT], self._own()
        # The answer was made between the two instants, and within the second that it tells.
        wrong = asked_at - (told + SECOND) > TRUSTED or told - answered_at > TRUSTED
        self._ahead = answered_at - told if wrong else 0
