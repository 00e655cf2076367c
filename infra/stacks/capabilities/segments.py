"""Segments: who is in which, as events come and time passes, how that is put right, and who is told."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets

from infra import jobs
from infra.constructs.sources import FlipSource, QueueSource
from infra.constructs.storage import ERASED_PREFIX, EVENTS_PREFIX, LARGE_PREFIX
from infra.stacks.capabilities.functions import Functions
from infra.stacks.capabilities.prefixes import ARCHIVE, INTAKE, accept_prefix
from infra.stacks.parameters import Parameters

BURSTS: Final = {"BURSTS": "3/1000 6/10000", "PROVISIONAL_SECONDS": "3600"}
"""When clicks are a scanner's (links/milliseconds), and how long a hit waits for such a finding (docs/tracking.md)."""


def add(functions: Functions, parameters: Parameters) -> None:
    """Add what computes memberships and delivers them."""
    _processing(functions, parameters.processor_concurrency)
    _waking(functions, parameters.wake_up_concurrency, parameters.wake_ups_a_second)
    _rebuilding(functions)
    _recomputing(functions)
    _reconciling(functions)
    _estimating(functions)
    _rolling_out(functions, parameters.settle_seconds)
    _delivery(functions, parameters.esp_webhook_url)


def _processing(functions: Functions, concurrency: float) -> None:
    data = functions.data
    event_processor = functions.add(
        jobs.EVENT_PROCESSOR,
        [
            data.events.work_off(),
            data.profiles.process(),
            data.definitions.read(),
            data.wake_ups.send(),
            data.archive_queue.send(),
            data.rebuilds.send(),
            data.intake.add(LARGE_PREFIX),
            data.intake.fetch(LARGE_PREFIX),
        ],
        PROFILES_TABLE=data.profiles.table_name,
        WAKE_UPS_QUEUE_URL=data.wake_ups.queue.queue_url,
        **functions.live,
        **BURSTS,
        INTAKE_BUCKET=data.intake.bucket_name,
        ARCHIVE_QUEUE_URL=data.archive_queue.queue.queue_url,
        REBUILDS_QUEUE_URL=data.rebuilds.queue.queue_url,
    )
    accept_prefix(event_processor.role, INTAKE, LARGE_PREFIX)
    # No batching window: a click shows in the next content fetch. Under load batches fill without one.
    QueueSource(functions.stack, "FromEvents", job=event_processor, work=data.events, max_concurrency=concurrency)


def _waking(functions: Functions, concurrency: float, wake_ups_a_second: str) -> None:
    data = functions.data
    profiles = {"PROFILES_TABLE": data.profiles.table_name, "WAKE_UPS_QUEUE_URL": data.wake_ups.queue.queue_url}
    wake_processor = functions.add(
        jobs.WAKE_PROCESSOR,
        [
            data.wake_ups.work_off(),
            data.profiles.process(),
            data.definitions.read(),
            data.wake_ups.send(),
            data.rebuilds.send(),
        ],
        **profiles,
        **functions.live,
        REBUILDS_QUEUE_URL=data.rebuilds.queue.queue_url,
    )
    QueueSource(functions.stack, "FromWakeUps", job=wake_processor, work=data.wake_ups, max_concurrency=concurrency)

    segment_clock = functions.add(
        jobs.SEGMENT_CLOCK,
        [data.profiles.find_due(), data.clock.read_and_put(), data.wake_ups.send(), data.wake_ups.measure()],
        **profiles,
        CLOCK_TABLE=data.clock.table_name,
        WAKE_UPS_A_SECOND=wake_ups_a_second,
    )
    events.Rule(
        functions.stack,
        "EachMinute",
        schedule=events.Schedule.rate(Duration.minutes(1)),
        # A sweep that fails is made up for by the next one.
        targets=[targets.LambdaFunction(segment_clock.function, retry_attempts=0)],
    )


def _rebuilding(functions: Functions) -> None:
    data = functions.data
    rebuilder = functions.add(
        jobs.PROFILE_REBUILDER,
        [
            data.rebuilds.work_off(),
            data.profiles.replace(),
            data.definitions.read(),
            *data.archive.read(EVENTS_PREFIX),
            data.archive.find(ERASED_PREFIX),
            data.archive_queue.send(),
            data.wake_ups.send(),
        ],
        **BURSTS,
        **functions.live,
        PROFILES_TABLE=data.profiles.table_name,
        ARCHIVE_BUCKET=data.archive.bucket_name,
        ARCHIVE_QUEUE_URL=data.archive_queue.queue.queue_url,
        WAKE_UPS_QUEUE_URL=data.wake_ups.queue.queue_url,
    )
    accept_prefix(rebuilder.role, ARCHIVE, EVENTS_PREFIX)
    QueueSource(functions.stack, "FromRebuilds", job=rebuilder, work=data.rebuilds, batch_size=1, max_concurrency=2)


