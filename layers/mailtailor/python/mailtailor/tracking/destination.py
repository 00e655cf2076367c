"""Where a link may lead, and how that is written in a Location header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NoReturn
from urllib.parse import quote, unquote_plus

from mailtailor.errors import BadInput

SLOT: Final = "\x00"
"""Stands in a signed destination for a query value that only the click brings; no URL may hold this character."""
MAX_SLOT_CHARACTERS: Final = 500
"""A merged value is cut to this length."""
MAX_SLOTS: Final = 20

_FORBIDDEN: Final = re.compile(r"[\x01-\x20\x7f-\xa0\s\\\ud800-\udfff]")
_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_AUTHORITY: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]%@]+)(?P<port>:[0-9]{0,5})?")
_HOST: Final = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_MAX_HOST: Final = 254
_SLOT_PARAMETER: Final = re.compile(r"[^=\x00]+=\x00")
_DOTS: Final = re.compile("[.\u3002\uff0e\uff61]")
_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))


class BadDestination(BadInput):
    """A URL that a link must not lead to."""


def check_destination(url: str) -> None:
    r"""Refuse every `url` that is not plainly an absolute http or https address.

    Control characters, white space and `\` are refused because browsers and servers repair them differently, which
    is how a harmless looking address ends up elsewhere; user information because `https://shop@evil` reads as shop.
    `SLOT` may stand as the whole value of a query parameter, and nowhere else.

    Raises
    ------
    BadDestination
        With the reason.
    """
    _parts(url)


def location(url: str, values: Sequence[str] = (), extra: Sequence[tuple[str, str]] = ()) -> str:
    """Return `url` for a Location header: its ASCII parts as they are, the rest percent-encoded, the host as A-labels.

    Whatever the values are, scheme, host, port, path, fragment and the names of the parameters stay those signed, for
    every reserved character of a value is encoded. Sources: RFC 3987 section 3.1 for path, query and fragment; RFC
    5891 for the host.

    Parameters
    ----------
    url
        The destination as signed.
    values
        What the slots are filled with, in order; a slot without one stays empty.
    extra
        Parameters to append to the query, names and values as text; one whose name the destination has is left out.

    Raises
    ------
    BadDestination
        As for `check_destination`.
    """
    scheme, host, port, rest = _parts(url)
    first, *others = quote(rest, safe=_ASCII + SLOT).split(SLOT)
    padded = [*values[: len(others)], *[""] * (len(others) - len(values))]
    filled = first + "".join(f"{_encoded(value)}{other}" for value, other in zip(padded, others, strict=True))
    return f"{scheme}://{host}{port}{_extended(filled, extra) if extra else filled}"


def without_values(url: str) -> str:
    """Return `url` with its slots empty: what may be recorded of a click, for merged values can be personal."""
    return url.replace(SLOT, "")


def _encoded(value: str) -> str:
    # Half a surrogate pair is no text; it becomes a question mark, encoded.
    return quote(value[:MAX_SLOT_CHARACTERS], safe="", errors="replace")


def _extended(rest: str, extra: Sequence[tuple[str, str]]) -> str:
    before, mark, fragment = rest.partition("#")
    path, _, query = before.partition("?")
    # Some servers part parameters at semicolons too, or take names of another case for the same.
    names = {unquote_plus(one.partition("=")[0]).casefold() for one in re.split("[&;]", query)}
    parameters = [query] if query else []
    for name, value in extra:
        if name.casefold() not in names:
            names.add(name.casefold())
            parameters.append(f"{quote(name, safe='')}={_encoded(value)}")
    return f"{path}?{'&'.join(parameters)}{mark}{fragment}" if parameters else rest


def _parts(url: str) -> tuple[str, str, str, str]:
    """Return scheme, ASCII host, port with its colon, and the rest; scheme, port and rest exactly as written."""
    if _FORBIDDEN.search(url):
        _refuse("contains white space, a control character or a backslash")
    if (parts := _URL.fullmatch(url)) is None:
        _refuse("is not an absolute http or https address")
    if "@" in parts["authority"]:
        _refuse("contains user information")
    if (authority := _AUTHORITY.fullmatch(parts["authority"])) is None:
        _refuse("has no valid host")
    host, port = authority["host"], authority["port"] or ""
    if int(port[1:] or 0) > 65_535:
        _refuse("has no valid port")
    if url.count(SLOT) > MAX_SLOTS:
        _refuse(f"has more than {MAX_SLOTS} slots")
    if SLOT in url and not _slots_are_values(parts["rest"]):
        _refuse("has a slot that is not the whole value of a query parameter")
    return parts["scheme"], _ipv6(host) if host.startswith("[") else _ascii_host(host), port, parts["rest"]


def _slots_are_values(rest: str) -> bool:
    before, _, fragment = rest.partition("#")
    path, _, query = before.partition("?")
    return SLOT not in path + fragment and all(
        SLOT not in parameter or _SLOT_PARAMETER.fullmatch(parameter) for parameter in query.split("&")
    )


def _ipv6(host: str) -> str:
    import ipaddress  # noqa: PLC0415 - only such hosts pay for it

    try:
        ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        _refuse("has no valid host")
    return host


def _ascii_host(host: str) -> str:
    if not host.isascii():
        # Only such hosts pay for the import. NFKC and lower case are UTS 46's mapping for all but exotic characters;
        # Python's own "idna" codec follows the older RFC 3490, which sends straße.de to strasse.de, another owner.
        import unicodedata  # noqa: PLC0415

        if not host.isprintable():
            _refuse("has no valid host")
        labels = _DOTS.split(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", host).lower()))
        host = ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)
    if len(host) > _MAX_HOST or not _HOST.fullmatch(host):
        _refuse("has no valid host")
    return host


def _refuse(reason: str) -> NoReturn:
    raise BadDestination(f"The link's destination {reason}.", "Use a complete http:// or https:// address.")
