"""The archive: what is written to it, and how its files are kept few, whole and free of who was erased."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets

from infra import jobs
from infra.constructs.exceptions import accept
from infra.constructs.rights import allow
from infra.constructs.sources import DecisionSource, QueueSource
from infra.constructs.storage import (
    DECISIONS_PREFIX,
    ERASED_PREFIX,
    EVENTS_PREFIX,
    FLIPS_PREFIX,
    LARGE_PREFIX,
    MAIL_PREFIX,
    ROWS,
)
from infra.stacks.capabilities.functions import Functions
from infra.stacks.capabilities.prefixes import ARCHIVE, INTAKE, accept_prefix


def add(functions: Functions) -> None:
    """Add what writes to the archive and looks after it."""
    _archiving(functions)
    _keeping(functions)


def _archiving(functions: Functions) -> None:
    data = functions.data
    archiver = functions.add(
        jobs.EVENT_ARCHIVER,
        [
            data.archive_queue.work_off(),
            data.archive.add(EVENTS_PREFIX, MAIL_PREFIX),
            data.intake.fetch(LARGE_PREFIX),
        ],
        ARCHIVE_BUCKET=data.archive.bucket_name,
        INTAKE_BUCKET=data.intake.bucket_name,
    )
    for prefix in (EVENTS_PREFIX, MAIL_PREFIX):
        accept_prefix(archiver.role, ARCHIVE, prefix)
    accept_prefix(archiver.role, INTAKE, LARGE_PREFIX)
    QueueSource(
        functions.stack, "FromArchive", job=archiver, work=data.archive_queue, batch_size=1000, max_concurrency=2
    )

    flip_archiver = functions.add(
        jobs.FLIP_ARCHIVER,
        [data.trail.work_off(), data.archive.add(FLIPS_PREFIX)],
        ARCHIVE_BUCKET=data.archive.bucket_name,
    )
    accept_prefix(flip_archiver.role, ARCHIVE, FLIPS_PREFIX)
    QueueSource(functions.stack, "FromTrail", job=flip_archiver, work=data.trail, batch_size=100, max_concurrency=2)

    decision_archiver = functions.add(
        jobs.DECISION_ARCHIVER,
        [data.decisions.follow(), data.archive.add(DECISIONS_PREFIX), data.decision_log.send()],
        ARCHIVE_BUCKET=data.archive.bucket_name,
    )
    accept_prefix(decision_archiver.role, ARCHIVE, DECISIONS_PREFIX)
    DecisionSource(
        functions.stack, "FromDecisions", job=decision_archiver, table=data.decisions, dead_letters=data.decision_log
    )


def _keeping(functions: Functions) -> None:
    data = functions.data
    watermark = functions.add(
        jobs.ARCHIVE_WATERMARK,
        [allow(["cloudwatch:GetMetricData"], "*"), data.clock.read_and_put()],
        CLOCK_TABLE=data.clock.table_name,
        EVENTS_QUEUE=data.events.queue.queue_name,
        ARCHIVE_QUEUE=data.archive_queue.queue.queue_name,
        EVENTS_VISIBILITY_SECONDS=str(data.events.visibility),
        ARCHIVE_VISIBILITY_SECONDS=str(data.archive_queue.visibility),
    )
    accept(
        watermark.role,
        "AwsSolutions-IAM5[Resource::*]",
        "CloudWatch knows no smaller resource for reading metrics, which are numbers of messages and requests.",
    )
    compactor = functions.add(
        jobs.ARCHIVE_COMPACTOR,
        [*data.archive.replace(), data.clock.read()],
        ARCHIVE_BUCKET=data.archive.bucket_name,
        CLOCK_TABLE=data.clock.table_name,
    )
    eraser = functions.add(
        jobs.ARCHIVE_ERASER,
        [*data.archive.replace(), data.archive.note_erased(), data.profiles.read()],
        ARCHIVE_BUCKET=data.archive.bucket_name,
        PROFILES_TABLE=data.profiles.table_name,
    )
    for function in (compactor, eraser):
        for prefix in ROWS:
            accept_prefix(function.role, ARCHIVE, prefix)
    accept_prefix(eraser.role, ARCHIVE, ERASED_PREFIX)
    for name, minutes, function in (("EachFiveMinutes", 5, watermark), ("EachHour", 60, compactor)):
        events.Rule(
            functions.stack,
            name,
            schedule=events.Schedule.rate(Duration.minutes(minutes)),
            # What a run leaves undone is done by the next one.
            targets=[targets.LambdaFunction(function.function, retry_attempts=0)],
        )
