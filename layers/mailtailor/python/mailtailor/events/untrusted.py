"""Input from outside: bounded JSON, clean text, numbers that every store can hold, and no addresses in what is kept.

Sizes are checked by whoever knows the limit that applies. What the JSON grammar forbids refuses the whole body;
what is only bad for us (a lone surrogate, a number out of range) is found event by event, by `clean`.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NoReturn

from mailtailor.errors import BadInput, TooLarge
from mailtailor.instant import Instant, from_datetime

_Path = tuple[()] | tuple[Any, str | int]
"""Where a value is: what holds it, and its key there. Text would be built for every value, and is needed for none."""

MAX_DEPTH: Final = 20
REDACTED: Final = "[email]"

_MAX_INTEGER: Final = 2**63
_LAST_INSTANT: Final = 253_402_300_800_000
"""The end of the year 9999, beyond which no calendar of ours goes."""
_MAX_FLOAT: Final = 1e100
"""DynamoDB holds magnitudes from 1E-130 to 9.9E+125; nothing real is near."""
_CONTROLS: Final = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 160)])
_ADDRESS: Final = re.compile(r"(?<![\w.!$'*+^`{|}~%-])[\w.!$'*+^`{|}~%-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
"""Characters that part a URL end an address; starting at the first of a run only keeps the time linear."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?")
_MAX_NAME: Final = 100
"""Of a longer name only so much is looked at: kept whole, senders' names would fill the memory of a warm function."""
_PRIVATE: Final = frozenset(
    {
        *("email", "emailaddress", "emailhash", "emailsha256", "hashedemail"),
        *("phone", "phonenumber", "mobile", "mobilephone", "mobilenumber", "telephone"),
        *("ip", "ipaddress"),
    }
)


class BadField(BadInput):
    """A field that cannot be used.

    Parameters
    ----------
    field
        Where it is, as `properties.products[2].price`. Names come from outside, so it is told to the sender only.
    reason
        What is wrong, in words that are ours: may be logged.
    """

    def __init__(self, field: str, reason: str) -> None:
        self.field = _ADDRESS.sub(REDACTED, field.encode("utf-8", "replace").decode())[:120]
        self.reason = reason
        super().__init__(f"{self.field or 'The event'} {reason}.")


def plain(body: bytes, encoding: str, *, limit: int) -> bytes:
    """Return a body without its content encoding, gzip or none, never more than `limit` bytes of it.

    Raises
    ------
    TooLarge
        If there is more.
    BadInput
        If the encoding is another, or the gzip is broken.
    """
    if encoding.strip().lower() == "gzip":
        body = _gunzip(body, limit)
    elif encoding.strip().lower() not in {"", "identity"}:
        raise BadInput("The content encoding is not supported.", "Send gzip or none.")
    if len(body) > limit:
        raise TooLarge(f"The body is larger than {limit // 1_024} KB.")
    return body


def _gunzip(body: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        result = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadInput("The body is not valid gzip.") from error
    if len(result) <= limit and not stream.eof:
        raise BadInput("The gzip body is cut off.")
    return result


def parse(body: bytes) -> Any:  # noqa: ANN401 - JSON from outside is anything
    """Return the JSON value of `body`.

    Raises
    ------
    BadInput
        If it is not JSON in UTF-8.
    TooLarge
        If it is nested beyond any use.
    """
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant, parse_int=_integer)
    except RecursionError as error:
        raise TooLarge("The body is nested too deeply.") from error
    except UnicodeDecodeError as error:
        raise BadInput("The body is not valid UTF-8.") from error
    except ValueError as error:
        raise BadInput("The body is not valid JSON.") from error


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


def _integer(text: str) -> int | float:
    # `clean` refuses the infinity, in the event that holds it; Python would spend quadratic time on the digits.
    return int(text) if len(text) <= 20 else math.inf


