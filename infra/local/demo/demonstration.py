"""What the demonstration's pages show: recipients, their segments and content, the clock, the import, the ESP."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from botocore.exceptions import BotoCoreError

from infra.local.demo.esp import Arrival, Esp
from infra.local.demo.inbox import Recipient, cast
from infra.local.demo.invented import CURRENCY, invent
from infra.local.demo.keys import Keys
from infra.local.demo.letters import Letters
from infra.local.demo.sample import Product, Sample, load
from infra.local.demo.seed import ImportState, read_state
from infra.local.demo.watch import Change, Watch
from infra.local.system import System
from mailtailor.aws.clock import system_clock
from mailtailor.aws.definition_versions import DefinitionVersions
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.consent.policy import Purpose as Use
from mailtailor.consent.policy import allows
from mailtailor.content.block import FALLBACK
from mailtailor.instant import DAY, FOREVER, HOUR, MINUTE, SECOND, Instant, to_datetime
from mailtailor.profiles.profile import Profile
from mailtailor.segments.files import load_segments
from mailtailor.segments.live import LiveEngines, Sources
from mailtailor.segments.verdict import Verdict
from mailtailor.tracking.tokens import MailingToken, Purpose, RecipientToken, sign_mailing, sign_recipient

SEGMENTS: Final = Path(__file__).parents[3] / "layers" / "definitions" / "segments"
BLOCK: Final = "hero"
REFRESH: Final = 2 * SECOND
"""How long the pages may show segments that others have taken the place of."""
LOG_SHOWN: Final = 12
LATEST_SHOWN: Final = 6
JUST_NOW: Final = 3.0

_LINKS: Final = re.compile(r'href="[^"]*"')
"""Links are signed anew at every fetch, so they do not tell whether the content is another."""


@dataclass(frozen=True, slots=True)
class Content:
    """A block as it was fetched for a recipient."""

    html: str
    variant: str

    @property
    def fingerprint(self) -> str:
        """The same for what looks the same."""
        return f"{self.variant}\n{_LINKS.sub('', self.html)}"


class Demonstration:
    """A shop, its ESP and a few of its customers, around one running system.

    Parameters
    ----------
    system
        The system that is shown.
    transport
        Reaches it; the network if not given.
    """

    def __init__(self, system: System, transport: httpx.BaseTransport | None = None) -> None:
        self.system = system
        self.keys = Keys.of(system)
        self.sample: Sample = load()
        self.recipients: list[Recipient] = cast(invent(self.sample), self.sample.last_order)
        self.letters = Letters(system, self.keys.keyring, self.sample)
        self.esp = Esp(self.keys.esp_key)
        versions = DefinitionVersions(client=system.client("dynamodb"), table=system.outputs["DefinitionsTable"])
        sources = Sources(versions.rollout, versions.version, lambda: tuple(load_segments(SEGMENTS)))
        self._engines = LiveEngines(sources, clock=system.now, refresh=REFRESH, lease=None)
        self._profiles = ProfileTable(client=system.client("dynamodb"), table=system.outputs["ProfilesTable"])
        self._http = httpx.Client(base_url=system.base_url, timeout=10, transport=transport)
        self._watches = {
            recipient.number: Watch(lambda one=recipient: self._fingerprint(one))  # type: ignore[misc]
            for recipient in self.recipients
        }
        self._names = {self.profile_id(one): one.person.first_name for one in self.recipients}

    def recipient(self, number: str | None) -> Recipient | None:
        """Return the recipient of a number as it stands in an address or cookie."""
        return next((one for one in self.recipients if str(one.number) == number), None)

    def profile_id(self, recipient: Recipient) -> str:
        """Return a recipient's pseudonym."""
        return self.keys.profile_id(recipient.person.id)

    # What an ESP does while it sends

    def mail(self, recipient: Recipient, campaign: str) -> str | None:
        """Return a letter as it arrives at a recipient, None if they got no such letter."""
        letter = next((one for one in recipient.letters if one.id == campaign), None)
        if letter is None:
            return None
        content = self.content(recipient, campaign)
        if content is not None:
            self._watches[recipient.number].shown(content.fingerprint)
        token = self._token(recipient, Purpose.TRACK, 0)
        return self.letters.merged(letter, token, content.html if content is not None else "")

    def content(self, recipient: Recipient, campaign: str) -> Content | None:
        """Fetch the block for a recipient's letter as if it were sent now, None if the system does not answer in time.

        Each fetch is a sending of its own, for a message keeps showing what was decided when it was sent.
        """
        try:
            profile = self._profiles.read(self.profile_id(recipient))
            query = {
                "r": self._token(recipient, Purpose.CONTENT, profile.epoch if profile else 0),
                "m": sign_mailing(self.keys.keyring, MailingToken(campaign, instance=uuid.uuid4().hex)),
            }
            answer = self._http.get(f"/content/{BLOCK}.json?{urlencode(query)}").raise_for_status().json()
            return Content(html=answer["html"], variant=answer["variant"])
        except (BotoCoreError, httpx.HTTPError, ValueError, KeyError, TypeError):
            return None

    def _token(self, recipient: Recipient, purpose: Purpose, epoch: int) -> str:
        return sign_recipient(self.keys.keyring, RecipientToken(self.profile_id(recipient), purpose, epoch))

    def _fingerprint(self, recipient: Recipient) -> str | None:
        content = self.content(recipient, recipient.letters[0].id)
        if content is None or (content.variant == FALLBACK and recipient.person.consented):
            # The fallback of somebody who gets personal content is an answer that came too late, not a change.
            return None
        return content.fingerprint

    # What a recipient does

    def clicked(self, recipient: Recipient) -> None:
        """Note that a recipient clicks now; the redirect itself records it."""
        self._watches[recipient.number].begin("click")

    def arrived(self, recipient: Recipient) -> None:
        """Note that a click led a recipient to the shop, in case the page could not tell when they clicked."""
        self._begin(recipient, "click")

    def _begin(self, recipient: Recipient, what: str) -> None:
        """Watch, unless this is a part of what the recipient did a moment ago."""
        watch = self._watches[recipient.number]
        if watch.change is None or time.monotonic() - watch.change.began > JUST_NOW:
            watch.begin(what)

    def act(self, recipient: Recipient, product: Product, event: str) -> bool:
        """Send what a recipient does in the shop, as the shop's web tag would; return whether it was taken."""
        about = {"product_id": product.id, "name": product.name, "price": product.price, "category": product.category}
        name, properties, what = {
            "viewed": ("Product Viewed", about, "view"),
            "added": ("Product Added", {**about, "quantity": 1}, "cart"),
            "ordered": (
                "Order Completed",
                {
                    "order_id": str(uuid.uuid4()),
                    "total": product.price,
                    "currency": CURRENCY,
                    "products": [{**about, "quantity": 1}],
                },
                "order",
            ),
        }[event]
        if event == "viewed":
            self._begin(recipient, what)
        else:
            self._watches[recipient.number].begin(what)
        call = {"messageId": str(uuid.uuid4()), "userId": recipient.person.id, "event": name, "properties": properties}
        try:
            return self._http.post("/v1/track", json=call, auth=(self.system.write_key, "")).is_success
        except httpx.TransportError:
            return False

    # What the pages show

    def state(self) -> dict[str, Any]:
        """Return the state of the start page."""
        counts, engine = self.esp.counts(), self._engines.of()
        none = {"entered": 0, "left": 0}
        return {
            "import": import_view(read_state(self.system.state_dir)),
            "clock": self.clock(),
            "esp": {
                "received": self.esp.received,
                "segments": [
                    {"title": title(one.name), "description": one.description, **counts.get(one.name, none)}
                    for one in map(engine.definition, engine.segments)
                ],
                "latest": [self._arrival(one) for one in self.esp.arrivals(limit=LATEST_SHOWN)],
            },
        }

    def inbox(self, recipient: Recipient, campaign: str) -> dict[str, Any]:
        """Return the live state of one recipient."""
        watch = self._watches[recipient.number]
        profile = self._profiles.read(self.profile_id(recipient))
        content = self.content(recipient, campaign)
        change = watch.change
        return {
            "segments": self._segments(profile),
            "log": [self._arrival(one) for one in self.esp.arrivals(self.profile_id(recipient), limit=LOG_SHOWN)],
            "content": {
                "variant": variant_text(content, recipient) if content else "no answer in time",
                "fingerprint": content.fingerprint if content else "",
            },
            "change": {"text": change_text(change) if change else quiet_text(recipient)},
            "clock": self.clock(),
        }

    def shift(self) -> int:
        """Return by how many milliseconds the sample's times are shifted."""
        known = read_state(self.system.state_dir)
        return (known.imported_at if known else self.system.now()) - self.sample.last_order

    def _segments(self, profile: Profile | None) -> list[dict[str, Any]]:
        now = self.system.now()
        engine = self._engines.of(profile.definitions if profile is not None else "")
        verdicts = engine.evaluate(profile, now) if profile is not None else {}
        members = engine.memberships(profile, now) if profile is not None else frozenset()
        consented = profile is not None and allows(profile.consent, Use.PERSONALIZATION)
        return [
            {
                "title": title(one.name),
                "description": one.description,
                "member": one.name in members,
                "until": until_text(verdicts[one.name], now) if consented else "",
            }
            for one in map(engine.definition, engine.segments)
        ]

    def _arrival(self, one: Arrival) -> dict[str, Any]:
        return {
            "who": self._names.get(one.profile_id, "Somebody"),
            "title": title(one.segment),
            "entered": one.entered,
            "why": why_text(one),
        }

    def clock(self) -> dict[str, Any]:
        """Return the demonstration's time."""
        now = self.system.now()
        ahead = now - system_clock()
        moment = to_datetime(now)
        return {
            "now": now,
            "text": f"{moment:%a} {moment.day} {moment:%b %Y, %H:%M} UTC",
            "ahead": f"{duration(ahead)} ahead" if ahead > MINUTE else "",
        }


