"""Delivers changes of membership so that none is lost and none overtakes a later one.

Before a change is sent it is claimed: of one profile and segment only one change is on its way to a destination at a
time, and never one that is older than what was claimed before. A sender that dies leaves its claim to expire. So a
destination may see a change again, with the same webhook id, but never an older one after a newer one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from mailtailor.esp.membership_change import MembershipChange
from mailtailor.esp.standard_webhook import CONNECT_SECONDS, READ_SECONDS, Refused, Unavailable
from mailtailor.instant import SECOND

LEASE: Final = (CONNECT_SECONDS + READ_SECONDS) * 2 * SECOND
"""How long a claim holds: twice what a request may take, and less than the retries of a message span."""


class Busy(Exception):
    """Another change of the same membership is on its way."""


class RefusedBefore(Refused):
    """The destination refused this change at an earlier receive of the same message, and was not asked again."""


class Status(StrEnum):
    """What is known of the last change claimed for a membership."""

    SENDING = "sending"
    DELIVERED = "delivered"
    REFUSED = "refused"


class Outcome(StrEnum):
    """What became of a change; the values name metrics."""

    DELIVERED = "FlipsDelivered"
    REPEATED = "FlipsRepeated"
    SUPERSEDED = "FlipsSuperseded"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the table of deliveries holds against a claim."""

    version: int
    status: Status


class Destination(Protocol):
    """An ESP, or whatever takes changes."""

    @property
    def name(self) -> str:
        """What it is called in the table of deliveries."""

    def send(self, change: MembershipChange) -> None:
        """Send a change; see `StandardWebhook.send`."""


class Deliveries(Protocol):
    """Remembers, for each destination, profile and segment, the last change claimed."""

    def claim(self, destination: str, change: MembershipChange, *, holder: str, again: bool) -> Standing | None:
        """Claim a change, by one conditional write.

        Returns
        -------
        None if it is claimed, otherwise what stands against it. A change that was refused can be claimed anew unless
        it comes `again` by itself.
        """

    def settle(self, destination: str, change: MembershipChange, *, holder: str, status: Status) -> None:
        """End a claim of `holder`, unless it is no longer the last."""


@dataclass(frozen=True, slots=True)
class Courier:
    """Brings changes to a destination.

    Parameters
    ----------
    destination
        Where to.
    deliveries
        What it has.
    """

    destination: Destination
    deliveries: Deliveries

    def deliver(self, change: MembershipChange, *, holder: str, again: bool = False) -> Outcome:
        """Deliver a change.

        Parameters
        ----------
        change
            What to deliver.
        holder
            Tells this attempt from any other.
        again
            True if the message of this change was received before.

        Raises
        ------
        Busy
            If another change of this membership is on its way.
        RefusedBefore
            If the destination need not be asked again.
        Refused, Unavailable
            As the destination's `send`.
        """
        name = self.destination.name
        against = self.deliveries.claim(name, change, holder=holder, again=again)
        if against:
            return _judge(change, against)
        try:
            self.destination.send(change)
        except Refused:
            self.deliveries.settle(name, change, holder=holder, status=Status.REFUSED)
            raise
        except Unavailable as error:
            # A request without an answer may still be acted on, so nothing may follow it before the claim expires.
            if not error.in_flight:
                self.deliveries.settle(name, change, holder=holder, status=Status.SENDING)
            raise
        self.deliveries.settle(name, change, holder=holder, status=Status.DELIVERED)
        return Outcome.DELIVERED


def _judge(change: MembershipChange, against: Standing) -> Outcome:
    if against.version > change.version:
        return Outcome.SUPERSEDED
    if against.version == change.version and against.status is Status.DELIVERED:
        return Outcome.REPEATED
    if against.version == change.version and against.status is Status.REFUSED:
        raise RefusedBefore("the destination refused it before")
    raise Busy
