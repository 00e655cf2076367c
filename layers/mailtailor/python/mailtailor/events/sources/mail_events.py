"""What ESPs say of mails, keyed as our own pixel and links key it, so that deliveries meet opens.

The key of a message is (campaign, instance, profile). `campaign` is what the mail was instrumented with: each module
says in which of its ESP's fields it finds that. An instance counts only if the mail carries one too, which the source's
address says by `?instance=esp`, as `mailtailor instrument --instance-tag esp` does for the mail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mailtailor.events.event import Event
from mailtailor.events.sources.webhook import Delivery, Normalizing, Person
from mailtailor.events.untrusted import text, without_addresses
from mailtailor.instant import Instant
from mailtailor.tracking import networks

DELIVERED: Final = "email_delivered"
OPENED: Final = "email_opened"
CLICKED: Final = "email_link_clicked"
BOUNCED: Final = "email_bounced"
SPAM: Final = "email_marked_as_spam"
UNSUBSCRIBED: Final = "unsubscribed"

MAIL_TYPES: Final = frozenset({DELIVERED, OPENED, CLICKED, BOUNCED, SPAM, UNSUBSCRIBED})
MAIL_KEY: Final = frozenset({"campaign", "campaign_id", "instance", "message_id"})
"""Properties that are or become a message's key."""

CAMPAIGN_FIELD: Final = "mailtailor_campaign"
"""The name under which senders of single mails pass the campaign on: custom argument, user variable, tag, metadata."""
INSTANCE_FIELD: Final = "mailtailor_instance"
MAX_URL: Final = 8_192
"""What a click's URL may take: a tracked link of ours holds a token of up to 4,096 characters."""
NOT_SET: Final = "(not set)"
"""The campaign of mails that name none, as web analytics call it; each mail is a message of its own then."""

MAX_FREE_TEXT: Final = 256
"""What is kept of what a mail server or browser says, which nobody bounds."""
_MAX_SAID: Final = 65_536
_UNSET: Final = frozenset({"", "false"})


def tells_sends_apart(delivery: Delivery) -> bool:
    """Return whether mails of this source carry the ESP's id of the send."""
    return delivery.query.get("instance") == "esp"


def mail_event(
    given: Normalizing,
    event_type: str,
    *,
    event_id: str,
    at: Instant | None,
    person: Person,
    campaign: str | None,
    instance: str | None = None,
    message_id: str | None = None,
    address: str | None = None,
    properties: Mapping[str, Any] | None = None,
) -> list[Event]:
    """Return the event of a mail, or nothing if `person` is nobody we can name.

    Parameters
    ----------
    event_type
        One of those above.
    event_id, at, person
        As for `Normalizing.event`.
    campaign, instance
        The message's key; None if the mail names none.
    message_id
        The ESP's id of this very mail, which tells mails without a campaign apart.
    address
        The IP address of who opened or clicked: its network is looked up, and it is forgotten.
    properties
        `url` of a click, `user_agent`, `machine` (what the ESP says of machines), `reason` of a bounce and the like.
    """
    key = {"campaign": campaign, "instance": instance} if campaign else {"campaign": NOT_SET, "instance": message_id}
    network = networks.network(address) if address else ""
    return given.event(
        event_type,
        event_id=event_id,
        at=at,
        person=person,
        properties={**(properties or {}), **key, "network": network or None},
    )


def is_marked(value: object) -> bool:
    """Return whether an ESP marks something: some write `true`, some text that may get more values."""
    return value is True or (isinstance(value, str) and value.strip().lower() not in _UNSET)


def free_text(value: object, field: str) -> str | None:
    """Return the beginning of a text of any length, without addresses: half of one would not be recognized later."""
    said = text(value, field, limit=_MAX_SAID)
    return without_addresses(said)[:MAX_FREE_TEXT] if said else None
