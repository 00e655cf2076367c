"""What a profile remembers of its events: one small stream a feature. `stream_codec` has their compact form.

Streams are sets that grow by union, so duplicates, reordering and repeats from a dead-letter queue change nothing:

- `Occurrences` keeps the last n events as (instant, id); a repeated id keeps its least instant.
- `Values` keeps all events of a window with what is measured of them: an amount, or a value's hash.
- `First` keeps the first event, for ever.
- `Messages` keeps, by message, when it was last delivered and last opened or clicked, as long as a window needs it.
- `Recents` keeps the newest instant of each of the last n values (products).
- `Provisional` keeps young opens and clicks whole, for as long as others may show that a machine made them; only then
  do they become entries of the other streams.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate
from typing import Final, NamedTuple

from mailtailor.instant import DAY, Instant

MAX_MESSAGES: Final = 1_000
"""Two mails a day for as long as we remember. A sender of endless opens must not fill a profile until it is stuck."""
MAX_VALUES: Final = 1_000
"""Of a window that is kept whole. Who does more than that in it is no person; the latest count."""
SLACK: Final = DAY
"""An open is of a message's last delivery if it is not dated earlier by more than this."""
MAX_PROVISIONAL: Final = 64
"""No person makes more in an hour; what is beyond is settled early."""
ID_BYTES: Final = 6
"""48 bits: among the at most few hundred entries of a stream, two ids collide once in billions of profiles."""


def id_hash(identifier: str) -> int:
    """Return the short form of an event's or message's id that streams keep."""
    return int.from_bytes(blake2b(identifier.encode(), digest_size=ID_BYTES).digest(), "big")


@dataclass(slots=True)
class Occurrences:
    """The last events, in order of (instant, id)."""

    entries: list[tuple[Instant, int]] = field(default_factory=list)

    def add(self, at: Instant, event: int, *, keep: int) -> bool:
        """Add one event and keep the last `keep`.

        Returns
        -------
        Whether an earlier event may be missing now: a full stream learnt that one of its events happened before.
        """
        entries, short = self.entries, False
        for known_at, known in entries:
            if known == event:
                if known_at <= at:
                    return False
                entries.remove((known_at, event))
                short = len(entries) + 1 >= keep
                break
        insort(entries, (at, event))
        if len(entries) > keep:
            del entries[:-keep]
        return short

    def remove(self, event: int) -> bool:
        """Remove one event; return whether it was there."""
        remaining = [entry for entry in self.entries if entry[1] != event]
        found = len(remaining) < len(self.entries)
        self.entries = remaining
        return found

    def prune(self, before: Instant) -> None:
        """Forget what happened before an instant."""
        if self.entries and self.entries[0][0] < before:
            del self.entries[: bisect_left(self.entries, (before, 0))]

    def unite(self, other: Occurrences, *, keep: int) -> None:
        """Add all events of `other`."""
        for at, event in other.entries:
            self.add(at, event, keep=keep)

    def newest(self) -> Instant:
        """Return the last event's instant, 0 without any."""
        return self.entries[-1][0] if self.entries else 0


@dataclass(slots=True)
class Values:
    """All events of a window, in order of (instant, id, value)."""

    entries: list[tuple[Instant, int, int]] = field(default_factory=list)

    def add(self, at: Instant, event: int, value: int, *, several: bool) -> bool:
        """Add a value of one event; of a repeated one the least instant stays.

        Parameters
        ----------
        at, event, value
            When, the event's short id, and what was measured.
        several
            Whether one event may have several values; otherwise another value of a known event takes its place only
            if it is dated before, or is the lesser of two at one instant.

        Returns
        -------
        Whether an earlier event may be missing now, as `Occurrences.add` says.
        """
        known = next((one for one in self.entries if one[1] == event and not (several and one[2] != value)), None)
        if known is not None:
            if (known[0], known[2]) <= (at, value):
                return False
            self.entries.remove(known)
        short = known is not None and len(self.entries) + 1 >= MAX_VALUES
        insort(self.entries, (at, event, value))
        del self.entries[:-MAX_VALUES]
        return short

    def remove(self, event: int) -> bool:
        """Remove all of one event; return whether it was there."""
        remaining = [entry for entry in self.entries if entry[1] != event]
        found = len(remaining) < len(self.entries)
        self.entries = remaining
        return found

    def prune(self, before: Instant) -> None:
        """Forget what happened before an instant."""
        if self.entries and self.entries[0][0] < before:
            del self.entries[: bisect_left(self.entries, (before, 0, 0))]

    def unite(self, other: Values, *, several: bool) -> None:
        """Add all of `other`."""
        for at, event, value in other.entries:
            self.add(at, event, value, several=several)

    def newest(self) -> Instant:
        """Return the last event's instant, 0 without any."""
        return self.entries[-1][0] if self.entries else 0


