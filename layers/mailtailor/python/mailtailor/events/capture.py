"""Events of opens and clicks, made without the event model.

Importing pydantic would cost the pixel more than everything else it does. A test proves that `Event` accepts these.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from mailtailor.instant import Instant
from mailtailor.tracking.destination import without_values
from mailtailor.tracking.tokens import LinkToken, MailingToken, RecipientToken

MAX_USER_AGENT: Final = 200


@dataclass(frozen=True, slots=True)
class Facts:
    """What a request tells of who made it, for `tracking.machine` to judge.

    Attributes
    ----------
    user_agent
        The header, any text.
    head
        Whether it asked for the headers only, as probes do.
    prefetch
        Whether it says that nobody has asked to see this yet.
    network
        Name of the known network that it came from (`tracking.networks`).
    """

    user_agent: str = ""
    head: bool = False
    prefetch: bool = False
    network: str = ""

    def properties(self) -> dict[str, Any]:
        """Return the facts as properties of an event; what is usual is left out."""
        properties: dict[str, Any] = {}
        if self.user_agent:
            # Half a surrogate pair may arrive in a header and is no text to whoever reads the event.
            properties["user_agent"] = self.user_agent[:MAX_USER_AGENT].encode("utf-8", "replace").decode()
        if self.head:
            properties["method"] = "HEAD"
        if self.prefetch:
            properties["prefetch"] = True
        if self.network:
            properties["network"] = self.network
        return properties


NO_FACTS: Final = Facts()


def opened(
    *, event_id: str, mailing: MailingToken, recipient: RecipientToken, at: Instant, facts: Facts = NO_FACTS
) -> str:
    """Return the JSON of an `email_opened` event that happened `at`."""
    properties: dict[str, Any] = {"campaign": mailing.campaign}
    if mailing.instance:
        properties["instance"] = mailing.instance
    properties |= facts.properties()
    return _event(event_id, "email_opened", recipient=recipient, at=at, properties=properties)


def clicked(*, event_id: str, link: LinkToken, recipient: RecipientToken, at: Instant, facts: Facts = NO_FACTS) -> str:
    """Return the JSON of an `email_link_clicked` event that happened `at`; no merged value of the URL is in it."""
    properties: dict[str, Any] = {
        "campaign": link.campaign,
        "url": without_values(link.url),
        "position": link.position,
    }
    if link.instance:
        properties["instance"] = link.instance
    if link.product_id:
        properties["product_id"] = link.product_id
    if link.category:
        properties["category"] = link.category
    properties |= facts.properties()
    return _event(event_id, "email_link_clicked", recipient=recipient, at=at, properties=properties)


def _event(event_id: str, kind: str, *, recipient: RecipientToken, at: Instant, properties: dict[str, Any]) -> str:
    return json.dumps(
        {
            "id": event_id,
            "type": kind,
            "source": "mailtailor",
            "profile_id": recipient.profile_id,
            "occurred_at": at,
            "received_at": at,
            "properties": properties,
        },
        separators=(",", ":"),
    )