def clean(value: Any) -> Any:  # noqa: ANN401 - JSON from outside is anything
    """Return `value` without control characters.

    Raises
    ------
    BadField
        If it is nested beyond `MAX_DEPTH`, or holds text that is no Unicode, or a number out of range.
    """
    return _clean(value, (), 1)


def _clean(value: Any, path: _Path, depth: int) -> Any:  # noqa: ANN401 - JSON from outside is anything
    if isinstance(value, str):
        return value if value.isprintable() else _text(value, path)
    if isinstance(value, dict | list) and depth > MAX_DEPTH:
        raise BadField(_shown(path), f"is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return {
            key if key.isprintable() else _text(key, (path, key)): _clean(item, (path, key), depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_clean(item, (path, index), depth + 1) for index, item in enumerate(value)]
    if isinstance(value, int | float) and not _in_range(value):
        raise BadField(_shown(path), "is a number out of range")
    return value


def _shown(path: _Path) -> str:
    parts: list[str] = []
    while path:
        path, part = path
        parts.append(f"[{part}]" if isinstance(part, int) else f".{part}")
    return "".join(reversed(parts)).removeprefix(".")


def _text(value: str, path: _Path) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadField(_shown(path), "holds half a surrogate pair, which is no text") from error
    return value.translate(_CONTROLS)


def _in_range(value: float) -> bool:
    if isinstance(value, int):
        return -_MAX_INTEGER <= value < _MAX_INTEGER
    return value == 0 or 1 / _MAX_FLOAT <= abs(value) <= _MAX_FLOAT


def without_addresses(value: Any) -> Any:  # noqa: ANN401 - JSON from outside is anything
    """Return clean `value` without e-mail addresses, phone numbers and IP addresses.

    Fields named so are left out at every depth; an e-mail address inside any text becomes `[email]`.
    """
    if isinstance(value, str):
        return _ADDRESS.sub(REDACTED, value) if "@" in value or "%40" in value else value
    if isinstance(value, dict):
        return {without_addresses(key): without_addresses(item) for key, item in value.items() if not is_private(key)}
    if isinstance(value, list):
        return [without_addresses(item) for item in value]
    return value


def is_private(name: str) -> bool:
    """Return whether a field of this name holds an address, a phone number or an IP address."""
    return _is_private(name[:_MAX_NAME])


@lru_cache(maxsize=4_096)
def _is_private(name: str) -> bool:
    return "".join(filter(str.isalnum, name)).lower() in _PRIVATE


def mapping(value: Any, field: str) -> Mapping[str, Any]:  # noqa: ANN401 - JSON from outside is anything
    """Return `value`, an object; absent is empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadField(field, "must be an object")
    return value


def text(value: Any, field: str, *, limit: int) -> str | None:  # noqa: ANN401 - JSON from outside is anything
    """Return `value`, trimmed text or a whole number as text; absent and blank are None."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise BadField(field, "must be text")
    value = value.strip()
    if len(value) > limit:
        raise BadField(field, f"is longer than {limit} characters")
    return value or None


def number(value: Any, field: str) -> float | None:  # noqa: ANN401 - JSON from outside is anything
    """Return `value`, a number or its decimal text as shops write prices; absent is None."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    raise BadField(field, "must be a number")


def time(value: Any, field: str) -> Instant | None:  # noqa: ANN401 - JSON from outside is anything
    """Return the instant of an ISO 8601 time; without a zone it is UTC; absent is None."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadField(field, "must be a time in ISO 8601, as 2026-01-31T12:00:00Z") from error
    return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def epoch(value: Any, field: str, *, unit: int) -> Instant | None:  # noqa: ANN401 - JSON from outside is anything
    """Return the instant of a time since 1970, a number or its decimal text; absent is None.

    Parameters
    ----------
    unit
        Milliseconds that one of it stands for: 1000 for seconds, 1 for milliseconds.
    """
    told = number(value, field)
    if told is None:
        return None
    if not 0 <= told * unit < _LAST_INSTANT:
        raise BadField(field, "is no time since 1970")
    return int(told * unit)
