"""GET, HEAD /o/{mailing}/{recipient}.gif: the open pixel. Whatever happens, the mail gets its image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP

from mailtailor.aws import http
from mailtailor.aws.capture import Capture, connect, facts, opted_out
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.startup import prepared
from mailtailor.events import capture
from mailtailor.tracking import pixel
from mailtailor.tracking.paths import OPEN, tracked_path
from mailtailor.tracking.tokens import BadToken, Purpose, read_mailing, read_recipient

IMAGE: Final = http.response(200, pixel.GIF, headers=pixel.HEADERS)
HEAD: Final = http.response(200, headers=pixel.HEADERS)

dependencies = prepared(connect)


def answer(request: http.Request, given: Capture) -> dict[str, Any]:
    """Return the image, or its headers alone (HEAD), and record the open unless the browser asks not to."""
    image = HEAD if request.method == "HEAD" else IMAGE
    if opted_out(request):
        count("OpensOptedOut")
        return image
    path = tracked_path(request.path, OPEN)
    try:
        mailing = given.keys.read(lambda keyring: read_mailing(keyring, path.subject))
        recipient = given.keys.read(lambda keyring: read_recipient(keyring, path.recipient, Purpose.TRACK))
    except BadToken as error:
        count("OpensRefused", reason=error.reason)
        return image
    given.queue(
        capture.opened(
            event_id=given.new_id(), mailing=mailing, recipient=recipient, at=given.clock(), facts=facts(request)
        )
    )
    return image


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP, clear_state=True)
@metrics.log_metrics
def observed(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer, and count it if the open could not be recorded for a reason unforeseen."""
    try:
        return answer(http.request(event), dependencies())
    except Exception:  # noqa: BLE001 - the image comes first
        logger.exception("The open was not recorded.")
        count("OpensFailed")
        return IMAGE


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    try:
        response: dict[str, Any] = observed(event, context)
    except Exception:  # noqa: BLE001 - even logs and metrics may fail; the image does not depend on them
        return IMAGE
    return response
