"""POST /admin/blocks/{block}/preview: what somebody would see in a block, now or at an instant, and why.

The route has an authorizer; this function trusts whoever may invoke it. It answers with what the recipient's mail would
hold, stores nothing and logs nothing of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP
from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws import asked_profile, clients, http
from mailtailor.aws.block_previews import Blocks, Settings, connect_blocks
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.content.admin_request import read_request
from mailtailor.content.preview import Who, preview, read_settings
from mailtailor.content.preview_request import MAX_BYTES, PreviewRequest
from mailtailor.errors import MailtailorError, NotFound, Unavailable
from mailtailor.events.untrusted import parse, plain
from mailtailor.segments.live import DefinitionsUnknown

_PATH: Final = re.compile(r"/admin/blocks/([^/]+)/preview")


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    blocks: Blocks
    profiles: ProfileTable


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings, dynamodb = from_environment(Settings), clients.dynamodb(timeout=2)
    return Dependencies(
        connect_blocks(settings, dynamodb), ProfileTable(client=dynamodb, table=settings.profiles_table)
    )


dependencies = prepared(connect)


def answer(request: http.Request, given: Dependencies) -> dict[str, Any]:
    """Return what is shown and why.

    Raises
    ------
    MailtailorError
        If it asks for what there is not, or for what cannot be.
    """
    asked = _PATH.fullmatch(request.path)
    if asked is None:
        raise NotFound("There is nothing at this address.", "Ask for /admin/blocks/{block}/preview.")
    wish = read_request(
        parse(plain(request.body, request.headers.get("content-encoding", ""), limit=MAX_BYTES)), PreviewRequest
    )
    profile = None
    if wish.who is Who.RECIPIENT and wish.profile:
        profile = asked_profile.decoded(asked_profile.stored(wish.profile, given.profiles))
    engine = given.blocks.engines.of(profile.definitions if profile else "")
    name = unquote(asked[1])
    stage = given.blocks.stage(name, given.blocks.drafts(name, wish), engine)
    shown = preview(
        wish.who,
        profile,
        stage.renderer,
        read_settings(stage.renderer.block, wish.set, wish.format),
        wish.instant(given.blocks.clock()),
        engine=engine,
        shelf=stage.shelf,
    )
    count("BlocksPreviewed")
    return http.json_response(200, shown.payload())


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
    count("PreviewsRefused", reason=type(refused).__name__)
    return http.error_response(refused)
