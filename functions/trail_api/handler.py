"""GET /admin/profiles/{profile_id}/segments/{segment}/flips: when somebody entered and left a segment, and why.

Also of segments that there are no more. The route has an authorizer; this function trusts whoever may invoke it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import duckdb
from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP
from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws import asked_profile, clients, http
from mailtailor.aws.archive_bucket import CONNECTIONS, ArchiveBucket, UnreadableFile
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.flip_stream import past_flips
from mailtailor.aws.flip_trail import FlipTrail
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.errors import BadInput, MailtailorError, NotFound, Unavailable
from mailtailor.events import archive
from mailtailor.instant import to_iso
from mailtailor.segments.engine import NOT_A_MEMBER
from mailtailor.segments.trail import told

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_PATH: Final = re.compile(r"/admin/profiles/([^/]+)/segments/([^/]+)/flips")
_LIMIT: Final = re.compile(r"[1-9][0-9]{0,2}")
MOST: Final = 100
USUAL: Final = "10"
RESERVE: Final = 8_000
"""Milliseconds to answer in, before the API gives up on the function."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment; Lambda itself tells how much memory there is."""

    profiles_table: str
    archive_bucket: str
    aws_lambda_function_memory_size: int = 1769


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    profiles: ProfileTable
    trail: FlipTrail
    clock: Clock


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings, s3 = from_environment(Settings), clients.s3(connections=CONNECTIONS)
    return Dependencies(
        profiles=ProfileTable(client=clients.dynamodb(timeout=2), table=settings.profiles_table),
        trail=FlipTrail(
            bucket=ArchiveBucket(client=s3, bucket=settings.archive_bucket),
            duckdb=archive.connect(
                memory=f"{settings.aws_lambda_function_memory_size // 2}MiB",
                threads=2,
                folder=Path(tempfile.gettempdir()) / "duckdb",
            ),
            erased=ErasedProfiles(client=s3, bucket=settings.archive_bucket),
        ),
        clock=clock_from_environment(),
    )


dependencies = prepared(connect)


def answer(request: http.Request, given: Dependencies, *, out_of_time: Callable[[], bool]) -> dict[str, Any]:
    """Return the profile's flips in the segment, the newest first.

    Raises
    ------
    MailtailorError
        If it asks for what there is not, or the profile cannot be read.
    """
    asked = _PATH.fullmatch(request.path)
    if asked is None:
        hint = "Ask for /admin/profiles/{profile_id}/segments/{segment}/flips."
        raise NotFound("There is nothing at this address.", hint)
    profile_id, segment = map(unquote, asked.groups())
    most, now = _limit(request.query.get("limit", USUAL)), given.clock()
    then = asked_profile.instant(request.query["at"]) if "at" in request.query else now
    item = asked_profile.stored(profile_id, given.profiles)
    profile = asked_profile.decoded(item)
    # What was written last may not be in the archive yet; its flips stand in the item until the next write.
    unread = past_flips({"dynamodb": {"NewImage": item}}, published_at=now)
    trail = given.trail.read(
        profile.identities | {profile.id},
        segment,
        most=most,
        then=then,
        known=[flip for flip in unread if flip.segment == segment],
        out_of_time=out_of_time,
    )
    payload = told(
        trail,
        profile_id=profile.id,
        stored=profile.memberships.get(segment, NOT_A_MEMBER),
        occasions=given.trail.occasions(trail.flips[:most], out_of_time=out_of_time),
        most=most,
        then=then if then < now else None,
    )
    return http.json_response(200, {"profile_id": profile.id, "segment": segment, "at": to_iso(then), **payload})


def _limit(text: str) -> int:
    if not _LIMIT.fullmatch(text) or int(text) > MOST:
        raise BadInput("limit is no number of flips.", f"Ask for 1 to {MOST}.")
    return int(text)


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP, clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of the HTTP API."""

    def out_of_time() -> bool:
        return context.get_remaining_time_in_millis() < RESERVE

    try:
        return answer(http.request(event), dependencies(), out_of_time=out_of_time)
    except MailtailorError as error:
        refused = error
    except duckdb.Error:
        logger.exception("A file of the archive cannot be read.")
        refused = MailtailorError("The archive holds a file that cannot be read.", "The function's log names it.")
    except (BotoCoreError, ClientError, UnreadableFile):
        logger.exception("The profiles' table or the archive does not answer.")
        refused = Unavailable("The archive does not answer.", "Try again in a moment.")
    count("TrailRequestsRefused", reason=type(refused).__name__)
    return http.error_response(refused)
