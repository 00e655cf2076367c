"""GET, HEAD /image/{block}/{recipient}.gif: what is drawn when the mail is opened. Whatever happens, it is an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP

from mailtailor.aws import definitions, http
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.startup import prepared
from mailtailor.content.address import image_name
from mailtailor.content.countdown import seconds_left
from mailtailor.content.countdown_image import CountdownImage
from mailtailor.tracking import pixel

KEPT: Final = 64
"""Images kept in memory, at most 60 KB each: a mailing's opens come in bursts, many within one second."""

EMPTY: Final = http.response(200, pixel.GIF, headers=pixel.HEADERS)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with; `drawn` returns the image of a countdown so many seconds before its end."""

    images: Mapping[str, CountdownImage]
    drawn: Callable[[str, int], bytes]
    clock: Clock


def connect() -> Dependencies:
    """Return the countdowns of the definitions layer, ready to be drawn."""
    images = {one.name: CountdownImage(one) for one in definitions.countdowns().countdowns}

    @lru_cache(maxsize=KEPT)
    def drawn(name: str, seconds: int) -> bytes:
        return images[name].gif(seconds)

    return Dependencies(images, drawn, clock_from_environment())


dependencies = prepared(connect)


def image(request: http.Request, given: Dependencies) -> bytes:
    """Return the image that is asked for, or an empty one. It is the same for all, so no open is recorded."""
    name = image_name(request.path)
    if name not in given.images:
        count("ImagesFailed", reason="unknown" if name else "path")
        return pixel.GIF
    return given.drawn(name, seconds_left(given.images[name].countdown, given.clock()))


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP, clear_state=True)
@metrics.log_metrics
def observed(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer, and count it if the image could not be drawn for a reason unforeseen."""
    try:
        request = http.request(event)
        body = image(request, dependencies())
    except Exception as error:  # noqa: BLE001 - mail clients and their proxies keep an error for long
        logger.exception("The image was not drawn.")
        count("ImagesFailed", reason=type(error).__name__)
        return EMPTY
    headers = {**pixel.HEADERS, "content-length": str(len(body))}
    return http.response(200, b"" if request.method == "HEAD" else body, headers=headers)


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    try:
        response: dict[str, Any] = observed(event, context)
    except Exception:  # noqa: BLE001 - even logs and metrics may fail; the image does not depend on them
        return EMPTY
    return response
