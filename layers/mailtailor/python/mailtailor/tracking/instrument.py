"""Instrumenting a mail: its links become tracked links, and the open pixel goes in.

Nothing else changes: outside rewritten `href` values and the pixel, every character stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from mailtailor.tracking import markup
from mailtailor.tracking.links import (
    GA4,
    LONG_URL,
    RECIPIENT_TAG,
    Address,
    Link,
    Mailing,
    Place,
    Tracked,
    Utm,
    is_relative,
    is_utm_name,
    is_web,
    long_addresses,
    signed_link,
    track,
    with_instance,
    with_values,
)
from mailtailor.tracking.merge_tags import MARK, collapsed, masked, runs
from mailtailor.tracking.paths import OPEN, click_path, open_path, tracked_path
from mailtailor.tracking.plain_text import InstrumentedText, instrument_text
from mailtailor.tracking.tokens import BadToken, LinkToken, MailingToken, read_mailing, sign_link, sign_mailing

__all__ = [
    "GA4",
    "RECIPIENT_TAG",
    "Instrumented",
    "InstrumentedText",
    "Link",
    "Mailing",
    "Utm",
    "instrument",
    "instrument_text",
]

GMAIL_CLIP_BYTES: Final = 102 * 1024
"""Gmail shows no more of a mail. Source: the limit that several ESPs document."""
MAX_UTM: Final = 20
"""Campaign parameters that a link may have of its own; what is beyond, or longer, is not read."""
MAX_UTM_CHARACTERS: Final = 500

_LINKING: Final = frozenset({"a", "area"})
_OFFICE: Final = ("v:", "o:", "w:")
_HOST: Final = re.compile(r"https?://[^/]*", re.IGNORECASE)
_ESCAPES: Final = {ord("&"): "&amp;", ord('"'): "&quot;", ord("'"): "&#39;", ord("<"): "&lt;", ord(">"): "&gt;"}
_TAGS_READ: Final = 20
_MARKUP_READ: Final = 4_000
_WORDS_READ: Final = 300


@dataclass(frozen=True, slots=True)
class Instrumented:
    """A mail ready to send, and what was done to it.

    Attributes
    ----------
    html
        The mail.
    links
        Each link of it in order, those left as they are included.
    pixel
        Whether the open pixel was added; false if it was there already.
    warnings
        What its author should know, a sentence each.
    """

    html: str
    links: tuple[Link, ...]
    pixel: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


class _Mail:
    """A mail while it is instrumented."""

    def __init__(self, html: str, mailing: Mailing) -> None:
        self.html = html
        self.mailing = mailing
        self.hidden = masked(html)
        self.markup = markup.read(self.hidden)
        self.links: list[Link] = []
        self.edits: list[_Edit] = []
        self.end = self.markup.end
        self.has_pixel = self.has_honeypot = False
        self.long = 0
        self._line, self._counted = 1, 0

    def read(self) -> None:
        for index, tag in enumerate(self.markup.tags):
            if tag.name == "/body":
                self.end = self.end if tag.commented else tag.start
            elif tag.name == "img":
                self.has_pixel |= not tag.commented and self._is_pixel(tag)
            elif tag.name in _LINKING or (":" in tag.name and tag.name.startswith(_OFFICE)):
                self._read_links(index, tag)

    def _read_links(self, index: int, tag: markup.Tag) -> None:
        attributes: dict[str, markup.Attribute] = {}
        hrefs: list[markup.Attribute] = []
        for name, attribute in markup.all_attributes(self.hidden, tag):
            attributes.setdefault(name, attribute)
            if name == "href":
                hrefs.append(attribute)
        if not hrefs:
            return
        if MARK not in self.hidden[tag.attributes_start : hrefs[-1].start]:
            # Without merge tags the first one counts, as in browsers; else only the ESP knows which will stay.
            del hrefs[1:]
        self._line += self.html.count("\n", self._counted, tag.start)
        self._counted = tag.start
        addresses = [self._address(href) for href in hrefs]
        # Once a tag: a hostile one has thousands of addresses, and as many attributes behind it.
        words = self._words(index, tag) if any(map(is_web, addresses)) else ""
        utm = self._utm(attributes)
        for href, address in zip(hrefs, addresses, strict=True):
            ours = signed_link(address, self.mailing)
            if ours is not None and ours.position == 0:
                self.has_honeypot = True
                continue
            place = Place(
                tag.name,
                len(self.links) + 1,
                self._line,
                off=_text(attributes, "data-mailtailor").lower() == "off",
                words=words,
                utm=utm,
                product_id=_fact(attributes, "data-product-id"),
                category=_fact(attributes, "data-category"),
            )
            link, tracked = track(address, place, self.mailing)
            self.links.append(link)
            if tracked is not None:
                self._replace(href, tracked)

    def _replace(self, href: markup.Attribute, tracked: Tracked) -> None:
        values = [Address(value.text.translate(_ESCAPES), value.tags).written for value in tracked.values]
        url = with_values(tracked, values, "&amp;")
        self.long += len(url) > LONG_URL
        self.edits.append(_Edit(href.start, href.end, _quoted(url, href.quote or '"')))

    def _address(self, attribute: markup.Attribute) -> Address:
        return Address(collapsed(attribute.value), runs(self.html, self.hidden, attribute.start, attribute.end))

    def _utm(self, attributes: Mapping[str, markup.Attribute]) -> dict[str, Address] | None:
        if _text(attributes, "data-utm").lower() == "off":
            return None
        given = {
            name.removeprefix("data-").replace("-", "_"): self._address(attribute)
            for name, attribute in attributes.items()
            if name.startswith("data-utm-") and len(attribute.value) <= MAX_UTM_CHARACTERS
        }
        return dict(islice(((name, value) for name, value in given.items() if is_utm_name(name)), MAX_UTM))

    def _words(self, index: int, link: markup.Tag) -> str:
        """Return what people read in a link: its text and the texts that stand for its images."""
        if link.name == "area":
            return _text(markup.attributes(self.hidden, link), "alt")
        words: list[str] = []
        at = link.end
        for tag in self.markup.tags[index + 1 : index + 1 + _TAGS_READ]:
            words.append(markup.text(self.hidden[at : min(tag.start, at + _MARKUP_READ)])[:_WORDS_READ])
            if tag.name in _LINKING or tag.name == f"/{link.name}":
                break
            if tag.name == "img":
                words.append(_text(markup.attributes(self.hidden, tag), "alt"))
            at = tag.end
        return " ".join(markup.decoded(" ".join(words)).split())

    def _is_pixel(self, img: markup.Tag) -> bool:
        if f"/{OPEN}/" not in self.hidden[img.start : img.end]:
            return False
        source = _text(markup.attributes(self.hidden, img), "src")
        if source.startswith(f"{self.mailing.open_url}/o/"):
            return True
        token = tracked_path(_HOST.sub("", source, count=1).partition("?")[0], OPEN).subject if source else ""
        try:
            return bool(token) and bool(read_mailing(self.mailing.keyring, token.replace(MARK, "")))
        except BadToken:
            return False


def instrument(html: str, mailing: Mailing) -> Instrumented:
    """Return `html` with tracked links and the open pixel; the time is linear in its length.

    A link that should not or cannot be tracked stays as it is, and the report says why. Instrumenting a mail a second
    time changes nothing.

    Raises
    ------
    BadInput
        If the campaign or the honeypot's address has the wrong form.
    """
    mail = _Mail(html, mailing)
    mail.read()
    added = "" if mail.has_pixel else _pixel(mailing)
    if mailing.honeypot_url and not mail.has_honeypot:
        added = _honeypot(mailing) + added
    edits = sorted([*mail.edits, _Edit(mail.end, mail.end, added)], key=lambda edit: edit.start)
    result = "".join(_applied(html, edits))
    return Instrumented(result, tuple(mail.links), not mail.has_pixel, tuple(_warnings(result, mail)))


def _applied(html: str, edits: Sequence[_Edit]) -> Iterator[str]:
    position = 0
    for edit in edits:
        yield html[position : edit.start]
        yield edit.text
        position = edit.end
    yield html[position:]


def _warnings(html: str, mail: _Mail) -> Iterator[str]:
    size = len(html.encode(errors="replace"))
    if size > GMAIL_CLIP_BYTES:
        yield f"The mail is {size / 1024:,.0f} KB; Gmail cuts off all beyond 102 KB, the open pixel too."
    if mail.long:
        yield f"{long_addresses(mail.long)}; some mail clients cut them off."
    relative = sum(
        not link.tracked and is_relative(link.href.strip()) and "merge tag" not in link.reason for link in mail.links
    )
    if relative:
        yield f"Relative addresses lead nowhere from a mail: {relative}."
    merged = sum("merge tag" in link.reason for link in mail.links)
    if merged:
        yield f"Links not tracked because merge tags stand elsewhere than in values of their query: {merged}."


def _text(attributes: Mapping[str, markup.Attribute], name: str) -> str:
    attribute = attributes.get(name)
    return attribute.value.strip() if attribute else ""


def _fact(attributes: Mapping[str, markup.Attribute], name: str) -> str:
    """Return what the author says the link shows; what only the ESP will know cannot be signed."""
    text = _text(attributes, name)
    return "" if MARK in text else text


def _quoted(url: str, mark: str) -> str:
    other = "'" if mark == '"' else '"'
    if mark in url and other not in url:
        mark = other
    return f"{mark}{url}{mark}"


def _pixel(mailing: Mailing) -> str:
    token = sign_mailing(mailing.keyring, MailingToken(mailing.campaign))
    source = _quoted(f"{mailing.open_url}{open_path(with_instance(token, mailing), mailing.recipient_tag)}", '"')
    # Not hidden: some clients do not load what is not displayed.
    return f'<img src={source} width="1" height="1" alt="" style="display:block;border:0;width:1px;height:1px">'


def _honeypot(mailing: Mailing) -> str:
    token = sign_link(
        mailing.keyring, LinkToken(mailing.honeypot_url, mailing.campaign, position=0, sent_at=mailing.now)
    )
    url = f"{mailing.click_url}{click_path(with_instance(token, mailing), mailing.recipient_tag)}"
    return f'<a href={_quoted(url, chr(34))} style="display:none" aria-hidden="true" tabindex="-1"></a>'
