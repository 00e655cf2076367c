"""POST /v1/{call}: Segment's tracking API. Authenticated, normalized, pseudonymous, and queued before the answer."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP
from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws import clients, http, intake
from mailtailor.aws.clock import clock_from_environment
from mailtailor.aws.intake import Intake
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.secrets import Secret
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.aws.token_keys import TokenKeys
from mailtailor.errors import BadInput, MailtailorError, TooLarge, Unauthorized
from mailtailor.events.parked import Parked, ParkedItem
from mailtailor.events.sources import segment
from mailtailor.events.untrusted import BadField, parse, plain
from mailtailor.instant import Instant
from mailtailor.tracking.tokens import BadToken, StitchToken, read_stitch


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment beyond that of all that take events from outside."""

    tokens_secret_id: str


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with: the intake, and the keys of stitch tokens."""

    intake: Intake
    keys: TokenKeys


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings, clock = from_environment(Settings), clock_from_environment()
    secret = Secret(client=clients.secrets_manager(), secret_id=settings.tokens_secret_id, clock=clock)
    return Dependencies(intake.connect(), TokenKeys(secret))


dependencies = prepared(connect)


def answer(request: http.Request, function: Dependencies) -> dict[str, Any]:
    """Take the events of one call; only 200 means success to every SDK, so a batch's bad events are told in the body.

    Raises
    ------
    MailtailorError
        If nothing was taken.
    """
    given = function.intake
    body = plain(request.body, request.headers.get("content-encoding", ""), limit=segment.MAX_BATCH_BYTES)
    payload = parse(body)
    authority = _authority(segment.write_keys(request.headers.get("authorization", ""), payload), given)
    now = given.clock()
    reception = segment.Reception(
        received_at=now,
        pseudonymizer=given.pseudonymizer(),
        new_id=lambda: uuid4().hex,
        redeem=cache(lambda token: redeemed(token, function.keys, now)),
        authority=authority,
    )
    result = segment.receive(request.path.rstrip("/").rpartition("/")[2], payload, len(body), reception)
    given.send(result.events)
    _park(result.parkable, now, given)
    count("EventsAccepted", len(result.events))
    for kind, number in result.left_out.items():
        count("BrowserLimits", number, reason=kind)
    if not result.rejected:
        return http.json_response(200, {"success": True})
    return http.json_response(
        200, {"success": True, "accepted": len(result.events), "rejected": _reported(result.rejected)}
    )


def redeemed(token: str, keys: TokenKeys, now: Instant) -> StitchToken | None:
    """Return what a stitch token says; None, counted, for one that is not good: the call itself is."""
    try:
        return keys.read(lambda keyring: read_stitch(keyring, token, now=now))
    except BadToken as error:
        count("StitchesRefused", reason=error.reason)
    except (BotoCoreError, ClientError) as error:
        logger.error("The token keys could not be read.", extra={"error": type(error).__name__})
        count("StitchesRefused", reason="unavailable")
    return None


def _authority(offered: list[str], given: Intake) -> segment.Authority:
    """Return whose key was offered; a key that we do not know may be newer than our copy of the secret."""
    for keys in (given.keys, given.fresh_keys) if offered else ():
        if _known(offered, keys("write_key")):
            return segment.Authority.SERVER
        if _known(offered, keys("browser_key")):
            return segment.Authority.BROWSER
    raise Unauthorized("The write key is missing or wrong.", "Send it as writeKey, as Basic user or as Bearer.")


def _known(offered: list[str], good: list[str]) -> bool:
    return any(hmac.compare_digest(key.encode("utf-8", "replace"), known.encode()) for key in offered for known in good)


def _park(rejected: list[segment.Rejection], now: Instant, given: Intake) -> None:
    if rejected:
        items = [ParkedItem(rejection.item, rejection.error.message) for rejection in rejected]
        given.park(Parked(segment.SOURCE, now, items))


def _reported(rejected: list[segment.Rejection]) -> list[dict[str, Any]]:
    count("EventsRejected", len(rejected))
    # The names of fields come from outside and might name a person; our own reasons cannot.
    reasons = {error.reason if isinstance(error, BadField) else error.message for error in (r.error for r in rejected)}
    logger.warning("Events of a batch were rejected.", extra={"rejected": len(rejected), "reasons": sorted(reasons)})
    return [
        {"index": rejection.index, "code": type(rejection.error).__name__, "message": rejection.error.message}
        for rejection in rejected
    ]


def _refused(error: MailtailorError) -> dict[str, Any]:
    count("CallsRefused", reason=type(error).__name__)
    # Segment answers 400 to what is too large, and its SDKs give up on that; some would send after a 413 again.
    return http.error_response(BadInput(error.message, error.hint) if isinstance(error, TooLarge) else error)


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP, clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    try:
        return answer(http.request(event), dependencies())
    except MailtailorError as error:
        return _refused(error)
