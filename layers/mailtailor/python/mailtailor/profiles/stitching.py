"""Whether a browser may become a recipient's, after a click led it to the shop.

A stitch token names the recipient and works once. That is decided here, where the recipient's profile is written: the
token's nonce is stored with the browser's anonymous id first, and only a stored one links, so that of two browsers
that bring one token at the same moment one is refused. Neither may be known as somebody else, nor have refused.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Final

from mailtailor.consent.policy import Purpose, allows, refuses
from mailtailor.events.event import Event, Identity
from mailtailor.instant import HOUR, Instant
from mailtailor.profiles.profile import Profile, Stitch
from mailtailor.tracking.tokens import StitchToken

TYPE: Final = "browser_stitched"
SOURCE: Final = "mailtailor"
MEMORY: Final = HOUR
"""How long after its token has expired a nonce is remembered; a stitch that is processed later links nothing."""
MAX_STITCHES: Final = 20


def stitched(token: StitchToken, browser: Identity, *, at: Instant) -> Event:
    """Return the event that `browser` brought `token`; however often it does, it is the same event."""
    nonce = base64.urlsafe_b64encode(token.nonce).decode()
    return Event(
        id=f"stitch:{nonce}:{browser.id}",
        type=TYPE,
        source=SOURCE,
        profile_id=token.profile_id,
        identities=(browser,),
        occurred_at=at,
        received_at=at,
        properties={"nonce": nonce, "expires_at": token.expires_at},
    )


def is_stitch(event: Event) -> bool:
    """Return whether `event` says that a token was redeemed; senders can use the type, but not our source."""
    return event.type == TYPE and event.source == SOURCE


def claim(profile: Profile, events: Iterable[Event], now: Instant) -> tuple[dict[str, None], bool]:
    """Return the browsers that may be linked to `profile`, and whether more may be once the profile is written.

    Nonces of `events` that nobody used yet are stored in `profile`, each for one browser.
    """
    linkable: dict[str, None] = {}
    claimed = False
    for event in filter(is_stitch, events):
        stitch = Stitch(event.identities[0].id, _instant(event, "expires_at"))
        profile.stitches = {
            nonce: known for nonce, known in profile.stitches.items() if now <= known.expires_at + MEMORY
        }
        if not may_link(profile, event, now):
            continue
        nonce = str(event.properties["nonce"])
        if nonce in profile.stitches:
            linkable[stitch.identity] = None
        else:
            profile.stitches[nonce] = stitch
            claimed = True
    return linkable, claimed


def may_link(profile: Profile, event: Event, now: Instant) -> bool:
    """Return whether a stitch may link its browser to `profile`, which must allow tracking and not know another's."""
    expires_at = _instant(event, "expires_at")
    if not allows(profile.consent, Purpose.TRACKING) or event.received_at > expires_at or now > expires_at + MEMORY:
        return False
    used = profile.stitches.get(str(event.properties["nonce"]))
    return len(profile.stitches) < MAX_STITCHES if used is None else used.identity == event.identities[0].id


def may_merge(browser: Profile) -> bool:
    """Return whether what is known of a browser may become a recipient's: nobody else's, and nobody refused there."""
    return not browser.identities and not refuses(browser.consent, Purpose.TRACKING)


def _instant(event: Event, name: str) -> Instant:
    value = event.properties[name]
    return value if isinstance(value, int) else 0