@dataclass(slots=True)
class First:
    """The first event, as a list of none or one."""

    entries: list[tuple[Instant, int]] = field(default_factory=list)

    def add(self, at: Instant, event: int) -> None:
        """Note an event that may be the first."""
        self.entries = [min([*self.entries, (at, event)])]

    def remove(self, event: int) -> bool:
        """Forget an event if it was the first; return whether it was. Which one is the first then, is not known."""
        found = bool(self.entries) and self.entries[0][1] == event
        if found:
            self.entries = []
        return found

    def unite(self, other: First) -> None:
        """Note the first of `other` too."""
        for at, event in other.entries:
            self.add(at, event)

    def newest(self) -> Instant:
        """Return the first event's instant, 0 without any."""
        return self.entries[0][0] if self.entries else 0


@dataclass(slots=True)
class Timeline:
    """Messages delivered, in order of time.

    Attributes
    ----------
    delivered
        When each was delivered.
    hits
        How many of the first n were hit, for n from 0 on, where n parts no messages of one instant.
    oldest
        The least instant last known of a message.
    """

    delivered: list[Instant]
    hits: list[int]
    oldest: Instant

    def after(self, known: tuple[Instant, Instant], noted: tuple[Instant, Instant]) -> Timeline | None:
        """Return this after a message's change if that is the usual one, at the end or a first hit; else None."""
        delivered, _ = noted
        self.oldest = min(self.oldest, max(noted))
        if known == (0, 0) and delivered and (not self.delivered or self.delivered[-1] <= delivered):
            self.delivered.append(delivered)
            self.hits.append(self.hits[-1] + was_hit(noted))
            return self
        if known[0] != delivered:
            return None
        if was_hit(noted) != was_hit(known):
            for index in range(bisect_right(self.delivered, delivered), len(self.hits)):
                self.hits[index] += 1
        return self


def was_hit(message: tuple[Instant, Instant]) -> bool:
    """Return whether a message was delivered, and hit since: clocks may differ, but not by more than `SLACK`."""
    delivered, hit = message
    return delivered > 0 and hit > 0 and hit >= delivered - SLACK


@dataclass(slots=True)
class Messages:
    """By message: when it was last delivered, and last opened (or clicked); 0 is "not known to be"."""

    entries: dict[int, tuple[Instant, Instant]] = field(default_factory=dict)
    _timeline: Timeline | None = field(default=None, init=False, repr=False, compare=False)

    def add(self, message: int, *, delivered: Instant = 0, hit: Instant = 0) -> None:
        """Note a delivery, or an open or click; of repeats the last counts."""
        known = self.entries.get(message, (0, 0))
        noted = max(known[0], delivered), max(known[1], hit)
        if noted == known:
            return
        self.entries[message] = noted
        if len(self.entries) > MAX_MESSAGES:
            # Opens of nothing that was delivered go first, for no share counts them.
            del self.entries[min(self.entries, key=self._worth)]
            self._timeline = None
        elif self._timeline is not None:
            self._timeline = self._timeline.after(known, noted)

    def remove_hit(self, message: int, hit: Instant) -> bool:
        """Forget that a message was last hit at that instant; return whether it was known so."""
        known_delivered, known_hit = self.entries.get(message, (0, 0))
        if not hit or known_hit != hit:
            return False
        if known_delivered:
            self.entries[message] = (known_delivered, 0)
        else:
            del self.entries[message]
        self._timeline = None
        return True

    def is_hit(self, message: int) -> bool:
        """Return whether a message was hit; of message 0, which is an unknown one, whether any was."""
        if message:
            return self.entries.get(message, (0, 0))[1] > 0
        return any(hit for _, hit in self.entries.values())

    def _worth(self, message: int) -> tuple[bool, Instant, int]:
        delivered, hit = self.entries[message]
        return bool(delivered), max(delivered, hit), message

    def unite(self, other: Messages) -> None:
        """Add all messages of `other`."""
        for message, (delivered, hit) in other.entries.items():
            self.add(message, delivered=delivered, hit=hit)

    def prune(self, before: Instant) -> None:
        """Forget messages delivered before an instant, and hits that belong to no later delivery."""
        if self.timeline().oldest < before - SLACK:
            self.entries = {key: known for key, known in self.entries.items() if max(known) >= before - SLACK}
            self._timeline = None

    def timeline(self) -> Timeline:
        """Return the messages delivered in order of time; made once for all rules that ask."""
        if self._timeline is None:
            known = sorted((one[0], was_hit(one)) for one in self.entries.values() if one[0])
            hits = [0, *accumulate(hit for _, hit in known)]
            oldest = min(map(max, self.entries.values()), default=0)
            self._timeline = Timeline([delivered for delivered, _ in known], hits, oldest)
        return self._timeline

    def newest(self) -> Instant:
        """Return the last known instant, 0 without any."""
        return max((max(known) for known in self.entries.values()), default=0)


