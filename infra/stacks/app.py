"""The stateless stack: what Mailtailor can do, the API, what stands before it, and what watches over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aws_cdk import Aws, CfnCondition, CfnOutput, Fn, Stack

from infra import jobs
from infra.build.layers import PlatformName
from infra.constructs.api import PublicApi
from infra.constructs.edge import StaticFallbackEdge
from infra.constructs.function import JobFunction
from infra.constructs.layer import BuiltLayer
from infra.constructs.monitoring import Monitoring, Watched
from infra.constructs.queue import WorkQueue
from infra.jobs import Job
from infra.stacks.capabilities import administration, archive, content, receiving, segments
from infra.stacks.capabilities.functions import Functions
from infra.stacks.data import DataStack
from infra.stacks.parameters import Parameters

if TYPE_CHECKING:
    from constructs import Construct


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
        layers = {
            layer: BuiltLayer(self, f"{layer.title()}Layer", layer=layer, built_for=built_for) for layer in jobs.LAYERS
        }
        parameters = Parameters(self)
        live = {"DEFINITIONS_TABLE": data.definitions.table_name, "REFRESH_SECONDS": parameters.refresh_seconds}
        functions = Functions(self, data=data, layers=layers, live=live)

        api = PublicApi(self, "Http", administrators=data.administrators)
        edge = StaticFallbackEdge(self, "Edge", api_domain=api.domain)
        none_given = CfnCondition(self, "NoPublicUrl", expression=Fn.condition_equals(parameters.public_url, ""))
        base_url = Fn.condition_if(none_given.logical_id, edge.url, parameters.public_url).to_string()

        receiving.add(functions, parameters, api, base_url)
        content.add(functions, api, base_url)
        segments.add(functions, parameters)
        archive.add(functions)
        administration.add(functions, api, base_url)
        content.add_blocks(functions, api, base_url)
        self._monitor(functions.added, api)
        self._tell(functions.added, api, base_url)

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

    def _monitor(self, functions: Mapping[Job, JobFunction], api: PublicApi) -> None:
        works = self._works
        # Archiving waits for a full batch by intent; deliveries wait for an ESP that is down. A wake-up waits until it
        # is due, and again after each failure; whether people are late, `WakeUpLateness` says.
        max_age = {"Events": 60, "WakeUps": 1200, "Archive": 600, "Esp": 600, "Trail": 600}
        max_age |= {"Rebuilds": 3600, "Recompute": 4 * 3600, "Reconcile": 8 * 3600}
        self.monitoring = Monitoring(
            self,
            "Monitoring",
            api=api,
            functions=list(functions.values()),
            publisher=functions[jobs.MEMBERSHIP_PUBLISHER],
            clock=functions[jobs.SEGMENT_CLOCK],
            queues={name: Watched(queue=work.queue, max_age=max_age[name]) for name, work in works.items()},
            dead_letters={name: work.dead_letters for name, work in works.items()}
            | {"Flips": self._data.flips, "DecisionLog": self._data.decision_log},
        )

    def _tell(self, functions: Mapping[Job, JobFunction], api: PublicApi, base_url: str) -> None:
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
            "SegmentClockFunction": functions[jobs.SEGMENT_CLOCK].function.function_name,
            "ArchiveWatermarkFunction": functions[jobs.ARCHIVE_WATERMARK].function.function_name,
            "ArchiveCompactorFunction": functions[jobs.ARCHIVE_COMPACTOR].function.function_name,
            "ArchiveEraserFunction": functions[jobs.ARCHIVE_ERASER].function.function_name,
            "CampaignReportFunction": functions[jobs.CAMPAIGN_REPORT].function.function_name,
            "ProfileApiFunction": functions[jobs.PROFILE_API].function.function_name,
            "SegmentReconcileFunction": functions[jobs.SEGMENT_RECONCILE].function.function_name,
            "SegmentEstimateFunction": functions[jobs.SEGMENT_ESTIMATE].function.function_name,
            "TrailApiFunction": functions[jobs.TRAIL_API].function.function_name,
            "BlockPreviewFunction": functions[jobs.BLOCK_PREVIEW].function.function_name,
            "BlockCoverageFunction": functions[jobs.BLOCK_COVERAGE].function.function_name,
            "UserPoolId": data.administrators.user_pool_id,
            "UserPoolClientId": data.administrators.client.user_pool_client_id,
            "AlarmTopic": self.monitoring.topic.topic_arn,
            "DefinitionsTable": data.definitions.table_name,
            "SegmentRolloutFunction": functions[jobs.SEGMENT_ROLLOUT].function.function_name,
            "Region": Aws.REGION,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
