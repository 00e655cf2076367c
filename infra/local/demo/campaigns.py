"""The mails of the invented shop: eight weekly letters, written for this demonstration."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from infra.local.demo.sample import Product, Sample
from mailtailor.instant import DAY, Instant, from_datetime

SHOP: Final = "The Lantern Room"
WEEK: Final = 7 * DAY
LAST_SENT: Final = from_datetime(datetime(2011, 12, 8, 9, tzinfo=UTC))
"""A Thursday morning, the day before the sample's last order."""
PRODUCTS: Final = 4


@dataclass(frozen=True, slots=True)
class Campaign:
    """One weekly letter; `countdown` names the one it shows, if any."""

    id: str
    category: str
    subject: str
    opening: str
    closing: str
    countdown: str = ""

    def products(self, sample: Sample) -> tuple[Product, ...]:
        """Return the products that the letter shows."""
        return sample.best_sellers(self.category)[:PRODUCTS]


CAMPAIGNS: Final = (
    Campaign(
        "letter-1",
        "Garden",
        "The last warm corner of the garden",
        "There is always one bench that keeps the sun an hour longer than the rest. Here is what belongs beside it.",
        "Bring the cushions in when the swallows go.",
    ),
    Campaign(
        "letter-2",
        "Bags",
        "A bag for every errand",
        "For the market, for the library, for the walk home with more than you meant to buy.",
        "They fold smaller than you would think.",
    ),
    Campaign(
        "letter-3",
        "Kitchen",
        "Soup weather",
        "The windows steam, the radio murmurs, something simmers. A few things that make an ordinary kitchen kinder.",
        "And if you try the recipe from last week, tell us about the nutmeg.",
    ),
    Campaign(
        "letter-4",
        "Stationery",
        "Write it down by hand",
        "A list is a small promise, and a card is a visit that fits into an envelope. We unpacked both this week.",
        "The pencils are sharpened.",
    ),
    Campaign(
        "letter-5",
        "Toys",
        "Small hands, long afternoons",
        "No batteries, no updates. Things that are still fun when it rains for the third day.",
        "The marbles are from the same workshop as ever.",
    ),
    Campaign(
        "letter-6",
        "Home",
        "The comfortable chair",
        "Every house has one. We have been thinking about what goes around it: a hook, a frame, a heart of wicker.",
        "Sit down. The rest can wait.",
    ),
    Campaign(
        "letter-7",
        "Christmas",
        "Before it gets loud",
        "We like the quiet weeks best, when the boxes come down from the attic and nothing is urgent yet.",
        "Order early, and let the days before be yours.",
    ),
    Campaign(
        "letter-8",
        "Lighting",
        "Light for long evenings",
        "When the lamps go on before tea, it matters which ones. These are the lights that people came back for.",
        "Mind the draught by the window.",
        countdown="winter_sale",
    ),
)


def sent_at(campaign: Campaign) -> Instant:
    """Return when a letter was sent, in the sample's historical time."""
    return LAST_SENT - (len(CAMPAIGNS) - 1 - CAMPAIGNS.index(campaign)) * WEEK
