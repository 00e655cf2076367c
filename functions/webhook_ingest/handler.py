"""POST /webhooks/{source}: verified over the raw body, normalized, pseudonymous, and queued before the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP

from mailtailor.aws import http
from mailtailor.aws.intake import Intake, connect
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.startup import prepared
from mailtailor.errors import MailtailorError, NotFound, TooLarge, Unavailable
from mailtailor.events.sources import shopify
from mailtailor.events.sources.webhook import Delivery, Receive

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
SOURCES: Final[Mapping[str, Receive]] = {shopify.SOURCE: shopify.receive}

dependencies = prepared(connect)


def answer(request: http.Request, given: Intake) -> dict[str, Any]:
    """Take the events of one webhook; a delivery that counts for nothing is answered 200, so that it stops.

    Raises
    ------
    MailtailorError
        If nothing was taken.
    """
    source = request.path.rstrip("/").rpartition("/")[2]
    if source not in SOURCES:
        raise NotFound("There is no such webhook source.", f"Known: {', '.join(SOURCES)}.")
    if len(request.body) > MAX_BODY_BYTES:
        raise TooLarge("The webhook is larger than 4 MB.")
    secrets = given.keys(source) or given.fresh_keys(source)
    if not secrets:
        raise Unavailable(
            f"The secret of the webhook source {source} is not set.", f'Add "{source}" to the ingest secret.'
        )
    events = SOURCES[source](
        Delivery(headers=request.headers, body=request.body, received_at=given.clock()),
        secrets=secrets,
        pseudonymizer=given.pseudonymizer(),
    )
    given.send(events)
    count("EventsAccepted", len(events))
    count("WebhooksIgnored", int(not events))
    return http.json_response(200, {"accepted": len(events)})


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP, clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    try:
        return answer(http.request(event), dependencies())
    except MailtailorError as error:
        count("WebhooksRefused", reason=type(error).__name__)
        return http.error_response(error)