def _recomputing(functions: Functions) -> None:
    data = functions.data
    recompute = functions.add(
        jobs.SEGMENT_RECOMPUTE,
        [
            data.recompute.work_off(),
            data.recompute.send(),
            data.profiles.replace(),
            data.profiles.sample(),
            data.definitions.read(),
            data.clock.read_and_put(),
            *data.archive.read(EVENTS_PREFIX),
            data.archive.find(ERASED_PREFIX),
            data.archive_queue.send(),
            data.wake_ups.send(),
            data.rebuilds.send(),
        ],
        **BURSTS,
        **functions.live,
        PROFILES_TABLE=data.profiles.table_name,
        CLOCK_TABLE=data.clock.table_name,
        ARCHIVE_BUCKET=data.archive.bucket_name,
        ARCHIVE_QUEUE_URL=data.archive_queue.queue.queue_url,
        WAKE_UPS_QUEUE_URL=data.wake_ups.queue.queue_url,
        REBUILDS_QUEUE_URL=data.rebuilds.queue.queue_url,
        RECOMPUTE_QUEUE_URL=data.recompute.queue.queue_url,
    )
    accept_prefix(recompute.role, ARCHIVE, EVENTS_PREFIX)
    # Four write a thousand profiles a second at most, which leaves the table to live events.
    QueueSource(functions.stack, "FromRecompute", job=recompute, work=data.recompute, batch_size=1, max_concurrency=4)


def _reconciling(functions: Functions) -> None:
    data = functions.data
    reconcile = functions.add(
        jobs.SEGMENT_RECONCILE,
        [
            data.reconcile.work_off(),
            data.reconcile.send(),
            data.profiles.read_many(),
            data.definitions.read(),
            data.clock.read_and_put(),
            *data.archive.read(EVENTS_PREFIX),
            data.archive.find(ERASED_PREFIX),
        ],
        **BURSTS,
        **functions.live,
        PROFILES_TABLE=data.profiles.table_name,
        CLOCK_TABLE=data.clock.table_name,
        ARCHIVE_BUCKET=data.archive.bucket_name,
        RECONCILE_QUEUE_URL=data.reconcile.queue.queue_url,
    )
    accept_prefix(reconcile.role, ARCHIVE, EVENTS_PREFIX)
    QueueSource(functions.stack, "FromReconcile", job=reconcile, work=data.reconcile, batch_size=1, max_concurrency=2)
    events.Rule(
        functions.stack,
        "EachDay",
        # At night in Europe and America; a retry finds it under way, and sends what is missing.
        schedule=events.Schedule.cron(minute="17", hour="3"),
        targets=[targets.LambdaFunction(reconcile.function, retry_attempts=2)],
    )


def _estimating(functions: Functions) -> None:
    data = functions.data
    estimate = functions.add(
        jobs.SEGMENT_ESTIMATE,
        [*data.archive.read(EVENTS_PREFIX), data.archive.find(ERASED_PREFIX)],
        **BURSTS,
        ARCHIVE_BUCKET=data.archive.bucket_name,
    )
    accept_prefix(estimate.role, ARCHIVE, EVENTS_PREFIX)


def _rolling_out(functions: Functions, settle_seconds: str) -> None:
    data = functions.data
    rollout = functions.add(
        jobs.SEGMENT_ROLLOUT,
        [data.definitions.read_and_put(), data.clock.read_and_put(), data.recompute.send()],
        DEFINITIONS_TABLE=data.definitions.table_name,
        CLOCK_TABLE=data.clock.table_name,
        RECOMPUTE_QUEUE_URL=data.recompute.queue.queue_url,
        SETTLE_SECONDS=settle_seconds,
    )
    events.Rule(
        functions.stack,
        "EachMinuteOfARollout",
        schedule=events.Schedule.rate(Duration.minutes(1)),
        # What a look leaves undone is done by the next one.
        targets=[targets.LambdaFunction(rollout.function, retry_attempts=0)],
    )


def _delivery(functions: Functions, esp_webhook_url: str) -> None:
    data = functions.data
    publisher = functions.add(
        jobs.MEMBERSHIP_PUBLISHER,
        [data.profiles.follow(), data.esp.send(), data.trail.send(), data.flips.send()],
        ESP_QUEUE_URL=data.esp.queue.queue_url,
        TRAIL_QUEUE_URL=data.trail.queue.queue_url,
    )
    FlipSource(functions.stack, "FromProfiles", job=publisher, table=data.profiles, dead_letters=data.flips)

    esp_sync = functions.add(
        jobs.ESP_SYNC,
        [data.esp.work_off(), data.deliveries.update(), data.esp_keys.read()],
        DELIVERIES_TABLE=data.deliveries.table_name,
        ESP_SECRET_ID=data.esp_keys.secret_arn,
        ESP_WEBHOOK_URL=esp_webhook_url,
    )
    QueueSource(functions.stack, "FromEsp", job=esp_sync, work=data.esp, max_concurrency=5)
