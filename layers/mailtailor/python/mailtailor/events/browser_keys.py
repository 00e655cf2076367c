"""What is left of an event that came with a browser's write key, which everybody can read in a page.

Whoever reads it can name anybody whose user id can be guessed. So such a key joins no two known people, states no
consent, and what it says of a person stays apart from what servers said: no stranger writes into another's mail.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from mailtailor.consent.policy import Purpose, may_record
from mailtailor.errors import BadInput
from mailtailor.events.event import Event, Identity
from mailtailor.profiles.identity import IdentityKind

WEB: Final = "web_"
"""Begins the name of every attribute that a browser's key states; all other names are reserved for servers."""
FOR_SERVERS: Final = frozenset(
    {
        *("aliased", "event_corrected", "unsubscribed", "email_marked_as_spam"),
        *("email_delivered", "email_bounced", "email_opened", "email_link_clicked"),
    }
)
"""What no web page knows: whoever reads its key could take others' opens away, make some, or join people."""


class NotAllowed(BadInput):
    """More than a browser's key may say; no later try changes that."""


def limited(event: Event, left_out: Counter[str]) -> Event | None:
    """Return what is left of `event`, None if nothing is.

    Parameters
    ----------
    event
        As a server could have stated it.
    left_out
        Counts what had to be left out or kept apart: `identity`, `consent`, `trait`, `refusal`.

    Raises
    ------
    NotAllowed
        If such an event is for servers alone.
    """
    if event.type in FOR_SERVERS:
        raise NotAllowed("Such an event needs a server's write key.", "What a page does not know, it cannot say.")
    identities = _one_known(event.identities)
    left_out["identity"] += len(event.identities) - len(identities)
    left_out["consent"] += bool(event.consent)
    left_out["trait"] += len(event.attributes)
    if event.type == "consent_changed":
        return None
    if event.consent.get(Purpose.TRACKING) is False and not may_record({}, event.type):
        # Who refuses is believed for this call, though nobody's record is changed on a page's word.
        left_out["refusal"] += 1
        return None
    attributes = {name if name.startswith(WEB) else f"{WEB}{name}": value for name, value in event.attributes.items()}
    return event.model_copy(update={"identities": identities, "attributes": attributes, "consent": {}})


def _one_known(identities: tuple[Identity, ...]) -> tuple[Identity, ...]:
    """Return the strongest identity of a known person, and those of browsers."""
    known = [identity for identity in identities if identity.kind is not IdentityKind.ANONYMOUS_ID]
    return tuple(identity for identity in identities if identity not in known[1:])