_DID: Final[Mapping[str, str]] = {
    "click": "the click",
    "view": "the visit",
    "cart": "adding to the cart",
    "order": "the order",
}


def change_text(change: Change) -> str:
    """Return what the page says of the last change of content."""
    did = _DID[change.what]
    if change.seconds is not None:
        return f"Changed {change.seconds:.1f} s after {did}."
    return f"Unchanged by {did}." if change.over else f"Waiting for what {did} changes …"


def quiet_text(recipient: Recipient) -> str:
    """Return what the page says before anything was done."""
    if recipient.person.consented:
        return "Click a product in the mail and watch this change."
    return "Click what you like: it stays as it is."


def variant_text(content: Content, recipient: Recipient) -> str:
    """Return what the page calls a variant."""
    name = content.variant.replace("_", " ")
    if content.variant == FALLBACK and not recipient.person.personalization:
        return f"{name}: the same for everybody, for want of consent"
    return name


def import_view(state: ImportState | None) -> dict[str, Any]:
    """Return what the pages say about the import."""
    if state is None:
        return {"complete": False, "sent": 0, "total": 0, "text": "About to begin."}
    texts = {
        "starting": "About to begin.",
        "people": "Introducing the customers, with what each of them allows.",
        "events": f"{state.sent:,} of {state.total:,} events went through the tracking API.",
        "settling": f"All {state.total:,} events are sent; {state.waiting} messages are still being processed.",
        "done": f"{state.total:,} events imported in {state.seconds} s.",
    }
    return {"complete": state.complete, "sent": state.sent, "total": state.total, "text": texts[state.phase]}


