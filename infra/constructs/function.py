"""One function, with a role and a log of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, RemovalPolicy, Size
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.build.layers import FUNCTIONS
from infra.constructs.exceptions import accept
from infra.constructs.rights import allow
from infra.jobs import Job, Layer
from mailtailor.errors import MailtailorError


class JobFunction(Construct):
    """A function that does one job.

    Parameters
    ----------
    job
        What it is called and what it may use.
    layers
        All layers; it takes those that the job names.
    environment
        Its settings.
    rights
        All it may do besides writing its log.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        job: Job,
        layers: Mapping[Layer, lambda_.ILayerVersion],
        environment: Mapping[str, str],
        rights: Sequence[iam.PolicyStatement],
    ) -> None:
        super().__init__(scope, construct_id)
        self.job = job
        directory = FUNCTIONS / job.name
        if not (directory / "handler.py").exists():
            raise MailtailorError(f"The function {job.name} has no functions/{job.name}/handler.py.")
        log = logs.LogGroup(self, "Log", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            # Inline, so that the role never exists without its rights when an event source is attached.
            inline_policies={
                "job": iam.PolicyDocument(
                    statements=[allow(["logs:CreateLogStream", "logs:PutLogEvents"], log.log_group_arn), *rights]
                )
            },
        )
        self.function = lambda_.Function(
            self,
            "Function",
            description=f"Mailtailor: {job.name}",
            code=lambda_.Code.from_asset(str(directory), exclude=["**/__pycache__", "**/*.pyc"]),
            handler="handler.handler",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            layers=[layers[layer] for layer in job.layers],
            # `without_policy_updates` keeps the CDK from adding rights of its own choice.
            role=self.role.without_policy_updates(),
            log_group=log,
            timeout=Duration.seconds(job.timeout),
            memory_size=job.memory,
            ephemeral_storage_size=Size.mebibytes(job.disk),
            reserved_concurrent_executions=job.reserved_concurrency,
            # No X-Ray: its SDK doubles the import time and its price per trace is a multiple of the function's. Logs
            # carry correlation ids, and metrics come with them.
            tracing=lambda_.Tracing.DISABLED,
            environment={
                "POWERTOOLS_SERVICE_NAME": job.name,
                "POWERTOOLS_METRICS_NAMESPACE": "Mailtailor",
                "POWERTOOLS_LOG_LEVEL": "INFO",
                # There are none, and looking for them at each start reads what every installed package says of itself.
                "PYDANTIC_DISABLE_PLUGINS": "__all__",
                **environment,
            },
        )
        accept(
            self.function,
            "AwsSolutions-L1",
            "Python 3.13 is supported until 2029 and starts faster than 3.14 (bare start 77-85 ms against 94-100 ms).",
        )
