"""What the numbers of two queues prove, and that it is never more than is true."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from mailtailor.events.watermark import CAPTURE, DIRECT, SETTLED, Minute, QueueHistory, watermark
from mailtailor.instant import HOUR, MINUTE, SECOND, Instant

NOON = 1_700_049_600_000
VISIBILITY = 6 * MINUTE
HIDDEN = 3 * VISIBILITY


def history(minutes: Mapping[int, Minute]) -> QueueHistory:
    """Return a history given by minutes before noon."""
    return QueueHistory({NOON - ago * MINUTE: said for ago, said in minutes.items()}, VISIBILITY)


def steady(said: Minute, minutes: int = 180) -> QueueHistory:
    return history(dict.fromkeys(range(1, minutes), said))


EMPTY = Minute(0, 0)
BUSY = Minute(5 * SECOND, 40)


def test_empty_queues_prove_that_all_is_archived_but_for_the_last_minutes() -> None:
    # when
    reached = watermark(NOON, processing=steady(EMPTY), archiving=steady(EMPTY))
    # then: the archive's queue at 11:59 less what its numbers may be behind, and the processor's before that
    sent = NOON - MINUTE - SETTLED
    assert reached == min(sent - MINUTE - SETTLED - CAPTURE, sent - DIRECT)
    assert NOON - reached < 10 * MINUTE


def test_queues_that_are_never_empty_prove_what_is_older_than_their_oldest_and_cannot_be_hidden() -> None:
    # when
    reached = watermark(NOON, processing=steady(BUSY), archiving=steady(BUSY))
    # then
    assert reached is not None
    assert 2 * HIDDEN < NOON - reached < 60 * MINUTE


def test_a_message_that_waits_an_hour_keeps_the_watermark_before_it() -> None:
    # given: ages that grow minute by minute
    waiting = history({ago: Minute((120 - ago) * MINUTE, 3) for ago in range(1, 121)})
    # when
    reached = watermark(NOON, processing=waiting, archiving=steady(EMPTY))
    # then
    assert reached is None or reached < NOON - 120 * MINUTE


def test_an_event_that_left_the_first_queue_late_may_be_the_youngest_in_the_second() -> None:
    # given: the processor has just caught up with an hour; what it sent on is a minute old
    processing = history({ago: Minute(HOUR, 900) if ago > 3 else EMPTY for ago in range(1, 240)})
    archiving = steady(Minute(MINUTE, 80), 240)
    # when
    reached = watermark(NOON, processing=processing, archiving=archiving)
    # then
    assert reached is not None
    assert reached < NOON - HOUR


def test_a_backlog_holds_the_watermark_until_shortly_after_it_is_gone() -> None:
    # given: ages of up to two hours until an hour ago
    worked_off = history({ago: Minute(2 * HOUR, 9_000) if ago > 60 else BUSY for ago in range(1, 400)})
    # when
    reached = watermark(NOON, processing=worked_off, archiving=worked_off)
    # then
    assert reached is not None
    assert NOON - reached < 60 * MINUTE


@pytest.mark.parametrize("silent", ["processing", "archiving"])
def test_without_numbers_nothing_is_proven(silent: str) -> None:
    histories = {"processing": steady(EMPTY), "archiving": steady(EMPTY)}
    histories[silent] = history({})
    assert watermark(NOON, **histories) is None


def test_a_queue_is_empty_only_if_it_says_so_some_minutes_in_a_row() -> None:
    # given: no messages in sight now and then, while one is tried for the fourth time, which its age does not tell
    flickering = history({ago: Minute(0, 1 if ago % 3 == 0 else 0) for ago in range(1, 60)})
    # then
    assert flickering.done(NOON) == NOON - 3 * VISIBILITY - MINUTE - SETTLED


def test_a_minute_without_a_number_breaks_the_row() -> None:
    missing = {1: EMPTY, 2: Minute(0, None), 3: EMPTY, 4: EMPTY}
    assert history(missing).done(NOON) is None
    assert history({**missing, 2: EMPTY}).done(NOON) == NOON - MINUTE - SETTLED


@dataclass
class Message:
    sent: Instant
    received: Instant
    """Of the event in it."""
    receives: list[Instant] = field(default_factory=list)
    gone: Instant = NOON + 1_000 * HOUR


class Queue:
    """A queue and its consumer: some tries fail or die, and at times nobody works."""

    def __init__(self, chance: random.Random, *, window: int, pauses: list[tuple[Instant, Instant]]) -> None:
        self._chance = chance
        self._window = window
        self._pauses = pauses
        self.messages: list[Message] = []

    def send(self, message: Message, *, failing: float) -> Instant | None:
        """Take a message through its tries; return when it was done, None if it became a dead letter."""
        self.messages.append(message)
        at = message.sent
        for _ in range(5):
            at = self._awake(at + self._chance.randint(0, self._window))
            message.receives.append(at)
            if self._chance.random() > failing:
                message.gone = at + self._chance.randint(0, 20 * SECOND)
                return message.gone
            at += self._chance.choice([5 * SECOND, 40 * SECOND, VISIBILITY])
        message.gone = at
        return None

    def _awake(self, at: Instant) -> Instant:
        for start, end in self._pauses:
            if start <= at < end:
                return end
        return at

    def says(self, minute: Instant) -> Minute:
        """Return what the queue says in a minute: sampled once in it, and up to a minute behind."""
        at = minute + self._chance.randint(0, MINUTE - 1)
        if self._chance.random() < 0.02:
            return Minute(None, None)
        behind = at - self._chance.randint(0, MINUTE)
        there = [one for one in self.messages if one.sent <= behind < one.gone]
        in_age = [one for one in there if sum(received <= behind for received in one.receives) < 3]
        oldest = max((at - one.sent for one in in_age), default=0)
        return Minute(oldest // SECOND * SECOND, len(there))


@pytest.mark.parametrize("seed", range(30))
def test_whatever_fails_waits_and_is_hidden_the_watermark_is_never_too_far(seed: int) -> None:
    # given: hours of events, of which some come seldom and some fail often
    chance = random.Random(seed)
    end = NOON + 6 * HOUR
    pauses = [(start, start + chance.randint(MINUTE, 40 * MINUTE)) for start in chance.sample(range(NOON, end), 2)]
    gap = chance.choice([2 * SECOND, 20 * SECOND, 4 * MINUTE])
    failing = chance.choice([0.0, 0.05, 0.5])
    first = Queue(chance, window=2 * SECOND, pauses=pauses[:1])
    second = Queue(chance, window=MINUTE, pauses=pauses[1:])
    archived: list[tuple[Instant, Instant]] = []
    received = NOON
    while received < end:
        received += chance.randint(1, 2 * gap)
        sent = first.send(Message(received + chance.randint(0, 10 * SECOND), received), failing=failing)
        done = second.send(Message(sent, received), failing=failing) if sent is not None else None
        if done is not None:
            archived.append((received, done))
    said = [{minute: queue.says(minute) for minute in range(NOON - HOUR, end, MINUTE)} for queue in (first, second)]

    # when
    highest, moves = 0, 0
    for now in range(NOON + 10 * MINUTE, end, 5 * MINUTE):
        # CloudWatch has a minute's numbers a moment after it.
        seen = [{minute: one for minute, one in of.items() if minute + 90 * SECOND <= now} for of in said]
        processing, archiving = (QueueHistory(one, VISIBILITY) for one in seen)
        reached = watermark(now, processing=processing, archiving=archiving)
        if reached is not None and reached > highest:
            highest, moves = reached, moves + 1
        late = [received for received, done in archived if received < highest and done > now]
        # then
        assert not late, f"{len(late)} events, the first {(highest - late[0]) / SECOND} s before the watermark"
    assert moves > 3
