"""Tracked links inside a block: a click on what the block shows goes through the redirect like any other."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailtailor.instant import Instant
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


@dataclass(slots=True)
class BlockLinks:
    """Makes the tracked links of one rendering; their position is their order in the block.

    Attributes
    ----------
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
        self._position += 1
        link = LinkToken(
            url=url,
            campaign=self.mailing.campaign,
            position=self._position,
            sent_at=self.now,
            product_id=product_id,
            category=category,
            instance=self.mailing.instance,
        )
        recipient = RecipientToken(self.profile_id, Purpose.TRACK)
        return self.click_url + click_path(sign_link(self.keyring, link), sign_recipient(self.keyring, recipient))
