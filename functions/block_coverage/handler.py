"""POST /admin/blocks/{block}/coverage: how many of some profiles would see which variant of a block, and why.

The route has an authorizer; this function trusts whoever may invoke it. It looks at a part of the profiles, renders the
block for each as a mail would, and answers with numbers alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP
from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws import clients, http
from mailtailor.aws.block_previews import Blocks, Settings, Stage, connect_blocks
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.profile_sample import ProfileSample
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.content.coverage import Coverage, generic
from mailtailor.content.preview import read_settings, served_to
from mailtailor.content.preview_request import MAX_BYTES, PARTS, CoverageRequest, read_request
from mailtailor.content.render import Format
from mailtailor.errors import MailtailorError, NotFound, Unavailable
from mailtailor.events.untrusted import parse, plain
from mailtailor.segments.live import DefinitionsUnknown

_PATH: Final = re.compile(r"/admin/blocks/([^/]+)/coverage")


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    blocks: Blocks
    profiles: ProfileSample


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings, dynamodb = from_environment(Settings), clients.dynamodb()
    profiles = ProfileSample(client=dynamodb, table=settings.profiles_table, parts=PARTS)
    return Dependencies(connect_blocks(settings, dynamodb), profiles)


dependencies = prepared(connect)


def answer(request: http.Request, given: Dependencies) -> dict[str, Any]:
    """Return how many would see what.

    Raises
    ------
    MailtailorError
        If it asks for what there is not, or for what cannot be.
    """
    asked = _PATH.fullmatch(request.path)
    if asked is None:
        raise NotFound("There is nothing at this address.", "Ask for /admin/blocks/{block}/coverage.")
    wish = read_request(
        parse(plain(request.body, request.headers.get("content-encoding", ""), limit=MAX_BYTES)), CoverageRequest
    )
    name, at = unquote(asked[1]), wish.instant(given.blocks.clock())
    drafts = given.blocks.drafts(name, wish)
    stage = given.blocks.stage(name, drafts, given.blocks.engines.of())
    fetch = read_settings(stage.renderer.block, wish.set, Format.HTML)
    sample = given.profiles.read(wish.part, limit=wish.limit)
    stages: dict[str, Stage] = {stage.engine.fingerprint: stage}
    found = Coverage()
    for each in sample.profiles:
        if each.error is not None:
            found.unreadable += 1
            continue
        engine = given.blocks.engines.of(each.profile.definitions)
        if engine.fingerprint not in stages:
            stages[engine.fingerprint] = given.blocks.stage(name, drafts, engine)
        own = stages[engine.fingerprint]
        found.add(served_to(each.profile, own.renderer, fetch, at, engine=engine, shelf=own.shelf))
    block = stage.renderer.block
    count("ProfilesCovered", found.looked_at)
    return http.json_response(
        200,
        {
            "block": block.name,
            "variants": [variant.name for variant in block.variants],
            "generic": generic(block),
            "whole": sample.whole,
            **found.payload(),
        },
    )


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP, clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    try:
        return answer(http.request(event), dependencies())
    except MailtailorError as error:
        refused = error
    except DefinitionsUnknown:
        refused = Unavailable("It cannot be read which segments there are.", "Try again in a moment.")
    except (BotoCoreError, ClientError) as error:
        logger.error("The profiles' table does not answer.", extra={"error": type(error).__name__})
        refused = Unavailable("The profiles' table does not answer.", "Try again in a moment.")
    count("CoverageRefused", reason=type(refused).__name__)
    return http.error_response(refused)
