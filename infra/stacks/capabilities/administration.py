"""Administration: what administrators ask about campaigns, mail and people."""

from __future__ import annotations

from aws_cdk import aws_apigatewayv2 as apigatewayv2

from infra import jobs
from infra.constructs.api import POST, PublicApi
from infra.constructs.storage import ERASED_PREFIX, EVENTS_PREFIX, FLIPS_PREFIX, MAIL_PREFIX
from infra.stacks.capabilities.functions import Functions
from infra.stacks.capabilities.prefixes import ARCHIVE, accept_prefix


def add(functions: Functions, api: PublicApi, base_url: str) -> None:
    """Add what answers administrators; `base_url` is that of links and pixels."""
    _campaigns(functions, api)
    _instrument(functions, api, base_url)
    _memberships(functions, api)


def _campaigns(functions: Functions, api: PublicApi) -> None:
    archive = functions.data.archive
    report = functions.add(jobs.CAMPAIGN_REPORT, archive.read(MAIL_PREFIX), ARCHIVE_BUCKET=archive.bucket_name)
    accept_prefix(report.role, ARCHIVE, MAIL_PREFIX)
    for path in ("/admin/campaigns", "/admin/campaigns/{campaign}"):
        api.admin_route(path, (apigatewayv2.HttpMethod.GET,), job=report)


def _instrument(functions: Functions, api: PublicApi, base_url: str) -> None:
    tokens = functions.data.tokens
    instrument = functions.add(
        jobs.INSTRUMENT_API,
        [tokens.read()],
        TOKENS_SECRET_ID=tokens.secret_arn,
        OPEN_URL=base_url,
        CLICK_URL=base_url,
    )
    api.admin_route("/admin/instrument", POST, job=instrument)


def _memberships(functions: Functions, api: PublicApi) -> None:
    profiles, archive = functions.data.profiles, functions.data.archive
    profile_api = functions.add(
        jobs.PROFILE_API,
        [profiles.read(), functions.data.definitions.read()],
        **functions.live,
        PROFILES_TABLE=profiles.table_name,
    )
    api.admin_route("/admin/profiles/{profile_id}/segments/{segment}", (apigatewayv2.HttpMethod.GET,), job=profile_api)
    trail_api = functions.add(
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
        accept_prefix(trail_api.role, ARCHIVE, prefix)
    api.admin_route(
        "/admin/profiles/{profile_id}/segments/{segment}/flips", (apigatewayv2.HttpMethod.GET,), job=trail_api
    )
