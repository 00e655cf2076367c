"""The compact form of streams is exact, and small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.segments.stream_codec import decode, encode
from mailtailor.segments.streams import (
    First,
    Messages,
    Occurrences,
    Provisional,
    ProvisionalHit,
    Recents,
    Streams,
    Values,
    id_hash,
)
from mailtailor.tracking.bursts import OPEN

instants = st.integers(min_value=1, max_value=1 << 45)
ids = st.integers(min_value=0, max_value=(1 << 48) - 1)
hits = st.builds(
    ProvisionalHit,
    at=instants,
    seen=instants,
    message=ids,
    position=st.integers(OPEN, 20_000),
    machine=st.booleans(),
    entries=st.lists(
        st.tuples(st.integers(0, (1 << 32) - 1), st.one_of(st.just(0), st.integers(-(1 << 50), 1 << 50))), max_size=3
    ).map(tuple),
    product=st.text(max_size=10),
)
streams = st.dictionaries(
    st.integers(0, (1 << 32) - 1),
    st.one_of(
        st.lists(st.tuples(instants, ids), min_size=1, max_size=20, unique_by=lambda one: one[1]).map(
            lambda entries: Occurrences(sorted(entries))
        ),
        st.dictionaries(
            ids, st.tuples(st.one_of(st.just(0), instants), st.one_of(st.just(0), instants)), min_size=1, max_size=20
        ).map(Messages),
        st.dictionaries(st.text(min_size=1, max_size=12), instants, min_size=1, max_size=8).map(Recents),
        st.lists(st.tuples(instants, ids, st.integers(-(1 << 50), 1 << 50)), min_size=1, max_size=20, unique=True).map(
            lambda entries: Values(sorted(entries))
        ),
        st.tuples(instants, ids).map(lambda entry: First([entry])),
        st.builds(
            Provisional,
            st.dictionaries(
                st.one_of(st.uuids().map(str), st.text(min_size=1, max_size=50)), hits, min_size=1, max_size=8
            ),
            st.one_of(st.just(0), instants),
        ),
    ),
    max_size=8,
)


@given(streams)
def test_the_compact_form_gives_back_what_it_was_made_of(original: Streams) -> None:
    assert decode(encode(original)) == original


@given(streams, st.integers(1, 50))
def test_a_compact_form_cut_short_is_refused_or_ends_at_a_stream(original: Streams, cut: int) -> None:
    # given
    data = encode(original)[:-cut]
    # when, then
    try:
        shorter = decode(data)
    except (ValueError, UnicodeDecodeError):
        return
    assert shorter.items() <= original.items()


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 9"):
        decode(b"\x09")


def test_thirty_messages_and_three_clicks_take_less_than_half_a_kilobyte() -> None:
    # given a recipient who got a mail a day and opened most
    day = 86_400_000
    start = 1_790_000_000_000
    messages = Messages({id_hash(f"m{n}"): (start + n * day, start + n * day + 3_600_000) for n in range(30)})
    clicks = Occurrences([(start + n * day + 4_000_000, id_hash(f"c{n}")) for n in range(3)])
    # when
    size = len(encode({1: messages, 2: clicks}))
    # then
    assert size < 512


def test_a_provisional_click_takes_less_than_fifty_bytes() -> None:
    # given
    hit = ProvisionalHit(1_790_000_000_000, 1_790_000_000_900, id_hash("m"), 3, entries=((7, 0),), product="85123A")
    one = Provisional({"9b2d2a4e-0c7c-4a36-9d0f-2c8b0a5f4f11": hit})
    two = Provisional({**one.entries, "9b2d2a4e-0c7c-4a36-9d0f-2c8b0a5f4f12": hit._replace(at=hit.at + 60_000)})
    # when / then
    assert len(encode({1: two})) - len(encode({1: one})) < 50
