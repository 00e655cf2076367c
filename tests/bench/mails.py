"""How long it takes to instrument a mail of 40 KB."""

from __future__ import annotations

import time
from pathlib import Path

from mailtailor.tracking.instrument import Mailing, instrument
from mailtailor.tracking.tokens import Keyring

MAIL = Path(__file__).parent.parent / "unit/tracking/mails/colorlib-16.html"


def instrumenting(*, runs: int) -> float:
    """Return the best time of instrumenting a real mail of 40 KB, in milliseconds."""
    html = MAIL.read_bytes().decode()
    mailing = Mailing(
        campaign="spring",
        keyring=Keyring.from_secret({"active": "k1", "k1": "a-secret-of-the-benchmark-that-is-long-enough"}),
        open_url="https://open.example",
        click_url="https://click.example",
        now=1_790_000_000_000,
        honeypot_url="https://shop.example/",
    )
    return min(_milliseconds(html, mailing) for _ in range(runs))


def _milliseconds(html: str, mailing: Mailing) -> float:
    started = time.perf_counter()
    instrument(html, mailing)
    return (time.perf_counter() - started) * 1_000
