"""GET, HEAD /c/{link}/{recipient}: send a click to the link's signed destination, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP

from mailtailor.aws import http
from mailtailor.aws.capture import Capture, connect
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.startup import prepared
from mailtailor.events import capture
from mailtailor.tracking import redirect
from mailtailor.tracking.destination import BadDestination, location
from mailtailor.tracking.paths import CLICK, tracked_path
from mailtailor.tracking.tokens import BadToken, LinkToken, Purpose, read_link, read_recipient

dependencies = prepared(connect)


def answer(request: http.Request, given: Capture) -> dict[str, Any]:
    """Return the redirect and record the click (not for HEAD), or a page that says the link is not valid."""
    path = tracked_path(request.path, CLICK)
    try:
        link = given.keys.read(lambda keyring: read_link(keyring, path.subject))
        destination = location(link.url)
    except BadToken as error:
        count("ClicksRefused", reason=error.reason)
        return http.response(404, redirect.NOT_FOUND_PAGE, headers=redirect.PAGE_HEADERS)
    except BadDestination:
        count("ClicksRefused", reason="destination")
        return http.response(404, redirect.NOT_FOUND_PAGE, headers=redirect.PAGE_HEADERS)
    if request.method != "HEAD":
        record(request, link, path.recipient, given)
    return http.response(302, headers={**redirect.HEADERS, "location": destination})


def record(request: http.Request, link: LinkToken, recipient_token: str, given: Capture) -> None:
    """Queue the click, if the recipient token is good."""
    try:
        recipient = given.keys.read(lambda keyring: read_recipient(keyring, recipient_token, Purpose.TRACK))
    except BadToken as error:
        count("ClicksUnattributed", reason=error.reason)
        return
    given.queue(
        capture.clicked(
            event_id=given.new_id(),
            link=link,
            recipient=recipient,
            at=given.clock(),
            user_agent=request.headers.get("user-agent", ""),
        )
    )


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP, clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request of the HTTP API; without the keys no destination can be trusted, so it says "try again"."""
    try:
        return answer(http.request(event), dependencies())
    except Exception:  # noqa: BLE001 - a recipient never sees an error of ours
        logger.exception("The click could not be answered.")
        count("ClicksFailed")
        return http.response(503, redirect.UNAVAILABLE_PAGE, headers={**redirect.PAGE_HEADERS, "retry-after": "5"})
