"""The compact form of streams, as profiles store it.

It is a byte string: a version, then for each stream its feature (4 bytes), kind, length and entries with instants as
variable-length integers, each the distance to the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Final

from mailtailor.segments.streams import (
    ID_BYTES,
    First,
    Messages,
    Occurrences,
    Provisional,
    ProvisionalHit,
    Recents,
    Stream,
    Streams,
    Values,
)
from mailtailor.tracking.bursts import OPEN

VERSION: Final = 1

_MACHINE, _IS_UUID, _SAME_MESSAGE, _SEEN_LATER, _IS_CLICK, _HAS_ENTRIES, _HAS_PRODUCT, _HAS_VALUES = (
    1 << bit for bit in range(8)
)
_KINDS: Final[tuple[type[Stream], ...]] = (Occurrences, Messages, Recents, Provisional, Values, First)


def encode(streams: Streams) -> bytes:
    """Return the compact form of `streams`; empty streams vanish."""
    out = bytearray([VERSION])
    for feature in sorted(streams):
        stream = streams[feature]
        if not stream.entries and not (isinstance(stream, Provisional) and stream.settled_to):
            continue
        out += feature.to_bytes(4, "big")
        out.append(_KINDS.index(type(stream)))
        _put(out, len(stream.entries))
        match stream:
            case Occurrences() | First():
                _encode_occurrences(out, stream)
            case Values():
                _encode_values(out, stream)
            case Messages():
                _encode_messages(out, stream)
            case Recents():
                _encode_recents(out, stream)
            case Provisional():
                _encode_provisional(out, stream)
    return bytes(out) if len(out) > 1 else b""


def decode(data: bytes) -> Streams:
    """Return the streams of a compact form.

    Raises
    ------
    ValueError
        If `data` is of another version or cut short.
    """
    if not data:
        return {}
    if data[0] != VERSION:
        raise ValueError(f"streams of version {data[0]} cannot be read")
    streams: Streams = {}
    reader = _Reader(data, 1)
    while not reader.at_end():
        feature = int.from_bytes(reader.take(4), "big")
        kind = _KINDS[reader.take(1)[0]]
        streams[feature] = _DECODERS[kind](reader, reader.number())
    return streams


def _encode_occurrences(out: bytearray, stream: Occurrences | First) -> None:
    previous = 0
    for at, event in stream.entries:
        _put(out, at - previous)
        out += event.to_bytes(ID_BYTES, "big")
        previous = at


def _encode_values(out: bytearray, stream: Values) -> None:
    previous = 0
    for at, event, value in stream.entries:
        _put(out, at - previous)
        out += event.to_bytes(ID_BYTES, "big")
        _put_signed(out, value)
        previous = at


def _encode_messages(out: bytearray, stream: Messages) -> None:
    previous = 0
    # Ordered by delivery, so that distances stay small; an open's distance is taken from the delivery.
    for message, (delivered, opened) in sorted(stream.entries.items(), key=lambda entry: (max(entry[1]), entry[0])):
        out += message.to_bytes(ID_BYTES, "big")
        out.append((1 if delivered else 0) | (2 if opened else 0))
        for instant in (delivered, opened):
            if instant:
                _put_signed(out, instant - previous)
                previous = instant


def _encode_recents(out: bytearray, stream: Recents) -> None:
    previous = 0
    for value, at in sorted(stream.entries.items(), key=lambda entry: (entry[1], entry[0])):
        _put(out, at - previous)
        out += _text(value)
        previous = at


def _encode_provisional(out: bytearray, stream: Provisional) -> None:
    """Append hits with what they share left out: of a message come several, and a sender's ids begin alike."""
    _put(out, stream.settled_to)
    previous, id_before, message_before = stream.settled_to, "", -1
    for event, hit in sorted(stream.entries.items(), key=lambda entry: (entry[1].at, entry[0])):
        unique = _uuid(event)
        flags = {
            _MACHINE: hit.machine,
            _IS_UUID: bool(unique),
            _SAME_MESSAGE: hit.message == message_before,
            _SEEN_LATER: hit.seen != hit.at,
            _IS_CLICK: hit.position != OPEN,
            _HAS_ENTRIES: bool(hit.entries),
            _HAS_PRODUCT: bool(hit.product),
            _HAS_VALUES: any(value for _, value in hit.entries),
        }
        out.append(sum(flag for flag, is_set in flags.items() if is_set))
        out += unique or _id_text(event, id_before)
        _put_signed(out, hit.at - previous)
        if flags[_SEEN_LATER]:
            _put_signed(out, hit.seen - hit.at)
        if not flags[_SAME_MESSAGE]:
            out += hit.message.to_bytes(ID_BYTES, "big")
        if flags[_IS_CLICK]:
            _put(out, hit.position)
        if hit.entries:
            _put(out, len(hit.entries))
        for feature, value in hit.entries:
            out += feature.to_bytes(4, "big")
            if flags[_HAS_VALUES]:
                _put_signed(out, value)
        if hit.product:
            out += _text(hit.product)
        previous, id_before, message_before = hit.at, event, hit.message


