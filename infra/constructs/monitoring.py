"""Alarms, the topic they notify, and one dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_cloudwatch_actions import SnsAction
from constructs import Construct

from infra.constructs.api import PublicApi
from infra.constructs.function import JobFunction
from infra.jobs import (
    ARCHIVE_COMPACTOR,
    ARCHIVE_ERASER,
    ARCHIVE_WATERMARK,
    CLICK_REDIRECT,
    DYNAMIC_CONTENT,
    EVENT_PROCESSOR,
    HOT,
    OPEN_PIXEL,
    OPEN_TIME_IMAGE,
    PROFILE_API,
    PROFILE_REBUILDER,
    SEGMENT_CLOCK,
    SEGMENT_ESTIMATE,
    SEGMENT_RECOMPUTE,
    SEGMENT_RECONCILE,
    SEGMENT_ROLLOUT,
    WAKE_PROCESSOR,
    WEBHOOK_INGEST,
)

LOSSES: Final = {
    OPEN_PIXEL: ("EventsNotQueued", "OpensFailed"),
    CLICK_REDIRECT: ("EventsNotQueued", "ClicksFailed"),
    DYNAMIC_CONTENT: (
        *("ContentFailed", "ContentFaults", "VariantFaults", "BlocksRefused"),
        *("CatalogUnreadable", "SecretsUnreadable", "DecisionsNotStored", "DecisionsUnreadable"),
        "DefinitionsUnreadable",
    ),
    OPEN_TIME_IMAGE: ("ImagesFailed",),
    EVENT_PROCESSOR: ("AttributesDropped", "ClockWrong", "DefinitionsUnreadable"),
    WAKE_PROCESSOR: ("ClockWrong", "DefinitionsUnreadable"),
    SEGMENT_CLOCK: ("ClockWrong",),
    PROFILE_REBUILDER: ("DefinitionsUnreadable",),
    PROFILE_API: ("DefinitionsUnreadable",),
    SEGMENT_RECONCILE: ("MembershipMismatches", "OverdueWakeUps", "FilesUnreadable"),
    SEGMENT_ESTIMATE: ("FilesUnreadable",),
    SEGMENT_RECOMPUTE: ("FilesUnreadable", "ProfilesNotRecomputed", "DefinitionsUnreadable"),
    SEGMENT_ROLLOUT: ("RolloutStuck",),
    WEBHOOK_INGEST: ("EventsRejected", "WebhooksUnreadable"),
    ARCHIVE_COMPACTOR: ("FilesUnreadable",),
    ARCHIVE_ERASER: ("FilesUnreadable",),
}
"""What these functions count instead of failing: a recipient always gets an answer, a profile stays writable, and a
sender is not asked again for what it cannot mend (`mailtailor events parked` shows it)."""

_MINUTE: Final = Duration.minutes(1)


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A queue whose oldest message should not grow older than `max_age` seconds."""

    queue: sqs.IQueue
    max_age: int


