"""The watermark of receipt: an instant before which everything that was received is in the archive.

What was received waits in one queue for the processor and in a second one for the archiver, and queues tell little:
each minute how old their oldest message is, and about how many there are. From that follows, step by step backwards,

1. an instant `sent` such that all that was sent to the second queue before it has left it by now, for the archive;
2. an instant before which all that was sent to the first queue had left it by `sent`, and so was in the second by then;
3. the same instant less the time that may pass between an event's receipt and its sending.

Only a message that becomes a dead letter and is redriven by hand is excepted, and it is received anew.

A queue's word is not taken for more than it is worth. Its numbers are approximate, so they count as `SETTLED` later.
And it leaves a message that was received three times out of the oldest one's age (Amazon SQS, "Available CloudWatch
metrics"), so an age is believed only when the tries that such a message has left are over, by which it is done or a
dead letter. A queue that was empty a few minutes in a row hides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mailtailor.instant import MINUTE, SECOND, Instant

SETTLED: Final = 2 * MINUTE
"""How long numbers of messages may be behind: SQS says at least a minute."""
EMPTY_MINUTES: Final = 3
"""So often in a row must there be no message until we believe it."""
UNSEEN_TRIES: Final = 3
"""What is left of five tries when a message is no longer counted in the age; the third may just be under way."""
CAPTURE: Final = 30 * SECOND
"""Between an event's receipt and its sending to the first queue: more than any capturing function may run."""
DIRECT: Final = 330 * SECOND
"""The same for what goes to the second queue directly, corrections: more than whoever finds them may run."""


@dataclass(frozen=True, slots=True)
class Minute:
    """What a queue said in a minute.

    Parameters
    ----------
    oldest
        The age of its oldest message, in milliseconds; None if it said nothing.
    messages
        How many there were, those in work included; None if it said nothing.
    """

    oldest: int | None
    messages: int | None


@dataclass(frozen=True, slots=True)
class QueueHistory:
    """What a queue said lately.

    Parameters
    ----------
    minutes
        By the instant at which each minute began.
    visibility
        How long a message that is being tried is hidden at most.
    """

    minutes: Mapping[Instant, Minute]
    visibility: int

    def done(self, by: Instant) -> Instant | None:
        """Return an instant such that all that was sent before it had left the queue by `by`; None if unknown."""
        # A minute's number may be of any moment in it, so it is known at the minute's end and true at its beginning.
        over = {start: said for start, said in self.minutes.items() if start + MINUTE <= by}
        proven = [start - SETTLED for start in over if self._was_empty(start)]
        worst = 0
        for start in sorted(over, reverse=True):
            # Whatever was hidden then has since had time for all its tries, and for waiting as long as others did.
            oldest = over[start].oldest
            worst = max(worst, oldest or 0)
            if oldest is not None and by - (start + MINUTE) >= UNSEEN_TRIES * (self.visibility + worst):
                proven.append(start - oldest - SETTLED)
        return max(proven, default=None)

    def _was_empty(self, start: Instant) -> bool:
        before = (self.minutes.get(start - ago * MINUTE) for ago in range(EMPTY_MINUTES))
        return all(said is not None and said.messages == 0 for said in before)


def watermark(now: Instant, *, processing: QueueHistory, archiving: QueueHistory) -> Instant | None:
    """Return an instant before which all that was received is in the archive; None if that cannot be told."""
    sent = archiving.done(now)
    if sent is None:
        return None
    captured = processing.done(sent)
    return None if captured is None else min(captured - CAPTURE, sent - DIRECT)