@dataclass(slots=True)
class Recents:
    """The newest instant of each of the last values."""

    entries: dict[str, Instant] = field(default_factory=dict)

    def add(self, value: str, at: Instant, *, keep: int) -> None:
        """Note `value` at `at` and keep the `keep` newest values."""
        self.entries[value] = max(at, self.entries.get(value, 0))
        if len(self.entries) > keep:
            # The value breaks ties, so that the order of arrival does not decide who stays.
            _, oldest = min(zip(self.entries.values(), self.entries, strict=True))
            del self.entries[oldest]

    def unite(self, other: Recents, *, keep: int) -> None:
        """Add all values of `other`."""
        for value, at in other.entries.items():
            self.add(value, at, keep=keep)

    def remove_at(self, at: Instant) -> bool:
        """Forget values last noted at that very instant; return whether there were any."""
        remaining = {value: known for value, known in self.entries.items() if known != at}
        found = len(remaining) < len(self.entries)
        self.entries = remaining
        return found

    def newest_first(self) -> tuple[str, ...]:
        """Return the values, the newest first."""
        return tuple(sorted(self.entries, key=lambda known: (self.entries[known], known), reverse=True))

    def newest(self) -> Instant:
        """Return the last known instant, 0 without any."""
        return max(self.entries.values(), default=0)


class ProvisionalHit(NamedTuple):
    """An open or click that may yet turn out to be a machine's.

    Attributes
    ----------
    at
        When it happened.
    seen
        When it was processed; it is provisional from then on.
    message
        The short form of its message's key.
    position
        Of the link; `OPEN` for an open.
    machine
        That it has turned out to be a machine's; it stays because others are recognised by it.
    entries
        The streams of events that it will belong to, each with what it measures of it.
    product
        What the link showed.
    """

    at: Instant
    seen: Instant
    message: int
    position: int
    machine: bool = False
    entries: tuple[tuple[int, int], ...] = ()
    product: str = ""


@dataclass(slots=True)
class Provisional:
    """Young opens and clicks by their event's id, and up to when hits were settled and forgotten."""

    entries: dict[str, ProvisionalHit] = field(default_factory=dict)
    settled_to: Instant = 0

    def add(self, event: str, hit: ProvisionalHit) -> None:
        """Add a hit; a repeated one keeps its least instant, and once a machine's it stays one."""
        known = self.entries.setdefault(event, hit)
        # A correction that came first knows no position, and maybe no message; others are recognised by both.
        self.entries[event] = known._replace(
            at=min(known.at, hit.at),
            message=known.message or hit.message,
            position=max(known.position, hit.position),
        )
        if hit.machine:
            self.condemn(event)

    def condemn(self, event: str) -> None:
        """Note that a machine made a hit; what it would have counted for is forgotten."""
        self.entries[event] = self.entries[event]._replace(machine=True, entries=(), product="")

    def unite(self, other: Provisional) -> None:
        """Add all hits of `other`."""
        self.settled_to = max(self.settled_to, other.settled_to)
        for event, hit in other.entries.items():
            self.add(event, hit)

    def people(self) -> Iterator[tuple[str, ProvisionalHit]]:
        """Yield the hits that no machine is known to have made."""
        return ((event, hit) for event, hit in self.entries.items() if not hit.machine)

    def take(self, seen_until: Instant) -> list[tuple[str, ProvisionalHit]]:
        """Remove and return people's hits seen until then, and the oldest beyond the number we keep; drop machines'."""
        old = [event for event, hit in self.entries.items() if hit.seen <= seen_until]
        self.settled_to = max([self.settled_to, *(self.entries[event].at for event in old)])
        taken = [(event, self.entries.pop(event)) for event in old]
        # So many have been judged beside so many others that forgetting the oldest makes none of them doubtful.
        order = sorted(self.entries, key=lambda event: (self.entries[event].seen, self.entries[event].at, event))
        taken += [(event, self.entries.pop(event)) for event in order[: max(0, len(order) - MAX_PROVISIONAL)]]
        return [(event, hit) for event, hit in taken if not hit.machine]

    def newest(self) -> Instant:
        """Return the last instant that a hit was seen or settled, 0 without any."""
        return max([self.settled_to, *(hit.seen for hit in self.entries.values())])


Stream = Occurrences | Messages | Recents | Provisional | Values | First
Streams = dict[int, Stream]
"""Streams by feature."""
