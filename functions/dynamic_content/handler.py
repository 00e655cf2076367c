"""GET, HEAD /content/{block},{block}...: what one recipient sees, for the ESP to put into the mail it sends."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP

from mailtailor.aws import http
from mailtailor.aws.clock import system_clock
from mailtailor.aws.content import Fetch, answered, connect
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.recipients import Asked
from mailtailor.aws.startup import StartUp, prepared
from mailtailor.content.address import Address, Shape, is_name, read
from mailtailor.content.answer import Answer, keep_seconds, packed
from mailtailor.content.render import Format

CONTENT_TYPES: Final = {
    Shape.HTML: "text/html; charset=utf-8",
    Shape.JSON: "application/json; charset=utf-8",
    Shape.TEXT: "text/plain; charset=utf-8",
}
PERSONAL: Final = "private, no-store"
NOTHING: Final = {Shape.HTML: "", Shape.JSON: "{}", Shape.TEXT: ""}
"""What an ESP can insert when all else failed."""

start_up = StartUp()
dependencies = prepared(connect)


def answer(request: http.Request, address: Address) -> dict[str, Any]:
    """Return the blocks, or 404 if there are none of these names; who asks for headers alone is nobody's recipient."""
    used = start_up.waited(request.received_at, system_clock())
    named = Asked(
        token=request.query.get("r", ""),
        profile_id=request.query.get("p", ""),
        authorization=request.headers.get("authorization", ""),
        message=request.query.get("m", ""),
    )
    probed = request.method == "HEAD"
    form = Format.TEXT if address.shape is Shape.TEXT else Format.HTML
    fetch = Fetch(address.blocks, form, Asked() if probed else named, request.query)
    answers = answered(fetch, dependencies, used=used)
    if not probed:
        observe(answers)
    if not any(one.is_known for one in answers):
        return http.error_response(address.nothing_found())
    body = packed(answers, address.shape, by_name=len(answers) > 1)
    seconds = None if probed and named.anybody else keep_seconds(answers)
    return respond(request, address.shape, body, seconds)


def respond(request: http.Request, shape: Shape, body: str, seconds: int | None) -> dict[str, Any]:
    """Return a body that may be kept for so many seconds, by nobody if None; no body if the asker needs none."""
    headers = {"content-type": CONTENT_TYPES[shape], "cache-control": PERSONAL, "x-content-type-options": "nosniff"}
    status = 200
    if seconds is not None:
        etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
        headers |= {"cache-control": f"public, max-age={seconds}", "etag": etag}
        known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
        status = 304 if known & {etag, "*"} else 200
    return http.response(status, "" if status == 304 or request.method == "HEAD" else body, headers=headers)


def observe(answers: Sequence[Answer]) -> None:
    """Count what was not as it should be, and log why."""
    for one in answers:
        if not one.is_known:
            # An address may be anybody's, and hold whatever they wrote into it.
            count("BlocksUnknown", reason=one.block if is_name(one.block) else "not a name")
        if one.reason:
            count("ContentFaults" if one.is_fault else "ContentFallbacks", reason=one.reason)
        for fault in one.faults:
            logger.warning(
                "A variant failed.", extra={"block": one.block, "variant": fault.variant, "reason": fault.reason}
            )
        count("VariantFaults", len(one.faults))


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP, clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request of the HTTP API; a send never meets an error of ours, at worst nothing is inserted."""
    shape = Shape.HTML
    try:
        request = http.request(event)
        address = read(request.path)
        shape = address.shape
        return answer(request, address)
    except Exception:  # noqa: BLE001 - such as a layer without blocks
        logger.exception("The blocks could not be answered.")
        count("ContentFailed")
        headers = {"content-type": CONTENT_TYPES[shape], "cache-control": PERSONAL}
        return http.response(200, NOTHING[shape], headers=headers)
