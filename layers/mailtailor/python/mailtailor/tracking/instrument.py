"""Instrumenting a mail: its links become tracked links, and the open pixel goes in.

Nothing else changes: outside rewritten `href` values and the pixel, every character stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote_plus

from mailtailor.errors import BadInput
from mailtailor.instant import Instant
from mailtailor.tracking import markup
from mailtailor.tracking.destination import BadDestination
from mailtailor.tracking.paths import click_path, open_path
from mailtailor.tracking.tokens import Keyring, LinkToken, MailingToken, sign_link, sign_mailing

RECIPIENT_TAG: Final = "{{ mailtailor_track }}"
"""The merge tag that the ESP replaces with the recipient token of purpose `track`."""

_LINKING: Final = frozenset({"a", "area"})
_WEB: Final = re.compile(r"https?:", re.IGNORECASE)
_MERGE_TAG: Final = re.compile(r"[{}]|%%|\*\||\[\[|<%")
_PREFERENCES: Final = re.compile(
    r"unsub|(?<![a-z])opt[-_]?out(?![a-z])|preferences?(?![a-z])|(?:manage|e?mail)[-_]?(?:subscriptions?|settings)",
    re.IGNORECASE,
)
_UTM_NAME: Final = re.compile(r"utm_[a-z0-9_]{1,40}")
_AROUND: Final = "".join(map(chr, range(0x21)))
_INSIDE: Final = {ord("\t"): None, ord("\n"): None, ord("\r"): None, ord(" "): "%20"}


@dataclass(frozen=True, slots=True)
class Utm:
    """Campaign parameters for web analytics, by the convention of Google Analytics 4.

    Without more, they are `utm_source=mailtailor`, `utm_medium=email`, `utm_campaign` = the campaign and
    `utm_content` = the link's position.

    Parameters
    ----------
    parameters
        Others, or other values, by their names (`utm_...`); an empty value leaves one out.

    Raises
    ------
    BadInput
        If a name has another form.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.parameters:
            if not _UTM_NAME.fullmatch(name):
                raise BadInput(f"{name!r} is no campaign parameter.", "Their names begin with utm_, as utm_source.")


GA4: Final = Utm()


@dataclass(frozen=True, slots=True)
class Mailing:
    """What is the same for all parts of a mail.

    Attributes
    ----------
    campaign
        The mailing's id.
    keyring
        Signs.
    open_url, click_url
        Base addresses, without a slash at the end.
    now
        Becomes the links' `sent_at`.
    recipient_tag
        What the ESP replaces with the recipient token.
    instance_tag
        What the ESP replaces with the send's id, for a mailing that is sent again and again; empty for none.
    utm
        Campaign parameters; None adds none.
    honeypot_url
        Where a link leads that no person sees, so that whoever follows it is a machine; empty for none.

    Raises
    ------
    BadInput
        If the campaign has the wrong form, or the merge tags contain both kinds of quotes or an angle bracket.
    """

    campaign: str
    keyring: Keyring
    open_url: str
    click_url: str
    now: Instant
    recipient_tag: str = RECIPIENT_TAG
    instance_tag: str = ""
    utm: Utm | None = GA4
    honeypot_url: str = ""

    def __post_init__(self) -> None:
        tags = self.recipient_tag + self.instance_tag
        if ('"' in tags and "'" in tags) or "<" in tags or ">" in tags:
            raise BadInput(
                "The merge tags cannot stand in an attribute.", "Use one kind of quotes in them and no angle brackets."
            )