def _id_text(event: str, before: str) -> bytes:
    """Return an id as how many characters it shares with the one before, and the rest."""
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(event, before, strict=False)))
    out = bytearray()
    _put(out, shared)
    return bytes(out) + _text(event[shared:])


def _uuid(text: str) -> bytes:
    """Return the 16 bytes of an id as capture makes them, less than half of its text; empty if it is no such id."""
    digits = text.replace("-", "")
    if len(text) != 36 or len(digits) != 32:
        return b""
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        return b""
    return data if _uuid_text(data) == text else b""


def _uuid_text(data: bytes) -> str:
    digits = data.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _text(text: str) -> bytes:
    data = text.encode()
    out = bytearray()
    _put(out, len(data))
    return bytes(out + data)


def _decode_occurrences(reader: _Reader, length: int) -> Occurrences:
    stream, at = Occurrences(), 0
    for _ in range(length):
        at += reader.number()
        stream.entries.append((at, int.from_bytes(reader.take(ID_BYTES), "big")))
    return stream


def _decode_first(reader: _Reader, length: int) -> First:
    return First(_decode_occurrences(reader, length).entries)


def _decode_values(reader: _Reader, length: int) -> Values:
    stream, at = Values(), 0
    for _ in range(length):
        at += reader.number()
        stream.entries.append((at, int.from_bytes(reader.take(ID_BYTES), "big"), reader.signed()))
    return stream


def _decode_messages(reader: _Reader, length: int) -> Messages:
    stream, at = Messages(), 0
    for _ in range(length):
        message = int.from_bytes(reader.take(ID_BYTES), "big")
        known = reader.take(1)[0]
        delivered = opened = 0
        if known & 1:
            delivered = at = at + reader.signed()
        if known & 2:
            opened = at = at + reader.signed()
        stream.entries[message] = (delivered, opened)
    return stream


def _decode_recents(reader: _Reader, length: int) -> Recents:
    stream, at = Recents(), 0
    for _ in range(length):
        at += reader.number()
        stream.entries[reader.text()] = at
    return stream


def _decode_provisional(reader: _Reader, length: int) -> Provisional:
    stream = Provisional(settled_to=reader.number())
    at, event, message = stream.settled_to, "", -1
    for _ in range(length):
        flags = reader.take(1)[0]
        event = _uuid_text(reader.take(16)) if flags & _IS_UUID else event[: reader.number()] + reader.text()
        at += reader.signed()
        seen = at + (reader.signed() if flags & _SEEN_LATER else 0)
        if not flags & _SAME_MESSAGE:
            message = int.from_bytes(reader.take(ID_BYTES), "big")
        position = reader.number() if flags & _IS_CLICK else OPEN
        entries = range(reader.number() if flags & _HAS_ENTRIES else 0)
        stream.entries[event] = ProvisionalHit(
            at,
            seen,
            message,
            position,
            bool(flags & _MACHINE),
            tuple(
                (int.from_bytes(reader.take(4), "big"), reader.signed() if flags & _HAS_VALUES else 0) for _ in entries
            ),
            reader.text() if flags & _HAS_PRODUCT else "",
        )
    return stream


_DECODERS: Final[dict[type[Stream], Callable[[_Reader, int], Stream]]] = {
    Occurrences: _decode_occurrences,
    Messages: _decode_messages,
    Recents: _decode_recents,
    Provisional: _decode_provisional,
    Values: _decode_values,
    First: _decode_first,
}


def _put(out: bytearray, number: int) -> None:
    """Append a variable-length integer: seven bits a byte, the lowest first (LEB128)."""
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _put_signed(out: bytearray, number: int) -> None:
    # ZigZag: small negative distances stay short.
    _put(out, number << 1 if number >= 0 else (-number << 1) - 1)


class _Reader:
    """Takes bytes off a compact form, and notices its end."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position

    def at_end(self) -> bool:
        return self._position >= len(self._data)

    def take(self, count: int) -> bytes:
        taken = self._data[self._position : self._position + count]
        if len(taken) < count:
            raise ValueError("the streams are cut short")
        self._position += count
        return taken

    def number(self) -> int:
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    def text(self) -> str:
        return self.take(self.number()).decode()

    def signed(self) -> int:
        number = self.number()
        return -((number + 1) >> 1) if number & 1 else number >> 1
