"""Every minute: sends the wake-ups of profiles that are due soon, each timed to the second, and of stragglers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mailtailor.aws import clients, due_index
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.due_index import DUE_SHARDS, WakeUps
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.queues import Queue
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.aws.witnessed_clock import WitnessedClock
from mailtailor.profiles.sweep import (
    Shard,
    find_stragglers,
    left_for_stragglers,
    messages_of_a_nearly_empty_queue,
    sweep,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

RESERVE: Final = 10_000
"""Milliseconds in which a page that has been begun is sent, before Lambda ends the function."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment."""

    profiles_table: str
    clock_table: str
    wake_ups_queue_url: str
    wake_ups_a_second: int = 1_000


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with; `a_second` is how many wake-ups are processed in one."""

    shards: Sequence[Shard]
    queue: Queue
    clock: Clock
    a_second: int


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings, sqs = from_environment(Settings), clients.sqs()
    return Dependencies(
        shards=due_index.shards(clients.dynamodb(), profiles=settings.profiles_table, clock=settings.clock_table),
        queue=Queue(client=sqs, url=settings.wake_ups_queue_url),
        clock=clock_from_environment(WitnessedClock(sqs)),
        a_second=settings.wake_ups_a_second,
    )


dependencies = prepared(connect)


def run(given: Dependencies, *, out_of_time: Callable[[], bool] = lambda: False) -> dict[str, int]:
    """Walk through all shards at once: ahead, and when nothing waits, back."""
    a_second = max(1, given.a_second // DUE_SHARDS)
    # Asked first, for the answer tells whether our clock is right.
    quiet = given.queue.visible() <= DUE_SHARDS * messages_of_a_nearly_empty_queue(a_second)
    now, wake = given.clock(), WakeUps(given.queue)
    ahead = partial(sweep, wake=wake, a_second=a_second, now=now, out_of_time=out_of_time)

    def back(shard: Shard, sent: int) -> int:
        at_most = left_for_stragglers(a_second, sent)
        return find_stragglers(shard, wake=wake, a_second=a_second, now=now, at_most=at_most, out_of_time=out_of_time)

    with ThreadPoolExecutor(DUE_SHARDS) as pool:
        sent = list(pool.map(ahead, given.shards))
        # Last, so that those who are late already make nobody else late, however many they are.
        stragglers = list(pool.map(back, given.shards, sent)) if quiet else []
    told = {"sent": sum(sent), "stragglers": sum(stragglers)}
    count("WakeUpsSent", told["sent"])
    count("Stragglers", told["stragglers"])
    return told


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(_event: Mapping[str, Any], context: LambdaContext) -> dict[str, int]:
    """Sweep the due index once."""

    def out_of_time() -> bool:
        return context.get_remaining_time_in_millis() < RESERVE

    return run(dependencies(), out_of_time=out_of_time)
