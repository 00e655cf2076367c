"""GET /admin/profiles/{profile_id}/segments/{segment}: why somebody is, or is not, in a segment, now or at an instant.

The route has an authorizer; this function trusts whoever may invoke it. It tells what the segment's conditions ask for,
and nothing else of the profile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP
from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws import asked_profile, clients, http, live_definitions
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.errors import MailtailorError, NotFound, Unavailable
from mailtailor.segments.engine import Engines
from mailtailor.segments.live import DefinitionsUnknown
from mailtailor.segments.vocabulary import suggested
from mailtailor.segments.why import explain

_PATH: Final = re.compile(r"/admin/profiles/([^/]+)/segments/([^/]+)")


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment."""

    profiles_table: str
    definitions_table: str
    refresh_seconds: int = 10


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    profiles: ProfileTable
    engine: Engines
    clock: Clock


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings, dynamodb, clock = from_environment(Settings), clients.dynamodb(timeout=2), clock_from_environment()
    return Dependencies(
        profiles=ProfileTable(client=dynamodb, table=settings.profiles_table),
        engine=live_definitions.for_readers(
            dynamodb, settings.definitions_table, refresh_seconds=settings.refresh_seconds, clock=clock
        ),
        clock=clock,
    )


dependencies = prepared(connect)


def answer(request: http.Request, given: Dependencies) -> dict[str, Any]:
    """Return why the profile is, or is not, in the segment.

    Raises
    ------
    MailtailorError
        If it asks for what there is not, or the profile cannot be read.
    """
    asked = _PATH.fullmatch(request.path)
    if asked is None:
        raise NotFound("There is nothing at this address.", "Ask for /admin/profiles/{profile_id}/segments/{segment}.")
    profile_id, segment = map(unquote, asked.groups())
    at = asked_profile.instant(request.query["at"]) if "at" in request.query else given.clock()
    profile = asked_profile.decoded(asked_profile.stored(profile_id, given.profiles))
    engine = given.engine.of(profile.definitions)
    if segment not in engine.segments:
        hint = suggested(segment, engine.segments) or f"Known are {', '.join(sorted(engine.segments))}."
        raise NotFound("There is no segment of this name.", hint)
    return http.json_response(200, explain(profile, segment, engine=engine, at=at).payload())


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
    count("ProfileRequestsRefused", reason=type(refused).__name__)
    return http.error_response(refused)
