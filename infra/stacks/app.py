"""The stateless stack: functions, their triggers and rights, the API and what stands before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from aws_cdk import Aws, CfnCondition, CfnOutput, CfnParameter, Duration, Fn, Stack
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from infra import jobs
from infra.build.layers import PlatformName
from infra.constructs.api import PublicApi
from infra.constructs.edge import StaticFallbackEdge
from infra.constructs.exceptions import accept
from infra.constructs.function import JobFunction
from infra.constructs.layer import BuiltLayer
from infra.constructs.monitoring import Monitoring, Watched
from infra.constructs.queue import WorkQueue
from infra.constructs.rights import allow
from infra.constructs.sources import DecisionSource, FlipSource, QueueSource
from infra.constructs.storage import (
    BLOCKS_PREFIX,
    DECISIONS_PREFIX,
    ERASED_PREFIX,
    EVENTS_PREFIX,
    FLIPS_PREFIX,
    LARGE_PREFIX,
    MAIL_PREFIX,
    PARKED_PREFIX,
    ROWS,
)
from infra.jobs import Job, Layer
from infra.stacks.data import DataStack
from mailtailor.aws.rollout_driver import SETTLE
from mailtailor.instant import SECOND

if TYPE_CHECKING:
    from constructs import Construct

GET = (apigatewayv2.HttpMethod.GET, apigatewayv2.HttpMethod.HEAD)
POST = (apigatewayv2.HttpMethod.POST,)
BURSTS: Final = {"BURSTS": "3/1000 6/10000", "PROVISIONAL_SECONDS": "3600"}
"""When clicks are a scanner's (links/milliseconds), and how long a hit waits for such a finding (docs/tracking.md)."""

WAKE_UPS_A_SECOND: Final = "WakeUpsPerSecond"
"""A parameter; settings are texts, and CDK gives a number's value only as a number."""

ARCHIVE: Final = "ArchiveDA4CB258ArnBE8F3792"
CATALOG: Final = "Catalog742F25FDArnE4F90298"
INTAKE: Final = "IntakeA0CA28E8Arn52054E15"
"""What the CDK calls the buckets' ARNs between the stacks."""


