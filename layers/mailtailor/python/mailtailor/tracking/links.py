"""A link of a mail: whether it may be tracked, what is signed for it, and what is reported of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_plus

from mailtailor.errors import BadInput
from mailtailor.instant import Instant
from mailtailor.tracking.destination import SLOT, BadDestination
from mailtailor.tracking.merge_tags import MARK, balance, collapsed, masked, runs
from mailtailor.tracking.paths import CLICK, click_path, slot_name, tracked_path
from mailtailor.tracking.tokens import MAX_TOKEN_CHARACTERS, BadToken, Keyring, LinkToken, read_link, sign_link
from mailtailor.tracking.unsubscribing import is_unsubscribing

RECIPIENT_TAG: Final = "{{ mailtailor_track }}"
"""The merge tag that the ESP replaces with the recipient token of purpose `track`."""
LONG_URL: Final = 2_000
"""Above this length some mail clients and gateways cut addresses off."""

_WEB: Final = re.compile(r"https?:", re.IGNORECASE)
_HOST: Final = re.compile(r"https?:/*(?P<host>[^/]*)", re.IGNORECASE)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_MERGED_SCHEME: Final = re.compile(rf"[A-Za-z0-9+.-]*{MARK}")
_UTM_NAME: Final = re.compile(r"utm_[a-z0-9_]{1,40}")
_AROUND: Final = "".join(map(chr, range(1, 0x21)))
_DROPPED: Final = dict.fromkeys(map(ord, "\t\n\r"))


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
            if not is_utm_name(name):
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
        If the campaign has the wrong form, or the merge tags, those in campaign and campaign parameters included,
        contain both kinds of quotes or an angle bracket.
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
        values = [self.campaign, *self.utm.parameters.values()] if self.utm else []
        merged = [tag for value in values for tag in read_address(value).tags]
        tags = "".join([self.recipient_tag, self.instance_tag, *merged])
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
        Where it leads now, campaign parameters included, merge tags as the author wrote them; empty if the link was
        left as it is.
    reason
        Why it was left as it is; empty if it is tracked.
    kind
        The element (`a`, `area`, `v:roundrect`), or `text`.
    """

    position: int
    line: int
    href: str
    destination: str = ""
    reason: str = ""
    kind: str = "a"

    @property
    def tracked(self) -> bool:
        """Whether clicks on it are recorded."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Address:
    """An address, or a part of one: `MARK` in place of each run of merge tags, and those as written."""

    text: str
    tags: tuple[str, ...] = ()

    @property
    def opened(self) -> str:
        """Its text as a browser opens it, which drops blanks around an address and line breaks anywhere inside."""
        return self.text.strip(_AROUND).translate(_DROPPED)

    @property
    def written(self) -> str:
        """What the author wrote."""
        if not self.tags:
            return self.text
        first, *others = self.text.split(MARK)
        return first + "".join(f"{tag}{other}" for tag, other in zip(self.tags, others, strict=True))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a link stands, and what its author says about it.

    Attributes
    ----------
    kind, position, line
        As in `Link`.
    off
        Whether it is not to be tracked.
    words
        What people read there.
    utm
        Campaign parameters of its own; None for none at all.
    product_id, category
        What it shows.
    """

    kind: str
    position: int
    line: int
    off: bool = False
    words: str = ""
    utm: Mapping[str, Address] | None = field(default_factory=dict)
    product_id: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Tracked:
    """A tracked address without the values of its slots, and these."""

    url: str
    values: tuple[Address, ...] = ()


@lru_cache(maxsize=256)
def read_address(text: str) -> Address:
    """Return `text` with its merge tags found; character references are not resolved."""
    hidden = masked(text)
    return Address(collapsed(hidden), runs(text, hidden, 0, len(text)))


def is_utm_name(name: str) -> bool:
    """Return whether `name` may be that of a campaign parameter."""
    return bool(_UTM_NAME.fullmatch(name))


class _Untrackable(Exception):
    """A link must stay as it is, for this reason."""


def track(address: Address, place: Place, mailing: Mailing) -> tuple[Link, Tracked | None]:
    """Return what was done with the link to `address`, and what stands there from now on; None if it stays."""
    try:
        _check_trackable(address, place, mailing)
        destination, values = _with_utm(*_slotted(address), place, mailing)
        token = sign_link(
            mailing.keyring,
            LinkToken(
                url=destination,
                campaign=mailing.campaign,
                position=place.position,
                sent_at=mailing.now,
                product_id=place.product_id,
                category=place.category,
            ),
        )
    except (_Untrackable, BadDestination) as error:
        reason = error.message if isinstance(error, BadDestination) else str(error)
        return Link(place.position, place.line, address.written, reason=reason, kind=place.kind), None
    shown = Address(destination, tuple(value.written for value in values)).written
    link = Link(place.position, place.line, address.written, shown, kind=place.kind)
    return link, Tracked(
        f"{mailing.click_url}{click_path(with_instance(token, mailing), mailing.recipient_tag)}", values
    )


def with_values(tracked: Tracked, values: list[str], joint: str) -> str:
    """Return the address with its slots' values, written as the place needs it, `joint` between them."""
    query = joint.join(f"{slot_name(number)}={value}" for number, value in enumerate(values, start=1))
    return f"{tracked.url}?{query}" if query else tracked.url


