"""Content: what mail shows when it is opened, and the blocks that it is made of."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_apigatewayv2 as apigatewayv2

from infra import jobs
from infra.constructs.api import GET, POST, PublicApi
from infra.constructs.storage import BLOCKS_PREFIX
from infra.stacks.capabilities.functions import Functions
from infra.stacks.capabilities.prefixes import CATALOG, accept_prefix


def add(functions: Functions, api: PublicApi, base_url: str) -> None:
    """Add what answers whoever opens mail; its links lead to `base_url`."""
    _content(functions, api, base_url)
    _images(functions, api)


def _content(functions: Functions, api: PublicApi, base_url: str) -> None:
    data = functions.data
    dynamic_content = functions.add(
        jobs.DYNAMIC_CONTENT,
        [
            data.profiles.read_alone_or_together(),
            data.decisions.read_and_keep(),
            data.definitions.read(),
            data.tokens.read(),
            data.fetch_keys.read(),
            *data.catalog.read(),
        ],
        **functions.live,
        PROFILES_TABLE=data.profiles.table_name,
        DECISIONS_TABLE=data.decisions.table_name,
        TOKENS_SECRET_ID=data.tokens.secret_arn,
        FETCH_SECRET_ID=data.fetch_keys.secret_arn,
        CATALOG_BUCKET=data.catalog.bucket_name,
        CONTENT_URL=base_url,
        AWS_SUFFIX=Aws.URL_SUFFIX,
    )
    accept_prefix(dynamic_content.role, CATALOG, BLOCKS_PREFIX)
    api.route(
        "/content/{block}",
        GET,
        job=dynamic_content,
        unauthenticated_because="Not all ESPs send headers; personal content needs a signed token or a credential.",
    )


def _images(functions: Functions, api: PublicApi) -> None:
    api.route(
        "/image/{proxy+}",
        GET,
        job=functions.add(jobs.OPEN_TIME_IMAGE, []),
        unauthenticated_because="Recipients open mail; an image is the same for all and tells of nobody.",
    )


def add_blocks(functions: Functions, api: PublicApi, base_url: str) -> None:
    """Add what administrators make, try and publish blocks with."""
    data = functions.data
    settings = {
        "PROFILES_TABLE": data.profiles.table_name,
        "CATALOG_BUCKET": data.catalog.bucket_name,
        "CONTENT_URL": base_url,
        **functions.live,
    }
    sources = [data.definitions.read(), *data.catalog.read()]
    preview = functions.add(jobs.BLOCK_PREVIEW, [data.profiles.read(), *sources], **settings)
    api.admin_route("/admin/blocks/{block}/preview", POST, job=preview)
    coverage = functions.add(jobs.BLOCK_COVERAGE, [data.profiles.sample(), *sources], **settings)
    api.admin_route("/admin/blocks/{block}/coverage", POST, job=coverage)
    versions = functions.add(
        jobs.BLOCK_VERSIONS,
        [data.definitions.read(), data.catalog.read_blocks(), data.catalog.find(), data.catalog.push_blocks()],
        CATALOG_BUCKET=data.catalog.bucket_name,
        **functions.live,
    )
    get, put = (apigatewayv2.HttpMethod.GET,), (apigatewayv2.HttpMethod.PUT,)
    api.admin_route("/admin/blocks", get, job=versions)
    api.admin_route("/admin/blocks/{block}", put, job=versions)
    api.admin_route("/admin/blocks/{block}/versions", get, job=versions)
    api.admin_route("/admin/blocks/{block}/publish", POST, job=versions)
    api.admin_route("/admin/blocks/{block}/rollback", POST, job=versions)
    for function in (preview, coverage, versions):
        accept_prefix(function.role, CATALOG, BLOCKS_PREFIX)
