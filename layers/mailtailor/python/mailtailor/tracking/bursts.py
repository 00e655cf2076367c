"""Clicks that nobody can make: many links of one message at once, or its invisible link.

Security scanners follow all links of a mail within moments, from seconds to minutes after it was sent, and mostly call
themselves an ordinary browser. One of their clicks looks like a person's; together they do not. Adding hits can only
find more machines, never fewer, so that the order in which hits become known does not matter.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from mailtailor.errors import BadInput
from mailtailor.instant import HOUR, SECOND, Instant

BURST: Final = "burst"
HONEYPOT: Final = "honeypot"
OPEN: Final = -1
"""The position of a hit that is an open."""
HONEYPOT_POSITION: Final = 0

_BURST: Final = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,5})")


class Hit(NamedTuple):
    """An open or click: its event's id, when, of which message, and the link's position (`OPEN` for an open)."""

    id: str
    at: Instant
    message: int
    position: int


class Burst(NamedTuple):
    """So many different links of one message within so many milliseconds are no person's."""

    links: int
    within: int


@dataclass(frozen=True, slots=True)
class BurstSettings:
    """What counts as a burst, and how long a hit stays provisional because others may make it part of one.

    Attributes
    ----------
    bursts
        Any of them suffices. By default three links within a second, or six within ten.
    honeypot_within
        A click on the invisible link betrays what the same message got within so many milliseconds.
    provisional
        Milliseconds; long enough for the queue to deliver a burst's hits in any order.
    """

    bursts: tuple[Burst, ...] = (Burst(3, SECOND), Burst(6, 10 * SECOND))
    honeypot_within: int = 10 * SECOND
    provisional: int = HOUR


def parse_bursts(text: str) -> tuple[Burst, ...]:
    """Return the bursts written as `3/1000 6/10000`: links, a slash, milliseconds.

    Raises
    ------
    BadInput
        If it is written otherwise.
    """
    matches = [_BURST.fullmatch(part) for part in text.split()]
    if not matches or None in matches:
        raise BadInput(f"{text!r} describes no bursts.", "Write links/milliseconds, such as: 3/1000 6/10000")
    return tuple(Burst(int(match[1]), int(match[2])) for match in matches if match)


def machine_ids(hits: Iterable[Hit], settings: BurstSettings) -> dict[str, str]:
    """Return the hits that no person made, by id, each with the reason `burst` or `honeypot`."""
    messages: defaultdict[int, list[Hit]] = defaultdict(list)
    for hit in hits:
        messages[hit.message].append(hit)
    found: dict[str, str] = {}
    for of_message in messages.values():
        of_message.sort(key=lambda hit: (hit.at, hit.id))
        for start, end, reason in _spans(of_message, settings):
            # A scanner that renders the mail opens it in the same moments.
            found.update({hit.id: reason for hit in of_message if start <= hit.at <= end and hit.id not in found})
    return found


def _spans(hits: Sequence[Hit], settings: BurstSettings) -> list[tuple[Instant, Instant, str]]:
    """Return the times, both ends included, in which everything that a message got came from a machine."""
    clicks = [hit for hit in hits if hit.position != OPEN]
    near = settings.honeypot_within
    spans = [(click.at - near, click.at + near, HONEYPOT) for click in clicks if click.position == HONEYPOT_POSITION]
    for burst in settings.bursts:
        spans += [(start, end, BURST) for start, end in _windows(clicks, burst)]
    return spans


def _windows(clicks: Sequence[Hit], burst: Burst) -> list[tuple[Instant, Instant]]:
    found: list[tuple[Instant, Instant]] = []
    links: Counter[int] = Counter()
    first = 0
    for last in clicks:
        links[last.position] += 1
        while last.at - clicks[first].at > burst.within:
            links[clicks[first].position] -= 1
            first += 1
        # Unary plus drops links that have left the window.
        links = +links
        if len(links) >= burst.links:
            start = clicks[first].at
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], last.at)
            else:
                found.append((start, last.at))
    return found
