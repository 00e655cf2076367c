"""Takes webhooks: verified over the raw body, normalized, pseudonymous, and queued before the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools.logging import correlation_paths
from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws import clients, http
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.queues import Queue, SendFailed
from mailtailor.aws.secrets import Secret
from mailtailor.aws.settings import from_environment
from mailtailor.errors import MailtailorError, NotFound, TooLarge, Unavailable
from mailtailor.events import envelope
from mailtailor.events.sources import shopify
from mailtailor.events.sources.webhook import Delivery, Receive
from mailtailor.profiles.identity import Pseudonymizer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
SOURCES: Final[Mapping[str, Receive]] = {shopify.SOURCE: shopify.receive}


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
        events=Queue(client=clients.sqs(timeout=1, attempts=2), url=settings.events_queue_url),
        identity=Secret(client=secrets, secret_id=settings.identity_secret_id, clock=clock),
        ingest=Secret(client=secrets, secret_id=settings.ingest_secret_id, clock=clock),
        clock=clock,
    )


@metrics.log_metrics
@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Answer one HTTP request."""
    try:
        return http.json_response(200, {"accepted": _take(http.request(event), dependencies())})
    except MailtailorError as error:
        count("WebhooksRefused")
        logger.warning("A webhook was refused.", extra={"error": type(error).__name__})
        return http.error_response(error)
    except (BotoCoreError, ClientError, SendFailed) as error:
        logger.error("Events of a webhook could not be queued.", extra={"error": type(error).__name__})
        return http.error_response(Unavailable("The webhook could not be queued.", "Deliver it again."))


def _take(request: http.Request, deps: Dependencies) -> int:
    source = request.path.rstrip("/").rpartition("/")[2]
    receive = SOURCES.get(source)
    if receive is None:
        raise NotFound("There is no such webhook source.", f"Known: {', '.join(SOURCES)}.")
    if len(request.body) > MAX_BODY_BYTES:
        raise TooLarge("The webhook is larger than 4 MB.")
    # Senders sign with the old secret for a while after a rotation, so several may stand here, parted by blanks.
    secrets = (deps.ingest.value().get(source) or deps.ingest.fresh().get(source) or "").split()
    if not secrets:
        raise Unavailable(f"The secret of the webhook source {source} is not set.", "Add it to the ingest secret.")
    events = receive(
        Delivery(headers=request.headers, body=request.body, received_at=deps.clock()),
        secrets=secrets,
        pseudonymizer=Pseudonymizer(deps.identity.value()["pepper"].encode()),
    )
    deps.events.send_all(envelope.pack(event.model_dump_json(exclude_defaults=True) for event in events))
    count("EventsAccepted" if events else "WebhooksIgnored", len(events) or 1)
    return len(events)