class AlarmTopic(Construct):
    """Where alarms are sent; whoever should hear of them subscribes."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        # The key that AWS manages for SNS does not let alarms in, so this is the one key of our own.
        key = kms.Key(
            self,
            "Key",
            description="Mailtailor: alarms",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                # In a key's own policy this means the key.
                resources=["*"],
            )
        )
        self.topic = sns.Topic(self, "Topic", master_key=key, enforce_ssl=True)
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                # CloudWatch publishes for whoever made an alarm, in any account.
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )


class Monitoring(Construct):
    """Tells when something is lost, late, failing or refused.

    Parameters
    ----------
    api
        The HTTP API.
    functions
        All functions.
    publisher
        The one that follows the profiles' stream.
    clock
        The one that runs each minute.
    queues
        By name, those that are worked off.
    dead_letters
        By name, those that should be empty.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        api: PublicApi,
        functions: Sequence[JobFunction],
        publisher: JobFunction,
        clock: JobFunction,
        queues: Mapping[str, Watched],
        dead_letters: Mapping[str, sqs.IQueue],
    ) -> None:
        super().__init__(scope, construct_id)
        self.topic = AlarmTopic(self, "AlarmTopic").topic
        self._action = SnsAction(self.topic)
        self._watch_functions(functions)
        self._watch_queues(queues, dead_letters)
        lag = publisher.function.metric("IteratorAge", period=_MINUTE, statistic="Maximum")
        # Early: what is older than 24 hours leaves the stream unpublished.
        self._alarm("FlipsAge", lag, above=60_000, periods=3, why="Membership changes are published late.")
        failures = api.api.metric_server_error(period=_MINUTE, statistic="Sum")
        self._alarm("ApiErrors", failures, above=0, periods=2, why="The API answered with 5xx.")
        self._alarm_if_still(clock)
        self._watch_watermark()
        self._watch_reconciling()
        self._watch_lateness()
        _dashboard(self, api=api, functions=functions, queues=queues, lag=lag)

    def _watch_functions(self, functions: Sequence[JobFunction]) -> None:
        for each in functions:
            name, job = each.job.construct_id, each.job
            errors = each.function.metric_errors(period=_MINUTE)
            self._alarm(f"{name}Errors", errors, above=0, why=f"{job.name} failed.")
            if job in HOT:
                throttles = each.function.metric_throttles(period=_MINUTE)
                self._alarm(f"{name}Throttles", throttles, above=0, why=f"{job.name} met its concurrency.")
            for loss in LOSSES.get(job, ()):
                counted = cloudwatch.Metric(
                    namespace="Mailtailor",
                    metric_name=loss,
                    dimensions_map={"service": job.name},
                    period=_MINUTE,
                    statistic="Sum",
                )
                why = f"{job.name} counted {loss}; its log has each one."
                self._alarm(f"{name}{loss}", counted, above=0, why=why)

    def _watch_queues(self, queues: Mapping[str, Watched], dead_letters: Mapping[str, sqs.IQueue]) -> None:
        for name, queue in dead_letters.items():
            depth = queue.metric_approximate_number_of_messages_visible(period=_MINUTE, statistic="Maximum")
            why = f"Messages of {name} failed for good: see docs/deploy.md."
            self._alarm(f"{name}DeadLetters", depth, above=0, why=why)
        for name, watched in queues.items():
            age = watched.queue.metric_approximate_age_of_oldest_message(period=_MINUTE, statistic="Maximum")
            self._alarm(f"{name}Age", age, above=watched.max_age, periods=3, why=f"{name} is worked off too slowly.")

    def _alarm(self, construct_id: str, metric: cloudwatch.IMetric, *, above: int, why: str, periods: int = 1) -> None:
        cloudwatch.Alarm(
            self,
            construct_id,
            metric=metric,
            threshold=above,
            evaluation_periods=periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=why,
        ).add_alarm_action(self._action)

    def _watch_reconciling(self) -> None:
        cloudwatch.Alarm(
            self,
            "ReconciliationsMissing",
            metric=cloudwatch.Metric(
                namespace="Mailtailor",
                metric_name="ReconciliationsFinished",
                dimensions_map={"service": SEGMENT_RECONCILE.name},
                period=Duration.days(1),
                statistic="Sum",
            ),
            threshold=1,
            # One may be left out, because definitions are changed or everybody is recomputed.
            evaluation_periods=2,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
            alarm_description="Nobody has compared memberships with the archive for two days: see docs/operations.md.",
        ).add_alarm_action(self._action)

    def _watch_watermark(self) -> None:
        lag = cloudwatch.Metric(
            namespace="Mailtailor",
            metric_name="ArchiveLag",
            dimensions_map={"service": ARCHIVE_WATERMARK.name},
            period=Duration.minutes(15),
            statistic="Maximum",
        )
        cloudwatch.Alarm(
            self,
            "ArchiveLag",
            metric=lag,
            # Under an hour while nothing fails, however much comes in (docs/archive.md).
            threshold=3 * 3600,
            evaluation_periods=2,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
            alarm_description="The archive's watermark stands still: days are not compacted, recomputing waits.",
        ).add_alarm_action(self._action)

    def _watch_lateness(self) -> None:
        late = _lateness("Maximum")
        # Three minutes running: one whose wake-up was lost is found two or three minutes late, and is no outage.
        why = "Members leave their segments minutes late: see docs/operations.md."
        self._alarm("WakeUpLateness", late, above=180, periods=3, why=why)

    def _alarm_if_still(self, clock: JobFunction) -> None:
        cloudwatch.Alarm(
            self,
            "ClockStopped",
            metric=clock.function.metric_invocations(period=_MINUTE),
            threshold=1,
            evaluation_periods=5,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
            alarm_description="segment_clock does not run: members leave their segments only when they are read.",
        ).add_alarm_action(self._action)


def _lateness(statistic: str) -> cloudwatch.Metric:
    """Return how long after they were due profiles were evaluated, in seconds."""
    return cloudwatch.Metric(
        namespace="Mailtailor",
        metric_name="WakeUpLateness",
        dimensions_map={"service": WAKE_PROCESSOR.name},
        period=_MINUTE,
        statistic=statistic,
    )


def _dashboard(
    scope: Construct,
    *,
    api: PublicApi,
    functions: Sequence[JobFunction],
    queues: Mapping[str, Watched],
    lag: cloudwatch.Metric,
) -> None:
    def of_each(name: str, statistic: str = "Sum") -> list[cloudwatch.Metric]:
        return [
            each.function.metric(name, period=_MINUTE, statistic=statistic, label=each.job.construct_id)
            for each in functions
        ]

    ages = [
        watched.queue.metric_approximate_age_of_oldest_message(period=_MINUTE, statistic="Maximum", label=name)
        for name, watched in queues.items()
    ]
    rows: list[list[tuple[str, Sequence[cloudwatch.IMetric]]]] = [
        [
            ("Requests", [api.api.metric_count(period=_MINUTE)]),
            ("Latency p99 (ms)", [api.api.metric_latency(period=_MINUTE, statistic="p99")]),
            ("Server errors", [api.api.metric_server_error(period=_MINUTE)]),
        ],
        [("Invocations", of_each("Invocations")), ("Duration p99 (ms)", of_each("Duration", "p99"))],
        [("Errors", of_each("Errors")), ("Throttles", of_each("Throttles"))],
        [
            ("Oldest message (s)", ages),
            ("Publisher lag (ms)", [lag]),
            ("Wake-ups late (s)", [_lateness("p50"), _lateness("p99"), _lateness("Maximum")]),
        ],
    ]
    cloudwatch.Dashboard(
        scope,
        "Dashboard",
        widgets=[
            [cloudwatch.GraphWidget(title=title, left=list(metrics), width=24 // len(row)) for title, metrics in row]
            for row in rows
        ],
    )
