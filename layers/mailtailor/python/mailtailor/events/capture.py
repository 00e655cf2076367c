"""Events of opens and clicks, made without the event model.

Importing pydantic would cost the pixel more than everything else it does. A test proves that `Event` accepts these.
"""

from __future__ import annotations

import json
from typing import Any, Final

from mailtailor.instant import Instant
from mailtailor.tracking.tokens import LinkToken, MailingToken, RecipientToken

MAX_USER_AGENT: Final = 200


def opened(
    *, event_id: str, mailing: MailingToken, recipient: RecipientToken, at: Instant, user_agent: str = ""
) -> str:
    """Return the JSON of an `email_opened` event that happened `at`."""
    properties: dict[str, Any] = {"campaign": mailing.campaign}
    if mailing.instance:
        properties["instance"] = mailing.instance
    return _event(event_id, "email_opened", recipient=recipient, at=at, properties=properties, user_agent=user_agent)


def clicked(*, event_id: str, link: LinkToken, recipient: RecipientToken, at: Instant, user_agent: str = "") -> str:
    """Return the JSON of an `email_link_clicked` event that happened `at`."""
    properties: dict[str, Any] = {
        "campaign": link.campaign,
        "url": link.url,
        "position": link.position,
    }
    if link.instance:
        properties["instance"] = link.instance
    if link.product_id:
        properties["product_id"] = link.product_id
    if link.category:
        properties["category"] = link.category
    return _event(
        event_id, "email_link_clicked", recipient=recipient, at=at, properties=properties, user_agent=user_agent
    )


def _event(
    event_id: str, kind: str, *, recipient: RecipientToken, at: Instant, properties: dict[str, Any], user_agent: str
) -> str:
    if user_agent:
        # Half a surrogate pair may arrive in a header and is no text to whoever reads the event.
        properties["user_agent"] = user_agent[:MAX_USER_AGENT].encode("utf-8", "replace").decode()
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
