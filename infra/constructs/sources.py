"""What starts a worker: queues and the profiles' stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_lambda_event_sources import SqsDlq

from infra.constructs.function import JobFunction
from infra.constructs.queue import DeadLetters, WorkQueue
from infra.constructs.tables import DecisionTable, ProfileTable

if TYPE_CHECKING:
    from constructs import Construct


class QueueSource(lambda_.EventSourceMapping):
    """A job that works off a queue. A message that fails is tried again alone; the rest of its batch is done.

    Parameters
    ----------
    job
        The function; its role has `work_off` of the queue.
    work
        The queue.
    batch_size
        At most so many messages at once.
    max_concurrency
        At most so many at work at once, so that a backlog leaves concurrency to others and spares the table.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        job: JobFunction,
        work: WorkQueue,
        batch_size: int = 10,
        max_concurrency: float,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            target=job.function,
            event_source_arn=work.queue.queue_arn,
            batch_size=batch_size,
            max_batching_window=Duration.seconds(work.batching_window) if work.batching_window else None,
            report_batch_item_failures=True,
            max_concurrency=max_concurrency,
        )


class FlipSource(lambda_.EventSourceMapping):
    """Hands every write that flipped a membership to the publisher, in order within a profile.

    Parameters
    ----------
    job
        The function.
    table
        The profiles, with their stream.
    dead_letters
        Gets the place of what could not be published; the stream itself keeps it for 24 hours.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, job: JobFunction, table: ProfileTable, dead_letters: DeadLetters
    ) -> None:
        # A filter looks at leaves only, so a write that flipped says so in one beside its list of flips:
        # https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html.
        flipped = {"dynamodb": {"NewImage": {"flipped": {"BOOL": lambda_.FilterRule.exists()}}}}
        super().__init__(
            scope,
            construct_id,
            target=job.function,
            event_source_arn=table.stream_arn,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=100,
            bisect_batch_on_error=True,
            report_batch_item_failures=True,
            retry_attempts=100,
            on_failure=SqsDlq(dead_letters),
            filters=[lambda_.FilterCriteria.filter(flipped)],
        )


class DecisionSource(lambda_.EventSourceMapping):
    """Hands what blocks showed to the archiver, as far as it is to be logged.

    Parameters
    ----------
    job
        The function.
    table
        The decisions, with their stream.
    dead_letters
        Gets the place of what could not be archived; the stream itself keeps it for 24 hours.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, job: JobFunction, table: DecisionTable, dead_letters: DeadLetters
    ) -> None:
        logged = {"dynamodb": {"NewImage": {"logged": {"BOOL": lambda_.FilterRule.exists()}}}}
        super().__init__(
            scope,
            construct_id,
            target=job.function,
            event_source_arn=table.stream_arn,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            # Fewer and larger files; nobody waits for them.
            batch_size=1000,
            max_batching_window=Duration.seconds(60),
            bisect_batch_on_error=True,
            report_batch_item_failures=True,
            retry_attempts=100,
            on_failure=SqsDlq(dead_letters),
            filters=[lambda_.FilterCriteria.filter(logged)],
        )
