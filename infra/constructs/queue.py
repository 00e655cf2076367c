"""A queue that one job works off, and where its failures end up."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.exceptions import accept
from infra.constructs.rights import allow
from infra.jobs import Job

MAX_RECEIVES: Final = 5


class DeadLetters(sqs.Queue):
    """Keeps what could not be done, as long as SQS can, for someone to look at and send again."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(
            scope,
            construct_id,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
            removal_policy=RemovalPolicy.RETAIN,
        )
        accept(
            self,
            "AwsSolutions-SQS3",
            "It is where dead letters end, those of a stream included; an alarm tells of each.",
        )

    def send(self) -> iam.PolicyStatement:
        """Return the right to put failures here."""
        return allow(["sqs:SendMessage"], self.queue_arn)


class WorkQueue(Construct):
    """A queue with its dead letters.

    Parameters
    ----------
    consumer
        The job that works it off.
    batching_window
        How long, in seconds, its event source collects messages.
    delay
        How long, in seconds, a message waits before it is delivered.
    max_receives
        How often a message is tried before it is a dead letter.

    Attributes
    ----------
    visibility
        How long, in seconds, a message is hidden while it is tried.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        consumer: Job,
        batching_window: int = 0,
        delay: int = 0,
        max_receives: int = MAX_RECEIVES,
    ) -> None:
        super().__init__(scope, construct_id)
        self.batching_window = batching_window
        # Six times the time-out, and the window: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        self.visibility = 6 * consumer.timeout + batching_window
        self.dead_letters = DeadLetters(self, "DeadLetters")
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            removal_policy=RemovalPolicy.RETAIN,
            retention_period=Duration.days(4),
            delivery_delay=Duration.seconds(delay) if delay else None,
            visibility_timeout=Duration.seconds(self.visibility),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=max_receives),
        )

    def send(self) -> iam.PolicyStatement:
        """Return the right to put messages into the queue."""
        return allow(["sqs:SendMessage"], self.queue.queue_arn)

    def measure(self) -> iam.PolicyStatement:
        """Return the right to ask how many messages wait."""
        return allow(["sqs:GetQueueAttributes"], self.queue.queue_arn)

    def work_off(self) -> iam.PolicyStatement:
        """Return the rights that an event source needs on the queue it reads, and the job to pace its retries."""
        actions = ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility"]
        return allow([f"sqs:{action}" for action in actions], self.queue.queue_arn)
