"""Where a link may lead, and how that is written in a Location header."""

from __future__ import annotations

import re
from typing import Final, NoReturn
from urllib.parse import quote

from mailtailor.errors import BadInput

_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\s\\\ud800-\udfff]")
_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_AUTHORITY: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]%@]+)(?P<port>:[0-9]{0,5})?")
_HOST: Final = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_MAX_HOST: Final = 254
_DOTS: Final = re.compile("[.\u3002\uff0e\uff61]")
_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))


class BadDestination(BadInput):
    """A URL that a link must not lead to."""


def check_destination(url: str) -> None:
    r"""Refuse every `url` that is not plainly an absolute http or https address.

    Control characters, white space and `\` are refused because browsers and servers repair them differently, which
    is how a harmless looking address ends up elsewhere; user information because `https://shop@evil` reads as shop.

    Raises
    ------
    BadDestination
        With the reason.
    """
    _parts(url)


def location(url: str) -> str:
    """Return `url` for a Location header: its ASCII parts as they are, the rest percent-encoded, the host as A-labels.

    Sources: RFC 3987 section 3.1 for path, query and fragment; RFC 5891 for the host.

    Raises
    ------
    BadDestination
        As for `check_destination`.
    """
    scheme, host, port, rest = _parts(url)
    return f"{scheme}://{host}{port}{quote(rest, safe=_ASCII)}"


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
    return parts["scheme"], host if host.startswith("[") else _ascii_host(host), port, parts["rest"]


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