def title(segment: str) -> str:
    """Return what the pages call a segment."""
    words = segment.removesuffix("_sql").replace("_", " ").capitalize()
    return f"{words} (SQL)" if segment.endswith("_sql") else words


def until_text(verdict: Verdict, now: Instant) -> str:
    """Return until when a membership holds if nothing happens."""
    member, valid_until = verdict
    if valid_until >= FOREVER:
        return "" if member else "only by what they do"
    left = duration(max(valid_until - now, 0))
    return f"leaves in {left}" if member else f"by time, not before {left}"


def why_text(arrival: Arrival) -> str:
    """Return why a membership changed, and how long the news took."""
    kind = arrival.reason.partition(":")[0]
    reasons = {
        "event": "by what they did",
        "time": "as time passed",
        "consent": "by consent",
        "definition": "by a new definition",
        "merge": "by merging",
    }
    late = (arrival.received_at - arrival.at) / SECOND
    # A clock that was moved in between would make a number that says nothing.
    told = f", told {late:.1f} s later" if 0 <= late < 60 else ""
    return reasons.get(kind, kind) + told


def duration(milliseconds: int) -> str:
    """Return a length of time in its one or two largest units."""
    days, rest = divmod(milliseconds, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes = rest // MINUTE
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else "less than a minute"
