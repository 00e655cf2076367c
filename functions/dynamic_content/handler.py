"""GET, HEAD /content/{block}?r=&m=: what one recipient sees in a block, for the ESP to put into the mail it sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP

from mailtailor.aws import http
from mailtailor.aws.content import Answer, Fetch, answered, connect, load_renderers
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.startup import prepared
from mailtailor.content.address import Shape, read
from mailtailor.content.render import Format
from mailtailor.errors import NotFound

CONTENT_TYPES: Final = {
    Shape.HTML: "text/html; charset=utf-8",
    Shape.JSON: "application/json; charset=utf-8",
    Shape.TEXT: "text/plain; charset=utf-8",
}
PERSONAL: Final = "private, no-store"
SHARED: Final = "public, max-age=60"
"""Whoever names no recipient gets the fallback, which is the same for all."""

# Blocks apart from the rest: a fallback needs neither network nor settings.
renderers = prepared(load_renderers)
dependencies = prepared(connect)


def answer(request: http.Request) -> dict[str, Any]:
    """Return the block, or 404 if there is none of that name."""
    block, shape = read(request.path)
    if block not in renderers():
        return http.error_response(NotFound("There is no block of this name.", "Deploy it, or correct the address."))
    recipient = request.query.get("r", "")
    headers = {
        "content-type": CONTENT_TYPES[shape],
        "cache-control": PERSONAL if recipient else SHARED,
        "x-content-type-options": "nosniff",
    }
    if request.method == "HEAD":
        return http.response(200, headers=headers)
    form = Format.TEXT if shape is Shape.TEXT else Format.HTML
    fetch = Fetch(form, recipient, request.query.get("m", ""), request.query)
    result = answered(fetch, renderers()[block], dependencies)
    observe(block, result)
    body = result.served.body
    if shape is Shape.JSON:
        body = json.dumps({"html": body, "variant": result.served.variant, "block": block}, ensure_ascii=False)
    return http.response(200, body, headers=headers)


def observe(block: str, result: Answer) -> None:
    """Count what was not as it should be, and log why."""
    if result.reason:
        count("ContentFallbacks", reason=result.reason)
    faults = [skipped for skipped in result.served.skipped if skipped.is_fault]
    for fault in faults:
        logger.warning("A variant failed.", extra={"block": block, "variant": fault.variant, "reason": fault.reason})
    count("VariantFaults", len(faults))


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP, clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request of the HTTP API; a send never meets an error of ours, at worst nothing is inserted."""
    try:
        return answer(http.request(event))
    except Exception:  # noqa: BLE001 - such as a layer without blocks
        logger.exception("The block could not be answered.")
        count("ContentFailed")
        return http.response(200, headers={"content-type": CONTENT_TYPES[Shape.HTML], "cache-control": PERSONAL})
