from __future__ import annotations

import contextlib
import gzip
import json
import time as wall
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.errors import BadInput, MailtailorError, TooLarge
from mailtailor.events.untrusted import BadField, clean, epoch, number, parse, plain, time, without_addresses


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON"),
        (b"[Infinity]", "not valid JSON"),
        (b'{"a": "\xff"}', "not valid UTF-8"),
        (b"\xed\xa0\x80", "not valid UTF-8"),
    ],
)
def test_what_is_no_json_is_refused_in_a_sentence(body: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse(body)


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert parse(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


@pytest.mark.parametrize("literal", ["9" * 5_000, "-" + "9" * 100_000, "1e400", "1e-300", str(2**63)])
def test_a_number_no_store_can_hold_is_refused_where_it_is(literal: str) -> None:
    # given
    value = parse(f'{{"a":[0,{literal}]}}'.encode())

    # then
    with pytest.raises(BadField, match=r"^a\[1\] is a number out of range"):
        clean(value)


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes_are_a_value_or_a_sentence(body: bytes) -> None:
    with contextlib.suppress(MailtailorError):
        clean(parse(body))


def test_a_gzip_body_is_read_to_its_limit_and_no_further() -> None:
    # given a bomb of 200 MB in 200 KB
    bomb = gzip.compress(bytes(200_000_000), compresslevel=9)
    start = wall.perf_counter()

    # then
    with pytest.raises(TooLarge, match="500 KB"):
        plain(bomb, "gzip", limit=512_000)
    assert wall.perf_counter() - start < 0.5


@pytest.mark.parametrize("body", [b"", b"{}", gzip.compress(b"{}" * 50, mtime=0)[:-9], b"\x1f\x8b"])
def test_what_is_no_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput, match="gzip"):
        plain(body, "gzip", limit=100)


def test_encodings_are_gzip_or_none() -> None:
    assert plain(gzip.compress(b"{}"), " GZIP ", limit=2) == b"{}"
    assert plain(b"{}", "identity", limit=2) == b"{}"
    with pytest.raises(BadInput, match="not supported"):
        plain(b"{}", "br", limit=2)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("ann@example.com", "[email]"),
        ("Ann <ann.b+tag@mail.example.co.uk>!", "Ann <[email]>!"),
        ("https://a.example/?e=ann%40example.com&x=1", "https://a.example/?e=[email]&x=1"),
        ("https://social.example/@ann.smith", "https://social.example/@ann.smith"),
        ("3 @ 4.50", "3 @ 4.50"),
        ("jörg@exämple.com", "[email]"),
    ],
)
def test_addresses_inside_text_are_left_out(text: str, kept: str) -> None:
    assert without_addresses(text) == kept


@pytest.mark.parametrize(
    "text", ["a" * 500_000 + " @", "a@" * 250_000, "a%40" * 125_000, ".@" + "a." * 200_000, "a@" + "b-" * 250_000]
)
def test_looking_for_addresses_takes_time_in_proportion(text: str) -> None:
    # given
    start = wall.perf_counter()

    # when
    without_addresses(text)

    # then
    assert wall.perf_counter() - start < 2


def test_long_names_cost_nothing_beneath_them() -> None:
    # given
    value = {"k" * 250_000: [0] * 100_000}
    start = wall.perf_counter()

    # when
    clean(value)

    # then
    assert wall.perf_counter() - start < 2


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8")),
        st.lists,
        max_leaves=10,
    )
)
def test_clean_values_stay_as_they_are(value: Any) -> None:
    # given
    once = clean(value)

    # then
    assert clean(once) == once
    assert json.loads(json.dumps(once)) == once


@pytest.mark.parametrize("value", ["1_000", "0x10", "inf", "nan", "", "٣", "1e5", [], {}, False])
def test_only_decimal_text_is_a_number(value: object) -> None:
    with pytest.raises(BadField):
        number(value, "price")


@given(st.text())
def test_any_text_is_a_time_or_a_sentence(text: str) -> None:
    with contextlib.suppress(BadField):
        assert time(text, "timestamp") is not None


def test_names_of_fields_however_long_and_many_do_not_fill_the_memory() -> None:
    # given
    tracemalloc.start()

    # when: one character beyond the BMP makes Python take four bytes for each
    for number_ in range(200):
        without_addresses({f"{number_}{'x' * 30_000}\U0001f600": 1})

    # then
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000_000


@pytest.mark.parametrize("name", ["e-mail", "E" + "." * 50 + "mail", "phone" + "_" * 100])
def test_a_field_that_holds_an_address_by_its_name_is_left_out_however_it_is_written(name: str) -> None:
    assert without_addresses({name: "x"}) == {}


def test_no_text_holds_what_a_terminal_obeys() -> None:
    controls = "".join(map(chr, [*range(32), *range(127, 160)]))
    assert clean({f"a{controls}b": [f"c{controls}d"]}) == {"a\t\n\rb": ["c\t\n\rd"]}


@pytest.mark.parametrize("body", [b"[" * 500_000, b'{"a":' * 100_000])
def test_json_nested_beyond_any_use_is_too_large(body: bytes) -> None:
    with pytest.raises(TooLarge, match="nested too deeply"):
        parse(body)


@pytest.mark.parametrize(
    ("told", "unit", "instant"),
    [
        (None, 1_000, None),
        (0, 1_000, 0),
        (1_799_999_000, 1_000, 1_799_999_000_000),
        (1_799_999_000.123456, 1_000, 1_799_999_000_123),
        ("1799999000", 1_000, 1_799_999_000_000),
        (1_799_999_000_000, 1, 1_799_999_000_000),
    ],
)
def test_a_time_since_1970_is_an_instant(told: object, unit: int, instant: int | None) -> None:
    assert epoch(told, "at", unit=unit) == instant


@pytest.mark.parametrize("told", [-1, 1e18, 2**62, True, "soon", {}, [1]])
def test_what_is_no_time_since_1970_names_its_field(told: object) -> None:
    with pytest.raises(BadField, match=r"^at "):
        epoch(told, "at", unit=1_000)