@dataclass(frozen=True, slots=True)
class Link:
    """What was done with a link.

    Attributes
    ----------
    position
        Its number among the mail's links, from 1.
    line
        The line of the tag, from 1.
    href
        What the author wrote, character references resolved.
    destination
        What was signed, campaign parameters included; empty if the link was left as it is.
    reason
        Why it was left as it is; empty if it is tracked.
    """

    position: int
    line: int
    href: str
    destination: str = ""
    reason: str = ""

    @property
    def tracked(self) -> bool:
        """Whether clicks on it are recorded."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Instrumented:
    """A mail ready to send, and what was done to it; `pixel` is false if it had one already."""

    html: str
    links: tuple[Link, ...]
    pixel: bool


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


def instrument(html: str, mailing: Mailing) -> Instrumented:
    """Return `html` with tracked links and the open pixel; the time is linear in its length.

    A link that should not or cannot be tracked stays as it is, and the report says why. Instrumenting a mail a second
    time changes nothing. Raises `BadInput` if the campaign has the wrong form.
    """
    links: list[Link] = []
    edits: list[_Edit] = []
    line, counted, pixel_at, has_pixel = 1, 0, len(html), False
    for tag in markup.tags(html):
        if tag.name == "/body":
            pixel_at = tag.start
        elif tag.name == "img":
            source = markup.attributes(html, tag).get("src")
            has_pixel |= source is not None and source.value.startswith(f"{mailing.open_url}/o/")
        elif tag.name in _LINKING:
            attributes = markup.attributes(html, tag)
            if "href" not in attributes:
                continue
            line += html.count("\n", counted, tag.start)
            counted = tag.start
            link, edit = _link(attributes, mailing, position=len(links) + 1, line=line)
            links.append(link)
            edits.extend(edit)
    if not has_pixel:
        edits.append(_Edit(pixel_at, pixel_at, _pixel(mailing)))
        edits.sort(key=lambda edit: edit.start)
    return Instrumented("".join(_applied(html, edits)), tuple(links), pixel=not has_pixel)


def _applied(html: str, edits: list[_Edit]) -> Iterator[str]:
    position = 0
    for edit in edits:
        yield html[position : edit.start]
        yield edit.text
        position = edit.end
    yield html[position:]


def _link(
    attributes: dict[str, markup.Attribute], mailing: Mailing, *, position: int, line: int
) -> tuple[Link, list[_Edit]]:
    href = attributes["href"]
    if reason := _reason_to_leave(attributes, mailing):
        return Link(position, line, href.value, reason=reason), []
    # A browser drops line breaks inside an address and encodes blanks; so the link leads where it did before.
    destination = href.value.strip(_AROUND).translate(_INSIDE)
    if mailing.utm is not None:
        destination = _with_utm(destination, mailing.utm, campaign=mailing.campaign, position=position)
    try:
        token = sign_link(
            mailing.keyring,
            LinkToken(
                url=destination,
                campaign=mailing.campaign,
                position=position,
                sent_at=mailing.now,
                product_id=_fact(attributes, "data-product-id"),
                category=_fact(attributes, "data-category"),
            ),
        )
    except BadDestination as error:
        return Link(position, line, href.value, reason=error.message), []
    url = f"{mailing.click_url}{click_path(_with_instance(token, mailing), mailing.recipient_tag)}"
    mark = href.quote or '"'
    if mark in url:
        mark = "'" if mark == '"' else '"'
    return Link(position, line, href.value, destination), [_Edit(href.start, href.end, f"{mark}{url}{mark}")]


def _reason_to_leave(attributes: dict[str, markup.Attribute], mailing: Mailing) -> str:
    href = attributes["href"].value.strip(_AROUND)
    if _text(attributes, "data-mailtailor").lower() == "off":
        return "marked data-mailtailor=off"
    if href.startswith((f"{mailing.click_url}/c/", f"{mailing.open_url}/o/")):
        return "tracked already"
    if _MERGE_TAG.search(href):
        return "contains a merge tag"
    if not _WEB.match(href):
        return "not a web address"
    if _PREFERENCES.search(href):
        return "unsubscribe or preference link"
    return ""


def _text(attributes: dict[str, markup.Attribute], name: str) -> str:
    attribute = attributes.get(name)
    return attribute.value.strip() if attribute else ""


def _fact(attributes: dict[str, markup.Attribute], name: str) -> str:
    """Return what the author says the link shows; what only the ESP will know cannot be signed."""
    text = _text(attributes, name)
    return "" if _MERGE_TAG.search(text) else text


def _with_utm(url: str, utm: Utm, *, campaign: str, position: int) -> str:
    """Return `url` with the campaign parameters that its author did not set, before the fragment."""
    address, mark, fragment = url.partition("#")
    _, _, query = address.partition("?")
    taken = {unquote_plus(parameter.partition("=")[0]).lower() for parameter in query.split("&")}
    wanted = {
        "utm_source": "mailtailor",
        "utm_medium": "email",
        "utm_campaign": campaign,
        "utm_content": str(position),
        **utm.parameters,
    }
    added = "&".join(f"{name}={quote(value, safe='')}" for name, value in wanted.items() if value and name not in taken)
    if not added:
        return url
    joint = "?" if "?" not in address else "" if address[-1] in "?&" else "&"
    return f"{address}{joint}{added}{mark}{fragment}"


def _pixel(mailing: Mailing) -> str:
    token = sign_mailing(mailing.keyring, MailingToken(mailing.campaign))
    url = f"{mailing.open_url}{open_path(_with_instance(token, mailing), mailing.recipient_tag)}"
    mark = "'" if '"' in url else '"'
    # Not hidden: some clients do not load what is not displayed.
    return (
        f'<img src={mark}{url}{mark} width="1" height="1" alt="" style="display:block;border:0;width:1px;height:1px">'
    )


def _with_instance(token: str, mailing: Mailing) -> str:
    return f"{token}~{mailing.instance_tag}" if mailing.instance_tag else token
