"""Writes the shop's letters, has them instrumented, and merges them for a recipient the way an ESP does."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import jinja2

from infra.build.layers import SOURCES
from infra.local.demo.campaigns import SHOP, Campaign
from infra.local.demo.sample import Sample
from infra.local.system import System
from mailtailor.content.address import image_path
from mailtailor.content.catalog import SYMBOLS
from mailtailor.content.countdown import Countdown
from mailtailor.content.files import load_countdowns
from mailtailor.tracking.instrument import RECIPIENT_TAG, Mailing, instrument
from mailtailor.tracking.tokens import Keyring

TEMPLATES: Final = Path(__file__).parent / "templates"
BLOCK_TAG: Final = "[[content:hero]]"
"""Stands for the ESP's own call that fetches a content block while it sends."""
BLOCK_ID: Final = "hero"
TINTS: Final = ("#f4e3d3", "#dde8df", "#e6e1ee", "#f3e8c8")


class Letters:
    """The letters of one running system, each instrumented once.

    Parameters
    ----------
    system
        Where opens and clicks lead.
    keyring
        Signs them.
    sample
        What the letters show.
    """

    def __init__(self, system: System, keyring: Keyring, sample: Sample) -> None:
        self._system = system
        self._keyring = keyring
        self._sample = sample
        self._ready: dict[str, str] = {}

    def merged(self, letter: Campaign, recipient_token: str, block: str) -> str:
        """Return a letter for one recipient, with the content block that was fetched for them."""
        return self._instrumented(letter).replace(RECIPIENT_TAG, recipient_token).replace(BLOCK_TAG, block)

    def written(self, letter: Campaign) -> str:
        """Return a letter as its author wrote it."""
        base = self._system.base_url
        products = [
            {
                "id": product.id,
                "name": product.name,
                "category": product.category,
                "price": f"{SYMBOLS['GBP']}{product.price:.2f}",
                "url": f"{base}/shop/{product.id}",
                "tint": TINTS[index % len(TINTS)],
            }
            for index, product in enumerate(letter.products(self._sample))
        ]
        return (
            _environment()
            .get_template("letter.html")
            .render(
                letter=letter,
                products=products,
                countdown=self._countdown(letter),
                shop=SHOP,
                shop_url=f"{base}/shop",
                block_tag=BLOCK_TAG,
                block_id=BLOCK_ID,
            )
        )

    def _countdown(self, letter: Campaign) -> dict[str, str | int] | None:
        """Return the image of a letter's countdown, and words that stay true for whoever sees no images."""
        shown = next((one for one in _countdowns() if one.name == letter.countdown), None)
        if shown is None:
            return None
        return {
            "url": self._system.outputs["OpenUrl"] + image_path(shown.name, RECIPIENT_TAG),
            "words": f"{shown.name.replace('_', ' ').capitalize()}: {shown.until}",
            "width": shown.width,
        }

    def _instrumented(self, letter: Campaign) -> str:
        if letter.id not in self._ready:
            mailing = Mailing(
                campaign=letter.id,
                keyring=self._keyring,
                open_url=self._system.outputs["OpenUrl"],
                click_url=self._system.outputs["ClickUrl"],
                now=self._system.now(),
            )
            self._ready[letter.id] = instrument(self.written(letter), mailing).html
        return self._ready[letter.id]


@cache
def _countdowns() -> tuple[Countdown, ...]:
    return load_countdowns(SOURCES / "definitions" / "countdowns.yaml").countdowns


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
