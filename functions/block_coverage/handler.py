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
from mailtailor.aws.block_coverage import cover
from mailtailor.aws.block_previews import Blocks, Settings, connect_blocks
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.profile_sample import ProfileSample
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.content.admin_request import read_request
from mailtailor.content.preview_request import MAX_BYTES, PARTS, CoverageRequest
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
    covered = cover(unquote(asked[1]), wish, given.blocks, given.profiles)
    count("ProfilesCovered", covered.found.looked_at)
    return http.json_response(200, covered.payload())


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
        logger.error("Profiles or blocks cannot be read.", extra={"error": type(error).__name__})
        refused = Unavailable("Profiles or blocks cannot be read.", "Try again in a moment.")
    count("CoverageRefused", reason=type(refused).__name__)
    return http.error_response(refused)
