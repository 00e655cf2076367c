"""The recipients whose inboxes the demonstration shows, chosen so that each tells another part of the story."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from infra.local.demo.campaigns import CAMPAIGNS, Campaign, sent_at
from infra.local.demo.invented import Person
from mailtailor.instant import DAY, HOUR, Instant

LETTERS_SHOWN: Final = 4

Fits = Callable[[Person, Instant], bool]


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody with an inbox.

    Parameters
    ----------
    number
        The place in the demonstration, from 1; the only thing about them that stands in an address.
    person
        Who it is.
    title, story
        Why they are here.
    letters
        The mails in the inbox, the newest first.
    """

    number: int
    person: Person
    title: str
    story: str
    letters: tuple[Campaign, ...]

    @property
    def place(self) -> str:
        """Where they live, as far as it is known."""
        return self.person.region or self.person.customer.country


def _count(person: Person, names: set[str], since: Instant) -> int:
    return sum(name in names and at > since for name, at, _ in person.events)


def _browsing(person: Person, now: Instant) -> bool:
    """Whether the person looked at something lately, after which nothing came."""
    since = now - 40 * HOUR
    return (
        person.consented
        and _count(person, {"Product Viewed"}, since) >= 3
        and _count(person, {"Product Added", "Order Completed"}, now - 2 * DAY) == 0
        and any(p.get("category") == "Lighting" for name, at, p in person.events if at > since and "View" in name)
    )


def _keen(person: Person, now: Instant) -> bool:
    since = now - 28 * DAY
    delivered = _count(person, {"Email Delivered"}, since)
    return (
        person.consented
        and delivered >= 4
        and _count(person, {"Email Opened"}, since) >= 0.75 * delivered
        and _count(person, {"Email Link Clicked"}, since) >= 4
        and not _bought(person, now, within=8 * DAY)
    )


def _bought(person: Person, now: Instant, *, within: int) -> bool:
    return now - person.customer.orders[-1].at < within


def _only_bought(person: Person, now: Instant) -> bool:
    """Whether the person ordered within the week and looked at nothing since two days, so that an offer is shown."""
    looked = {"Product Viewed", "Email Link Clicked"}
    return person.consented and _bought(person, now, within=6 * DAY) and not _count(person, looked, now - 2 * DAY)


def _just_bought(person: Person, now: Instant) -> bool:
    return _bought(person, now, within=3 * DAY) and not _count(
        person, {"Product Added", "Order Completed"}, now - 2 * DAY
    )


def _still_recent(person: Person, now: Instant) -> bool:
    """Whether the last order will be a week old within hours."""
    return person.consented and 6 * DAY + 2 * HOUR < now - person.customer.orders[-1].at < 6 * DAY + 22 * HOUR


CASTING: Final[tuple[tuple[str, str, Fits], ...]] = (
    (
        "Looked, did not buy",
        "Viewed lights within the last two days and put nothing into the cart.",
        _browsing,
    ),
    (
        "Reads every letter",
        "Opens nearly all mails and clicks often, but has not bought for more than a week.",
        _keen,
    ),
    (
        "Just bought",
        "Ordered two or three days ago.",
        lambda person, now: person.consented and _just_bought(person, now) and person.region == "London",
    ),
    (
        "Lives in Scotland",
        "Ordered within the last week and sees the offer for the region.",
        lambda person, now: person.region == "Scotland" and _only_bought(person, now),
    ),
    (
        "Bought nearly a week ago",
        "Move the clock by a day: the purchase is then no longer recent.",
        _still_recent,
    ),
    (
        "Buys from France",
        "Ordered within the last week and sees the offer for the country.",
        lambda person, now: person.customer.country == "France" and _only_bought(person, now),
    ),
    (
        "Wants no personal content",
        "Lets us record what happens but is in no segment and sees what everybody sees.",
        lambda person, _: person.tracking and not person.personalization,
    ),
    (
        "Wants no tracking",
        "Nothing that they open, click or view is recorded.",
        lambda person, _: not person.tracking and not person.personalization,
    ),
)


def cast(people: Sequence[Person], now: Instant) -> list[Recipient]:
    """Return the recipients of the demonstration, nobody twice; `now` is historical."""
    chosen: list[Recipient] = []
    names: set[str] = set()
    for title, story, fits in CASTING:
        person = next(
            (one for one in people if one.first_name not in names and _readable(one) and fits(one, now)), None
        )
        if person is not None:
            names.add(person.first_name)
            chosen.append(Recipient(len(chosen) + 1, person, title, story, letters(person)))
    return chosen


def _readable(person: Person) -> bool:
    """Whether the inbox would be worth looking at."""
    return len(letters(person)) == LETTERS_SHOWN


def letters(person: Person) -> tuple[Campaign, ...]:
    """Return the last mails that were delivered to a person, the newest first."""
    delivered = {properties["campaign"] for name, _, properties in person.events if name == "Email Delivered"}
    return tuple(campaign for campaign in sorted(CAMPAIGNS, key=sent_at, reverse=True) if campaign.id in delivered)[
        :LETTERS_SHOWN
    ]