class AppStack(Stack):
    """What Mailtailor does.

    Parameters
    ----------
    data
        What it does it with.
    built_for
        The platform whose layers are deployed; it changes nothing in the template.
    """

    def __init__(self, scope: Construct, construct_id: str, *, data: DataStack, built_for: PlatformName) -> None:
        super().__init__(scope, construct_id, description="Mailtailor: application")
        self._data = data
        self._layers: Mapping[Layer, lambda_.ILayerVersion] = {
            layer: BuiltLayer(self, f"{layer.title()}Layer", layer=layer, built_for=built_for) for layer in jobs.LAYERS
        }
        self._functions: dict[Job, JobFunction] = {}
        esp_webhook_url = CfnParameter(
            self,
            "EspWebhookUrl",
            default="",
            description="https URL that gets each membership change as a signed webhook; empty: none",
        )
        processor_concurrency = CfnParameter(
            self,
            "ProcessorConcurrency",
            type="Number",
            default=20,
            min_value=2,
            max_value=1000,
            description="How many batches of events are processed at once, at most",
        )
        wake_up_concurrency = CfnParameter(
            self,
            "WakeUpConcurrency",
            type="Number",
            default=10,
            min_value=2,
            max_value=1000,
            description="How many batches of wake-ups are processed at once, at most",
        )
        CfnParameter(
            self,
            WAKE_UPS_A_SECOND,
            type="Number",
            default=1000,
            min_value=1,
            description="How many people these evaluate in a second; when more are due, they are spread over the next",
        )
        public_url = CfnParameter(
            self,
            "PublicUrl",
            default="",
            allowed_pattern="^$|^https?://[^/]+$",
            description="Base URL of links, pixels and content if not CloudFront's own, such as https://mail.example.com",
        )

        forwarded_parameters = CfnParameter(
            self,
            "ForwardedParameters",
            default="",
            allowed_pattern="^[A-Za-z0-9_.,-]*$",
            description="Parameters of a click that its destination gets, parted by commas; empty: none",
        )
        stitching = CfnParameter(
            self,
            "Stitching",
            default="off",
            allowed_values=["on", "off"],
            description="Whether a click tells the shop's page, by a token that works once, whose click it was",
        )

        refresh = CfnParameter(
            self,
            "DefinitionsRefreshSeconds",
            type="Number",
            default=10,
            min_value=1,
            max_value=30,
            description="How often a function asks which segment definitions rule",
        )
        settle = CfnParameter(
            self,
            "RolloutSettleSeconds",
            type="Number",
            default=SETTLE // SECOND,
            min_value=1,
            max_value=3600,
            description="How long changed segment definitions wait until all functions know of them; less than the "
            "default only where functions end within seconds",
        )
        self._live = {
            "DEFINITIONS_TABLE": data.definitions.table_name,
            "REFRESH_SECONDS": refresh.value_as_string,
        }

        api = PublicApi(self, "Http", administrators=data.administrators)
        edge = StaticFallbackEdge(self, "Edge", api_domain=api.domain)
        none_given = CfnCondition(self, "NoPublicUrl", expression=Fn.condition_equals(public_url.value_as_string, ""))
        base_url = Fn.condition_if(none_given.logical_id, edge.url, public_url.value_as_string).to_string()

        self._hot_path(api, forwarded_parameters.value_as_string, stitching.value_as_string)
        self._intake(api, base_url)
        self._content(api, base_url)
        self._images(api)
        self._processing(processor_concurrency.value_as_number, wake_up_concurrency.value_as_number)
        self._rebuilding()
        self._recomputing()
        self._reconciling()
        self._estimating()
        self._rolling_out(settle.value_as_string)
        self._delivery(esp_webhook_url.value_as_string)
        self._archiving()
        self._keeping_the_archive()
        self._administration(api, base_url)
        self._blocks(api, base_url)
        self._monitor(api)
        self._tell(api, base_url)

    def _add(self, job: Job, rights: Sequence[iam.PolicyStatement], **environment: str) -> JobFunction:
        function = JobFunction(
            self, job.construct_id, job=job, layers=self._layers, environment=environment, rights=rights
        )
        self._functions[job] = function
        return function

    def _hot_path(self, api: PublicApi, forwarded_parameters: str, stitching: str) -> None:
        data = self._data
        of_clicks = {"FORWARDED_PARAMETERS": forwarded_parameters, "STITCHING": stitching}
        routes: tuple[tuple[Job, str, Mapping[str, str]], ...] = (
            (jobs.OPEN_PIXEL, "/o/{proxy+}", {}),
            (jobs.CLICK_REDIRECT, "/c/{proxy+}", of_clicks),
        )
        for job, path, environment in routes:
            function = self._add(
                job,
                [data.events.send(), data.tokens.read()],
                EVENTS_QUEUE_URL=data.events.queue.queue_url,
                TOKENS_SECRET_ID=data.tokens.secret_arn,
                **environment,
            )
            api.route(
                path, GET, job=function, unauthenticated_because="Recipients open mail; the path is a signed token."
            )

    def _intake(self, api: PublicApi, base_url: str) -> None:
        data = self._data
        rights = [
            data.events.send(),
            data.intake.add(LARGE_PREFIX, PARKED_PREFIX),
            data.identity.read(),
            data.ingest.read(),
        ]
        environment = {
            "EVENTS_QUEUE_URL": data.events.queue.queue_url,
            "INTAKE_BUCKET": data.intake.bucket_name,
            "IDENTITY_SECRET_ID": data.identity.secret_arn,
            "INGEST_SECRET_ID": data.ingest.secret_arn,
        }
        track_api = self._add(
            jobs.TRACK_API, [*rights, data.tokens.read()], TOKENS_SECRET_ID=data.tokens.secret_arn, **environment
        )
        api.route(
            "/v1/{call}",
            POST,
            job=track_api,
            unauthenticated_because="The function checks the write key; Segment's SDKs put it in header or body.",
            throttled=True,
        )
        webhook_ingest = self._add(jobs.WEBHOOK_INGEST, rights, PUBLIC_URL=base_url, **environment)
        for function in (track_api, webhook_ingest):
            for prefix in (LARGE_PREFIX, PARKED_PREFIX):
                _accept_prefix(function.role, INTAKE, prefix)
        api.route(
            "/webhooks/{source}",
            # Adobe asks with a GET whether the address is ours.
            (*POST, apigatewayv2.HttpMethod.GET),
            job=webhook_ingest,
            unauthenticated_because="The function checks the provider's signature over the raw body.",
            throttled=True,
        )

    def _content(self, api: PublicApi, base_url: str) -> None:
        data = self._data
        dynamic_content = self._add(
            jobs.DYNAMIC_CONTENT,
            [
                data.profiles.read_alone_or_together(),
                data.decisions.read_and_keep(),
                data.definitions.read(),
                data.tokens.read(),
                data.fetch_keys.read(),
                *data.catalog.read(),
            ],
            **self._live,
            PROFILES_TABLE=data.profiles.table_name,
            DECISIONS_TABLE=data.decisions.table_name,
            TOKENS_SECRET_ID=data.tokens.secret_arn,
            FETCH_SECRET_ID=data.fetch_keys.secret_arn,
            CATALOG_BUCKET=data.catalog.bucket_name,
            CONTENT_URL=base_url,
            AWS_SUFFIX=Aws.URL_SUFFIX,
        )
        _accept_prefix(dynamic_content.role, CATALOG, BLOCKS_PREFIX)
        api.route(
            "/content/{block}",
            GET,
            job=dynamic_content,
            unauthenticated_because="Not all ESPs send headers; personal content needs a signed token or a credential.",
        )

    def _images(self, api: PublicApi) -> None:
        api.route(
            "/image/{proxy+}",
            GET,
            job=self._add(jobs.OPEN_TIME_IMAGE, []),
            unauthenticated_because="Recipients open mail; an image is the same for all and tells of nobody.",
        )

    def _administration(self, api: PublicApi, base_url: str) -> None:
        archive = self._data.archive
        report = self._add(jobs.CAMPAIGN_REPORT, archive.read(MAIL_PREFIX), ARCHIVE_BUCKET=archive.bucket_name)
        _accept_prefix(report.role, ARCHIVE, MAIL_PREFIX)
        for path in ("/admin/campaigns", "/admin/campaigns/{campaign}"):
            api.admin_route(path, (apigatewayv2.HttpMethod.GET,), job=report)

        tokens = self._data.tokens
        instrument = self._add(
            jobs.INSTRUMENT_API,
            [tokens.read()],
            TOKENS_SECRET_ID=tokens.secret_arn,
            OPEN_URL=base_url,
            CLICK_URL=base_url,
        )
        api.admin_route("/admin/instrument", POST, job=instrument)

        profiles = self._data.profiles
        profile_api = self._add(
            jobs.PROFILE_API,
            [profiles.read(), self._data.definitions.read()],
            **self._live,
            PROFILES_TABLE=profiles.table_name,
        )
        api.admin_route(
            "/admin/profiles/{profile_id}/segments/{segment}", (apigatewayv2.HttpMethod.GET,), job=profile_api
        )
        trail_api = self._add(
            jobs.TRAIL_API,
            [
                profiles.read(),
                *archive.read(FLIPS_PREFIX),
                *archive.read(EVENTS_PREFIX),
                archive.find(ERASED_PREFIX),
            ],
            PROFILES_TABLE=profiles.table_name,
            ARCHIVE_BUCKET=archive.bucket_name,
        )
        for prefix in (FLIPS_PREFIX, EVENTS_PREFIX):
            _accept_prefix(trail_api.role, ARCHIVE, prefix)
        api.admin_route(
            "/admin/profiles/{profile_id}/segments/{segment}/flips", (apigatewayv2.HttpMethod.GET,), job=trail_api
        )

    def _blocks(self, api: PublicApi, base_url: str) -> None:
        data = self._data
        settings = {
            "PROFILES_TABLE": data.profiles.table_name,
            "CATALOG_BUCKET": data.catalog.bucket_name,
            "CONTENT_URL": base_url,
            **self._live,
        }
        sources = [data.definitions.read(), *data.catalog.read()]
        preview = self._add(jobs.BLOCK_PREVIEW, [data.profiles.read(), *sources], **settings)
        api.admin_route("/admin/blocks/{block}/preview", POST, job=preview)
        coverage = self._add(jobs.BLOCK_COVERAGE, [data.profiles.sample(), *sources], **settings)
        api.admin_route("/admin/blocks/{block}/coverage", POST, job=coverage)
        versions = self._add(
            jobs.BLOCK_VERSIONS,
            [data.definitions.read(), data.catalog.read_blocks(), data.catalog.find(), data.catalog.push_blocks()],
            CATALOG_BUCKET=data.catalog.bucket_name,
            **self._live,
        )
        get, put = (apigatewayv2.HttpMethod.GET,), (apigatewayv2.HttpMethod.PUT,)
        api.admin_route("/admin/blocks", get, job=versions)
        api.admin_route("/admin/blocks/{block}", put, job=versions)
        api.admin_route("/admin/blocks/{block}/versions", get, job=versions)
        api.admin_route("/admin/blocks/{block}/publish", POST, job=versions)
        api.admin_route("/admin/blocks/{block}/rollback", POST, job=versions)
        for function in (preview, coverage, versions):
            _accept_prefix(function.role, CATALOG, BLOCKS_PREFIX)

    def _processing(self, processor_concurrency: float, wake_up_concurrency: float) -> None:
        data = self._data
        profiles = {"PROFILES_TABLE": data.profiles.table_name, "WAKE_UPS_QUEUE_URL": data.wake_ups.queue.queue_url}
        event_processor = self._add(
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
            **profiles,
            **self._live,
            **BURSTS,
            INTAKE_BUCKET=data.intake.bucket_name,
            ARCHIVE_QUEUE_URL=data.archive_queue.queue.queue_url,
            REBUILDS_QUEUE_URL=data.rebuilds.queue.queue_url,
        )
        _accept_prefix(event_processor.role, INTAKE, LARGE_PREFIX)
        # No batching window: a click shows in the next content fetch. Under load batches fill without one.
        QueueSource(self, "FromEvents", job=event_processor, work=data.events, max_concurrency=processor_concurrency)

        wake_processor = self._add(
            jobs.WAKE_PROCESSOR,
            [
                data.wake_ups.work_off(),
                data.profiles.process(),
                data.definitions.read(),
                data.wake_ups.send(),
                data.rebuilds.send(),
            ],
            **profiles,
            **self._live,
            REBUILDS_QUEUE_URL=data.rebuilds.queue.queue_url,
        )
        QueueSource(self, "FromWakeUps", job=wake_processor, work=data.wake_ups, max_concurrency=wake_up_concurrency)

        segment_clock = self._add(
            jobs.SEGMENT_CLOCK,
            [data.profiles.find_due(), data.clock.read_and_put(), data.wake_ups.send(), data.wake_ups.measure()],
            **profiles,
            CLOCK_TABLE=data.clock.table_name,
            WAKE_UPS_A_SECOND=Fn.ref(WAKE_UPS_A_SECOND),
        )
        events.Rule(
            self,
            "EachMinute",
            schedule=events.Schedule.rate(Duration.minutes(1)),
            # A sweep that fails is made up for by the next one.
            targets=[targets.LambdaFunction(segment_clock.function, retry_attempts=0)],
        )

    def _rebuilding(self) -> None:
        data = self._data
        rebuilder = self._add(
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
            **self._live,
            PROFILES_TABLE=data.profiles.table_name,
            ARCHIVE_BUCKET=data.archive.bucket_name,
            ARCHIVE_QUEUE_URL=data.archive_queue.queue.queue_url,
            WAKE_UPS_QUEUE_URL=data.wake_ups.queue.queue_url,
        )
        _accept_prefix(rebuilder.role, ARCHIVE, EVENTS_PREFIX)
        QueueSource(self, "FromRebuilds", job=rebuilder, work=data.rebuilds, batch_size=1, max_concurrency=2)

    def _recomputing(self) -> None:
        data = self._data
        recompute = self._add(
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
            **self._live,
            PROFILES_TABLE=data.profiles.table_name,
            CLOCK_TABLE=data.clock.table_name,
            ARCHIVE_BUCKET=data.archive.bucket_name,
            ARCHIVE_QUEUE_URL=data.archive_queue.queue.queue_url,
            WAKE_UPS_QUEUE_URL=data.wake_ups.queue.queue_url,
            REBUILDS_QUEUE_URL=data.rebuilds.queue.queue_url,
            RECOMPUTE_QUEUE_URL=data.recompute.queue.queue_url,
        )
        _accept_prefix(recompute.role, ARCHIVE, EVENTS_PREFIX)
        # Four write a thousand profiles a second at most, which leaves the table to live events.
        QueueSource(self, "FromRecompute", job=recompute, work=data.recompute, batch_size=1, max_concurrency=4)

    def _rolling_out(self, settle_seconds: str) -> None:
        data = self._data
        rollout = self._add(
            jobs.SEGMENT_ROLLOUT,
            [data.definitions.read_and_put(), data.clock.read_and_put(), data.recompute.send()],
            DEFINITIONS_TABLE=data.definitions.table_name,
            CLOCK_TABLE=data.clock.table_name,
            RECOMPUTE_QUEUE_URL=data.recompute.queue.queue_url,
            SETTLE_SECONDS=settle_seconds,
        )
        events.Rule(
            self,
            "EachMinuteOfARollout",
            schedule=events.Schedule.rate(Duration.minutes(1)),
            # What a look leaves undone is done by the next one.
            targets=[targets.LambdaFunction(rollout.function, retry_attempts=0)],
        )

    def _reconciling(self) -> None:
        data = self._data
        reconcile = self._add(
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
            **self._live,
            PROFILES_TABLE=data.profiles.table_name,
            CLOCK_TABLE=data.clock.table_name,
            ARCHIVE_BUCKET=data.archive.bucket_name,
            RECONCILE_QUEUE_URL=data.reconcile.queue.queue_url,
        )
        _accept_prefix(reconcile.role, ARCHIVE, EVENTS_PREFIX)
        QueueSource(self, "FromReconcile", job=reconcile, work=data.reconcile, batch_size=1, max_concurrency=2)
        events.Rule(
            self,
            "EachDay",
            # At night in Europe and America; a retry finds it under way, and sends what is missing.
            schedule=events.Schedule.cron(minute="17", hour="3"),
            targets=[targets.LambdaFunction(reconcile.function, retry_attempts=2)],
        )

    def _estimating(self) -> None:
        data = self._data
        estimate = self._add(
            jobs.SEGMENT_ESTIMATE,
            [*data.archive.read(EVENTS_PREFIX), data.archive.find(ERASED_PREFIX)],
            **BURSTS,
            ARCHIVE_BUCKET=data.archive.bucket_name,
        )
        _accept_prefix(estimate.role, ARCHIVE, EVENTS_PREFIX)

    def _delivery(self, esp_webhook_url: str) -> None:
        data = self._data
        publisher = self._add(
            jobs.MEMBERSHIP_PUBLISHER,
            [data.profiles.follow(), data.esp.send(), data.trail.send(), data.flips.send()],
            ESP_QUEUE_URL=data.esp.queue.queue_url,
            TRAIL_QUEUE_URL=data.trail.queue.queue_url,
        )
        FlipSource(self, "FromProfiles", job=publisher, table=data.profiles, dead_letters=data.flips)

        esp_sync = self._add(
            jobs.ESP_SYNC,
            [data.esp.work_off(), data.deliveries.update(), data.esp_keys.read()],
            DELIVERIES_TABLE=data.deliveries.table_name,
            ESP_SECRET_ID=data.esp_keys.secret_arn,
            ESP_WEBHOOK_URL=esp_webhook_url,
        )
        QueueSource(self, "FromEsp", job=esp_sync, work=data.esp, max_concurrency=5)

    def _archiving(self) -> None:
        data = self._data
        archiver = self._add(
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
            _accept_prefix(archiver.role, ARCHIVE, prefix)
        _accept_prefix(archiver.role, INTAKE, LARGE_PREFIX)
        QueueSource(self, "FromArchive", job=archiver, work=data.archive_queue, batch_size=1000, max_concurrency=2)

        flip_archiver = self._add(
            jobs.FLIP_ARCHIVER,
            [data.trail.work_off(), data.archive.add(FLIPS_PREFIX)],
            ARCHIVE_BUCKET=data.archive.bucket_name,
        )
        _accept_prefix(flip_archiver.role, ARCHIVE, FLIPS_PREFIX)
        QueueSource(self, "FromTrail", job=flip_archiver, work=data.trail, batch_size=100, max_concurrency=2)

        decision_archiver = self._add(
            jobs.DECISION_ARCHIVER,
            [data.decisions.follow(), data.archive.add(DECISIONS_PREFIX), data.decision_log.send()],
            ARCHIVE_BUCKET=data.archive.bucket_name,
        )
        _accept_prefix(decision_archiver.role, ARCHIVE, DECISIONS_PREFIX)
        DecisionSource(
            self, "FromDecisions", job=decision_archiver, table=data.decisions, dead_letters=data.decision_log
        )

    def _keeping_the_archive(self) -> None:
        data = self._data
        watermark = self._add(
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
        compactor = self._add(
            jobs.ARCHIVE_COMPACTOR,
            [*data.archive.replace(), data.clock.read()],
            ARCHIVE_BUCKET=data.archive.bucket_name,
            CLOCK_TABLE=data.clock.table_name,
        )
        eraser = self._add(
            jobs.ARCHIVE_ERASER,
            [*data.archive.replace(), data.archive.note_erased(), data.profiles.read()],
            ARCHIVE_BUCKET=data.archive.bucket_name,
            PROFILES_TABLE=data.profiles.table_name,
        )
        for function in (compactor, eraser):
            for prefix in ROWS:
                _accept_prefix(function.role, ARCHIVE, prefix)
        _accept_prefix(eraser.role, ARCHIVE, ERASED_PREFIX)
        for name, minutes, function in (("EachFiveMinutes", 5, watermark), ("EachHour", 60, compactor)):
            events.Rule(
                self,
                name,
                schedule=events.Schedule.rate(Duration.minutes(minutes)),
                # What a run leaves undone is done by the next one.
                targets=[targets.LambdaFunction(function.function, retry_attempts=0)],
            )

    @property
    def _works(self) -> Mapping[str, WorkQueue]:
        data = self._data
        return {
            "Events": data.events,
            "WakeUps": data.wake_ups,
            "Archive": data.archive_queue,
            "Esp": data.esp,
            "Trail": data.trail,
            "Rebuilds": data.rebuilds,
            "Recompute": data.recompute,
            "Reconcile": data.reconcile,
        }

    def _monitor(self, api: PublicApi) -> None:
        works = self._works
        # Archiving waits for a full batch by intent; deliveries wait for an ESP that is down. A wake-up waits until it
        # is due, and again after each failure; whether people are late, `WakeUpLateness` says.
        max_age = {"Events": 60, "WakeUps": 1200, "Archive": 600, "Esp": 600, "Trail": 600}
        max_age |= {"Rebuilds": 3600, "Recompute": 4 * 3600, "Reconcile": 8 * 3600}
        self.monitoring = Monitoring(
            self,
            "Monitoring",
            api=api,
            functions=list(self._functions.values()),
            publisher=self._functions[jobs.MEMBERSHIP_PUBLISHER],
            clock=self._functions[jobs.SEGMENT_CLOCK],
            queues={name: Watched(queue=work.queue, max_age=max_age[name]) for name, work in works.items()},
            dead_letters={name: work.dead_letters for name, work in works.items()}
            | {"Flips": self._data.flips, "DecisionLog": self._data.decision_log},
        )

    def _tell(self, api: PublicApi, base_url: str) -> None:
        data = self._data
        works = self._works
        outputs = {
            "ApiUrl": f"https://{api.domain}",
            "OpenUrl": base_url,
            "ClickUrl": base_url,
            "ContentUrl": base_url,
            "ProfilesTable": data.profiles.table_name,
            "DecisionsTable": data.decisions.table_name,
            "DeliveriesTable": data.deliveries.table_name,
            "ClockTable": data.clock.table_name,
            **{f"{name}QueueUrl": work.queue.queue_url for name, work in works.items()},
            **{f"{name}DlqUrl": work.dead_letters.queue_url for name, work in works.items()},
            "FlipsDlqUrl": data.flips.queue_url,
            "DecisionLogDlqUrl": data.decision_log.queue_url,
            "ArchiveBucket": data.archive.bucket_name,
            "CatalogBucket": data.catalog.bucket_name,
            "IntakeBucket": data.intake.bucket_name,
            "TokensSecretId": data.tokens.secret_arn,
            "IdentitySecretId": data.identity.secret_arn,
            "IngestSecretId": data.ingest.secret_arn,
            "EspSecretId": data.esp_keys.secret_arn,
            "FetchSecretId": data.fetch_keys.secret_arn,
            "SegmentClockFunction": self._functions[jobs.SEGMENT_CLOCK].function.function_name,
            "ArchiveWatermarkFunction": self._functions[jobs.ARCHIVE_WATERMARK].function.function_name,
            "ArchiveCompactorFunction": self._functions[jobs.ARCHIVE_COMPACTOR].function.function_name,
            "ArchiveEraserFunction": self._functions[jobs.ARCHIVE_ERASER].function.function_name,
            "CampaignReportFunction": self._functions[jobs.CAMPAIGN_REPORT].function.function_name,
            "ProfileApiFunction": self._functions[jobs.PROFILE_API].function.function_name,
            "SegmentReconcileFunction": self._functions[jobs.SEGMENT_RECONCILE].function.function_name,
            "SegmentEstimateFunction": self._functions[jobs.SEGMENT_ESTIMATE].function.function_name,
            "TrailApiFunction": self._functions[jobs.TRAIL_API].function.function_name,
            "BlockPreviewFunction": self._functions[jobs.BLOCK_PREVIEW].function.function_name,
            "BlockCoverageFunction": self._functions[jobs.BLOCK_COVERAGE].function.function_name,
            "UserPoolId": data.administrators.user_pool_id,
            "UserPoolClientId": data.administrators.client.user_pool_client_id,
            "AlarmTopic": self.monitoring.topic.topic_arn,
            "DefinitionsTable": data.definitions.table_name,
            "SegmentRolloutFunction": self._functions[jobs.SEGMENT_ROLLOUT].function.function_name,
            "Region": Aws.REGION,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)


def _accept_prefix(role: iam.IRole, bucket: str, prefix: str) -> None:
    """Accept that `role` has a right on all objects of `bucket` under `prefix`."""
    accept(
        role,
        f"AwsSolutions-IAM5[Resource::MailtailorData:ExportsOutputFnGetAtt{bucket}/{prefix}*]",
        "An object's name holds its date or hash and cannot be known before; the prefix holds nothing else.",
    )