def with_instance(token: str, mailing: Mailing) -> str:
    """Return `token`, followed by the merge tag of the send if the mailing has one."""
    return f"{token}~{mailing.instance_tag}" if mailing.instance_tag else token


def signed_link(address: Address, mailing: Mailing) -> LinkToken | None:
    """Return what a tracked link says that is of our keys, on whatever host; None if `address` is none."""
    opened = address.opened
    if f"/{CLICK}/" not in opened:
        return None
    path = opened.partition("?")[0]
    base = f"{mailing.click_url}/"
    path = path.removeprefix(mailing.click_url) if path.startswith(base) else _HOST.sub("", path, count=1)
    token = tracked_path(path, CLICK).subject.replace(MARK, "")
    if not token:
        return None
    try:
        return read_link(mailing.keyring, token)
    except BadToken:
        return None


def long_addresses(number: int) -> str:
    """Return the warning that so many tracked addresses are long."""
    return f"Tracked addresses longer than {LONG_URL:,} characters: {number}"


def is_web(address: Address) -> bool:
    """Return whether `address` is one of http or https."""
    return bool(_WEB.match(address.opened))


def is_relative(href: str) -> bool:
    """Return whether `href` is an address that only a web page could complete."""
    return bool(href) and not href.startswith("#") and not _SCHEME.match(href)


def _check_trackable(address: Address, place: Place, mailing: Mailing) -> None:
    text = address.opened
    if place.off:
        raise _Untrackable("marked data-mailtailor=off")
    if text.startswith((f"{mailing.click_url}/c/", f"{mailing.open_url}/o/")) or signed_link(address, mailing):
        raise _Untrackable("tracked already")
    if not is_web(address):
        if set(text) == {MARK}:
            raise _Untrackable("the whole address is a merge tag")
        if _MERGED_SCHEME.match(text):
            raise _Untrackable("begins with a merge tag")
        raise _Untrackable("a relative address" if is_relative(text) else "not a web address")
    if len(text) > MAX_TOKEN_CHARACTERS:
        raise _Untrackable(f"the address is {len(text):,} characters long")
    if is_unsubscribing(Address(text, address.tags).written, place.words):
        raise _Untrackable("unsubscribe or preference link")


def _slotted(address: Address) -> tuple[str, list[Address]]:
    """Return the destination with a slot for each query value that holds merge tags, and those values."""
    # A browser encodes blanks inside an address; so the link leads where it did before.
    text = address.opened.replace(" ", "%20")
    if MARK not in text:
        return text, []
    before, hash_sign, fragment = text.partition("#")
    path, _, query = before.partition("?")
    if MARK in path:
        host = _HOST.match(path)
        raise _Untrackable(f"a merge tag in the {'host' if host and MARK in host['host'] else 'path'}")
    if MARK in fragment:
        raise _Untrackable("a merge tag in the fragment")
    tags, values, parameters = iter(address.tags), [], []
    for parameter in query.split("&"):
        name, equals, value = parameter.partition("=")
        if MARK in name:
            raise _Untrackable("a merge tag in the name of a parameter")
        if MARK in value:
            values.append(_balanced(Address(value, tuple(next(tags) for _ in range(value.count(MARK))))))
            value = SLOT
        parameters.append(f"{name}{equals}{value}")
    return f"{path}?{'&'.join(parameters)}{hash_sign}{fragment}", values


def _balanced(value: Address) -> Address:
    if not balance("".join(value.tags)).kept:
        raise _Untrackable("a condition or loop of merge tags begins or ends outside a parameter's value")
    return value


def _with_utm(url: str, values: list[Address], place: Place, mailing: Mailing) -> tuple[str, tuple[Address, ...]]:
    """Return `url` with the campaign parameters that its author did not set, before the fragment."""
    address, mark, fragment = url.partition("#")
    _, _, query = address.partition("?")
    taken = {unquote_plus(parameter.partition("=")[0]).lower() for parameter in query.split("&")}
    values, added = [*values], []
    for name, value in _wanted_utm(place, mailing).items():
        if not value.text or name in taken:
            continue
        if MARK in value.text:
            values.append(_balanced(Address(quote(value.text, safe=MARK), value.tags)))
            added.append(f"{name}={SLOT}")
        else:
            added.append(f"{name}={_encoded(value.text)}")
    if not added:
        return url, tuple(values)
    joint = "?" if "?" not in address else "" if not query or query.endswith("&") else "&"
    return f"{address}{joint}{'&'.join(added)}{mark}{fragment}", tuple(values)


@lru_cache(maxsize=256)
def _encoded(value: str) -> str:
    return quote(value, safe="")


def _wanted_utm(place: Place, mailing: Mailing) -> Mapping[str, Address]:
    if place.utm is None:
        return {}
    if mailing.utm is None:
        return place.utm
    campaign = {
        "utm_source": "mailtailor",
        "utm_medium": "email",
        "utm_campaign": mailing.campaign,
        "utm_content": str(place.position),
        **mailing.utm.parameters,
    }
    return {**{name: read_address(value) for name, value in campaign.items()}, **place.utm}
