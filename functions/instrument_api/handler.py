"""POST /admin/instrument: a mail in, the same mail with tracked links and open pixel out.

Whoever may call this can have any destination signed, so the route has an authorizer; this function trusts whoever may
invoke it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP
from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws import clients, http
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.secrets import Secret
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.aws.token_keys import TokenKeys
from mailtailor.errors import BadInput, MailtailorError, TooLarge, Unavailable
from mailtailor.events.untrusted import parse, plain
from mailtailor.tracking.mail_request import instrument_request, read_request

MAX_BYTES: Final = 4_000_000
"""Of a request. Lambda takes 6 MB, of which escapes and base64 need a part; beyond, the API answers 413 by itself."""
MAX_ANSWER: Final = 5_500_000
"""Characters of an answer: Lambda gives back 6 MB (AWS, "Lambda quotas")."""
MAX_ADDRESSES: Final = 10_000
"""Of a mail, as far as that can be told before reading it: more take all of the function's time and memory, and would
not fit into an answer."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment."""

    tokens_secret_id: str
    open_url: str
    click_url: str


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    keys: TokenKeys
    clock: Clock
    open_url: str
    click_url: str


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings, clock = from_environment(Settings), clock_from_environment()
    secret = Secret(client=clients.secrets_manager(), secret_id=settings.tokens_secret_id, clock=clock)
    return Dependencies(TokenKeys(secret), clock, settings.open_url, settings.click_url)


dependencies = prepared(connect)


def answer(request: http.Request, given: Dependencies) -> dict[str, Any]:
    """Return the instrumented mail.

    Raises
    ------
    MailtailorError
        If the request is no mail that can be instrumented.
    """
    if len(request.body) > MAX_BYTES:
        raise TooLarge("The request is larger than 4 MB.", "Each part of a mail may have 1 MB.")
    asked = read_request(parse(plain(request.body, request.headers.get("content-encoding", ""), limit=MAX_BYTES)))
    if asked.html.lower().count("http") + asked.text.lower().count("http") > MAX_ADDRESSES:
        raise TooLarge(f"The mail has more than {MAX_ADDRESSES:,} addresses.", "Send fewer, or use the command line.")
    try:
        mail = given.keys.read(
            lambda keyring: instrument_request(
                asked, keyring=keyring, open_url=given.open_url, click_url=given.click_url, now=given.clock()
            )
        )
    except UnicodeEncodeError as error:
        raise BadInput("The mail holds half a character.", "Send it as UTF-8, without lone surrogates.") from error
    count("MailsInstrumented")
    count("LinksTracked", sum(link.tracked for link in mail.links))
    response = http.json_response(200, mail.model_dump())
    if len(json.dumps(response)) > MAX_ANSWER:
        raise TooLarge(
            "The instrumented mail is larger than can be answered.",
            "Each link grows by about 200 characters: send fewer, or use the command line.",
        )
    return response


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP, clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    try:
        return answer(http.request(event), dependencies())
    except MailtailorError as error:
        refused = error
    except (BotoCoreError, ClientError) as error:
        logger.error("The token keys could not be read.", extra={"error": type(error).__name__})
        refused = Unavailable("The keys that sign links cannot be read.", "Try again in a moment.")
    count("MailsRefused", reason=type(refused).__name__)
    return http.error_response(refused)
