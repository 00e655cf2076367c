"""GET, HEAD /c/{link}/{recipient}: send a click to the link's signed destination, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP

from mailtailor.aws import http
from mailtailor.aws.capture import Capture, connect, facts, opted_out
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.startup import prepared
from mailtailor.events import capture
from mailtailor.tracking import redirect
from mailtailor.tracking.destination import BadDestination
from mailtailor.tracking.paths import CLICK, click_parameters, tracked_path
from mailtailor.tracking.tokens import (
    BadToken,
    LinkToken,
    Purpose,
    RecipientToken,
    StitchToken,
    read_link,
    read_recipient,
    sign_stitch,
)

dependencies = prepared(connect)


def answer(request: http.Request, given: Capture) -> dict[str, Any]:
    """Return the redirect and record the click, or a page that says the link is not valid."""
    path = tracked_path(request.path, CLICK)
    try:
        link = given.keys.read(lambda keyring: read_link(keyring, path.subject))
        recipient = clicker(request, path.recipient, given)
        stitch = stitched(request, link, recipient, given)
        parameters = click_parameters(request.raw_query)
        destination = redirect.target(link.url, parameters, forwarded=given.forwarded, extra=stitch)
    except BadToken as error:
        count("ClicksRefused", reason=error.reason)
        return http.response(404, redirect.NOT_FOUND_PAGE, headers=redirect.PAGE_HEADERS)
    except BadDestination:
        count("ClicksRefused", reason="destination")
        return http.response(404, redirect.NOT_FOUND_PAGE, headers=redirect.PAGE_HEADERS)
    if recipient:
        given.queue(
            capture.clicked(
                event_id=given.new_id(), link=link, recipient=recipient, at=given.clock(), facts=facts(request)
            )
        )
    return http.response(302, headers={**redirect.HEADERS, "location": destination})


def clicker(request: http.Request, token: str, given: Capture) -> RecipientToken | None:
    """Return who clicked; None if the browser asks not to be tracked or the token is not good."""
    if opted_out(request):
        count("ClicksOptedOut")
        return None
    try:
        return given.keys.read(lambda keyring: read_recipient(keyring, token, Purpose.TRACK))
    except BadToken as error:
        count("ClicksUnattributed", reason=error.reason)
        return None


def stitched(
    request: http.Request, link: LinkToken, recipient: RecipientToken | None, given: Capture
) -> list[tuple[str, str]]:
    """Return the parameter that tells the shop's page whose click it was, if that is wanted; never for a probe."""
    if not given.stitching or recipient is None or request.method == "HEAD" or not link.position:
        return []
    stitch = StitchToken(recipient.profile_id, given.clock(), given.new_nonce())
    return [(redirect.STITCH_PARAMETER, given.keys.read(lambda keyring: sign_stitch(keyring, stitch)))]


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
