"""Takes calls of Segment's tracking API: authenticated, normalized, pseudonymous, and queued before the answer."""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import correlation_paths
from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws import clients, http
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.queues import Queue, SendFailed
from mailtailor.aws.secrets import Secret
from mailtailor.aws.settings import from_environment
from mailtailor.errors import BadInput, MailtailorError, TooLarge, Unauthorized, Unavailable
from mailtailor.events import envelope
from mailtailor.events.sources import segment
from mailtailor.events.untrusted import BadField, parse, plain
from mailtailor.profiles.identity import Pseudonymizer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CORS = {"access-control-allow-origin": "*"}
PREFLIGHT = {
    **CORS,
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "authorization, content-encoding, content-type",
    "access-control-max-age": "86400",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the function needs to know."""

    events_queue_url: str
    identity_secret_id: str
    ingest_secret_id: str


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    events: Queue
    identity: Secret
    ingest: Secret
    clock: Clock


@cache
def dependencies() -> Dependencies:
    """Return the dependencies, made at the first call."""
    settings = from_environment(Settings)
    clock = clock_from_environment()
    secrets = clients.secrets_manager()
    return Dependencies(
        events=Queue(client=clients.sqs(), url=settings.events_queue_url),
        identity=Secret(client=secrets, secret_id=settings.identity_secret_id, clock=clock),
        ingest=Secret(client=secrets, secret_id=settings.ingest_secret_id, clock=clock),
        clock=clock,
    )


@metrics.log_metrics
@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Answer one HTTP request."""
    try:
        request = http.request(event)
        if request.method == "OPTIONS":
            return http.response(204, headers=PREFLIGHT)
        answer = http.json_response(200, _take(request, dependencies()))
    except MailtailorError as error:
        answer = _refusal(error)
    except (BotoCoreError, ClientError, SendFailed) as error:
        logger.error("Events could not be queued.", extra={"error": type(error).__name__})
        answer = _refusal(Unavailable("The events could not be queued.", "Send them again; doubles do no harm."))
    answer["headers"].update(CORS)
    return answer


def _take(request: http.Request, deps: Dependencies) -> dict[str, Any]:
    body = plain(request.body, request.headers.get("content-encoding", ""), limit=segment.MAX_BATCH_BYTES)
    payload = parse(body)
    _authenticate(request, payload, deps.ingest)
    reception = segment.Reception(
        received_at=deps.clock(),
        pseudonymizer=Pseudonymizer(deps.identity.value()["pepper"].encode()),
        new_id=lambda: str(uuid.uuid4()),
    )
    call = request.path.rstrip("/").rpartition("/")[2]
    result = segment.receive(call, payload, len(body), reception)
    deps.events.send_all(envelope.pack(event.model_dump_json(exclude_defaults=True) for event in result.events))
    count("EventsAccepted", len(result.events))
    if not result.rejected:
        return {"success": True}
    return {"success": True, "accepted": len(result.events), "rejected": _report(result.rejected)}


def _authenticate(request: http.Request, payload: object, ingest: Secret) -> None:
    keys = segment.write_keys(request.headers.get("authorization", ""), payload)
    # A key we do not know may be a new one: the cached secret can be minutes old.
    if not (_known(keys, ingest.value()) or (keys and _known(keys, ingest.fresh()))):
        raise Unauthorized("The write key is missing or wrong.", "Send it as writeKey, as Basic user or as Bearer.")


def _known(keys: list[str], secret: Mapping[str, str]) -> bool:
    expected = secret.get("write_key", "").encode()
    return bool(expected) and any(hmac.compare_digest(key.encode("utf-8", "replace"), expected) for key in keys)


def _report(rejected: list[segment.Rejection]) -> list[dict[str, Any]]:
    count("EventsRejected", len(rejected))
    # The names of fields come from outside and might be anything; our own reasons cannot name a person.
    reasons = {error.reason if isinstance(error, BadField) else error.message for error in (r.error for r in rejected)}
    logger.warning("Events of a batch were rejected.", extra={"rejected": len(rejected), "reasons": sorted(reasons)})
    return [
        {"index": rejection.index, "code": type(rejection.error).__name__, "message": rejection.error.message}
        for rejection in rejected
    ]


def _refusal(error: MailtailorError) -> dict[str, Any]:
    count("CallsRefused")
    # Segment's API answers 400 to what is too large, and its SDKs give up on that; some would send a 413 again.
    return http.error_response(BadInput(error.message, error.hint) if isinstance(error, TooLarge) else error)
