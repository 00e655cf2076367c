"""Receiving events: opens and clicks of mail, the tracking API, and providers' webhooks."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import aws_apigatewayv2 as apigatewayv2

from infra import jobs
from infra.constructs.api import GET, POST, PublicApi
from infra.constructs.storage import LARGE_PREFIX, PARKED_PREFIX
from infra.jobs import Job
from infra.stacks.capabilities.functions import Functions
from infra.stacks.capabilities.prefixes import INTAKE, accept_prefix
from infra.stacks.parameters import Parameters


def add(functions: Functions, parameters: Parameters, api: PublicApi, base_url: str) -> None:
    """Add what receives events; providers know it by `base_url`."""
    _hot_path(functions, api, parameters.forwarded_parameters, parameters.stitching)
    _intake(functions, api, base_url)


def _hot_path(functions: Functions, api: PublicApi, forwarded_parameters: str, stitching: str) -> None:
    data = functions.data
    of_clicks = {"FORWARDED_PARAMETERS": forwarded_parameters, "STITCHING": stitching}
    routes: tuple[tuple[Job, str, Mapping[str, str]], ...] = (
        (jobs.OPEN_PIXEL, "/o/{proxy+}", {}),
        (jobs.CLICK_REDIRECT, "/c/{proxy+}", of_clicks),
    )
    for job, path, environment in routes:
        function = functions.add(
            job,
            [data.events.send(), data.tokens.read()],
            EVENTS_QUEUE_URL=data.events.queue.queue_url,
            TOKENS_SECRET_ID=data.tokens.secret_arn,
            **environment,
        )
        api.route(path, GET, job=function, unauthenticated_because="Recipients open mail; the path is a signed token.")


def _intake(functions: Functions, api: PublicApi, base_url: str) -> None:
    data = functions.data
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
    track_api = functions.add(
        jobs.TRACK_API, [*rights, data.tokens.read()], TOKENS_SECRET_ID=data.tokens.secret_arn, **environment
    )
    api.route(
        "/v1/{call}",
        POST,
        job=track_api,
        unauthenticated_because="The function checks the write key; Segment's SDKs put it in header or body.",
        throttled=True,
    )
    webhook_ingest = functions.add(jobs.WEBHOOK_INGEST, rights, PUBLIC_URL=base_url, **environment)
    for function in (track_api, webhook_ingest):
        for prefix in (LARGE_PREFIX, PARKED_PREFIX):
            accept_prefix(function.role, INTAKE, prefix)
    api.route(
        "/webhooks/{source}",
        # Adobe asks with a GET whether the address is ours.
        (*POST, apigatewayv2.HttpMethod.GET),
        job=webhook_ingest,
        unauthenticated_because="The function checks the provider's signature over the raw body.",
        throttled=True,
    )
