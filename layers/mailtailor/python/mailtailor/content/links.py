"""Tracked links inside a block: a click on what the block shows goes through the redirect like any other."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from mailtailor.instant import Instant
from mailtailor.tracking.destination import check_destination
from mailtailor.tracking.paths import click_path
from mailtailor.tracking.tokens import (
    Keyring,
    LinkToken,
    MailingToken,
    Purpose,
    RecipientToken,
    sign_link,
    sign_recipient,
)

FIRST: Final = 1_000
LINKS_A_BLOCK: Final = 100
BLOCKS: Final = 90
"""So that the last position is 9,999, the greatest that is accepted."""


def first_position(block: str) -> int:
    """Return where the positions of a block's links begin: the same at every fetch, for nothing is stored."""
    return FIRST + int.from_bytes(blake2b(block.encode(), digest_size=4).digest(), "big") % BLOCKS * LINKS_A_BLOCK


@dataclass(slots=True)
class BlockLinks:
    """Makes the tracked links of one rendering.

    A mail numbers its own links from 1. Those of a block begin further on, at a place that its name decides: else two
    links of one mail would be one in reports, and a person who clicks both would look like one who clicks twice.

    Attributes
    ----------
    block
        The block's name.
    keyring
        Signs the links.
    click_url
        What click paths follow, without a slash at the end.
    profile_id
        Whom the clicks belong to.
    mailing
        What the clicks belong to.
    now
        When the block was fetched, which is when the mail is sent.
    """

    block: str
    keyring: Keyring
    click_url: str
    profile_id: str
    mailing: MailingToken
    now: Instant
    _position: int = field(default=0, init=False)

    def __call__(self, url: str, *, product_id: str, category: str) -> str:
        """Return the tracked URL of `url`.

        Raises
        ------
        BadDestination
            If `url` is no place that a mail may lead to.
        """
        self._position = min(self._position + 1, LINKS_A_BLOCK - 1)
        link = LinkToken(
            url=url,
            campaign=self.mailing.campaign,
            position=first_position(self.block) + self._position,
            sent_at=self.now,
            product_id=product_id,
            category=category,
            instance=self.mailing.instance,
        )
        recipient = RecipientToken(self.profile_id, Purpose.TRACK)
        return self.click_url + click_path(sign_link(self.keyring, link), sign_recipient(self.keyring, recipient))


def untracked(url: str, *, product_id: str, category: str) -> str:  # noqa: ARG001 - a `TrackLink`
    """Return the destination itself: in what is the same for all, a link cannot say whose click it is.

    Raises
    ------
    BadDestination
        If `url` is no place that a mail may lead to.
    """
    check_destination(url)
    return url
