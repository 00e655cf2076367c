"""/webhooks/{source}: verified over the raw body, normalized, pseudonymous, and queued before the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP

from mailtailor.aws import http, intake
from mailtailor.aws.intake import Intake
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.outside import HttpsServers
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.errors import BadInput, MailtailorError, NotFound, Unauthorized, Unavailable
from mailtailor.events.parked import Parked, ParkedItem
from mailtailor.events.sources.registry import webhook_source
from mailtailor.events.sources.webhook import Delivery, Outside, Received, Reply, WebhookSource, receive
from mailtailor.events.untrusted import BadField, plain

MAX_BODY_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment beyond that of all that take events from outside."""

    public_url: str


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    intake: Intake
    outside: Outside
    public_url: str


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    given = intake.connect()
    return Dependencies(given, HttpsServers(given.clock), from_environment(Settings).public_url)


dependencies = prepared(connect)


def answer(request: http.Request, given: Dependencies) -> dict[str, Any]:
    """Take the events of one webhook; a delivery that counts for nothing is answered 200, so that it stops.

    Raises
    ------
    MailtailorError
        If nothing was taken.
    """
    source = webhook_source(request.path.rstrip("/").rpartition("/")[2])
    delivery = _delivery(request, given)
    handshake = _admit(source, delivery, given)
    if handshake is not None:
        return _answered(handshake)
    if request.method != "POST":
        raise NotFound("Webhooks are sent with POST.")
    try:
        received = receive(source, delivery, given.intake.pseudonymizer())
    except BadInput as error:
        # Some senders must be told 200 lest they stop everything else; only this tells us.
        logger.error("A signed body could not be read.", extra={"source": source.name, "reason": error.message})
        count("WebhooksUnreadable")
        return {**http.error_response(error), "statusCode": source.unreadable}
    given.intake.send(received.events)
    _park(source, delivery, received, given.intake)
    count("EventsAccepted", len(received.events))
    count("WebhooksIgnored", int(not received.events and not received.rejected))
    return _answered(source.reply) if source.reply else http.json_response(200, _told(received))


def _delivery(request: http.Request, given: Dependencies) -> Delivery:
    path = f"{request.path}?{request.raw_query}" if request.raw_query else request.path
    return Delivery(
        headers=request.headers,
        body=plain(request.body, request.headers.get("content-encoding", ""), limit=MAX_BODY_BYTES),
        received_at=given.intake.clock(),
        method=request.method,
        query=request.query,
        urls=tuple(f"{base}{path}" for base in (f"https://{request.headers.get('host', '')}", given.public_url)),
    )


def _admit(source: WebhookSource, delivery: Delivery, given: Dependencies) -> Reply | None:
    """Verify a delivery, with the secrets read again if those we know refuse it; return a handshake's answer."""
    secrets = given.intake.keys(source.name) or given.intake.fresh_keys(source.name)
    if not secrets:
        raise Unavailable(
            f"The secret of the webhook source {source.name} is not set.", f'Add "{source.name}" to the ingest secret.'
        )
    try:
        return _verified(source, delivery, secrets, given.outside)
    except Unauthorized:
        fresh = given.intake.fresh_keys(source.name)
        if fresh == secrets:
            raise
        return _verified(source, delivery, fresh, given.outside)


def _verified(source: WebhookSource, delivery: Delivery, secrets: list[str], outside: Outside) -> Reply | None:
    handshake = source.handshake(delivery, secrets, outside)
    if handshake is None:
        source.verify(delivery, secrets, outside)
    return handshake


def _park(source: WebhookSource, delivery: Delivery, received: Received, given: Intake) -> None:
    if not received.rejected:
        return
    count("EventsRejected", len(received.rejected))
    # The names of fields come from outside and might name a person; our own reasons cannot.
    errors = [rejection.error for rejection in received.rejected]
    reasons = {error.reason if isinstance(error, BadField) else error.message for error in errors}
    causes = {type(error.__cause__).__name__ for error in errors if error.__cause__}
    logger.warning(
        "Items of a webhook were parked.",
        extra={"source": source.name, "parked": len(errors), "reasons": sorted(reasons), "causes": sorted(causes)},
    )
    items = [ParkedItem(rejection.item, rejection.error.message) for rejection in received.rejected]
    given.park(Parked(source.name, delivery.received_at, items))


def _told(received: Received) -> dict[str, Any]:
    told: dict[str, Any] = {"accepted": len(received.events)}
    if received.rejected:
        told["rejected"] = [
            {"index": rejection.index, "code": type(rejection.error).__name__, "message": rejection.error.message}
            for rejection in received.rejected
        ]
    return told


def _answered(reply: Reply) -> dict[str, Any]:
    headers = {"content-type": reply.content_type, "cache-control": "no-store", "x-content-type-options": "nosniff"}
    return http.response(reply.status, reply.body, headers=headers)


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP, clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    try:
        return answer(http.request(event), dependencies())
    except MailtailorError as error:
        count("WebhooksRefused", reason=type(error).__name__)
        return http.error_response(error)
