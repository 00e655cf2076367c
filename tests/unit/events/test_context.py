"""Of what surrounds an event, short texts under known names are kept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.events.context import MAX_TEXT, kept

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=10,
)


def test_what_is_known_is_kept_and_all_else_left_behind() -> None:
    # given
    context = {
        "ip": "203.0.113.7",
        "userAgent": "Mozilla/5.0",
        "locale": "en-GB",
        "timezone": "Europe/London",
        "library": {"name": "analytics.js", "version": "next-1.84.1", "secret": "x"},
        "page": {"path": "/sale", "url": "https://shop.example/sale", "title": "Sale", "search": ""},
        "campaign": {"name": "spring", "source": "mail"},
        "device": {"id": "B5372DB0", "advertisingId": "7A3CBEA0", "type": "ios"},
        "location": {"latitude": 40.2, "longitude": 74.0},
        "traits": {"email": "ann@example.com"},
        "network": {"wifi": True},
    }
    # then
    assert kept(context) == {
        "user_agent": "Mozilla/5.0",
        "locale": "en-GB",
        "timezone": "Europe/London",
        "library": {"name": "analytics.js", "version": "next-1.84.1"},
        "page": {"path": "/sale", "url": "https://shop.example/sale", "title": "Sale"},
        "campaign": {"name": "spring", "source": "mail"},
        "device": {"type": "ios"},
    }


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ({"url": "https://s.example/?mt_stitch=AbC&a=1#b"}, {"url": "https://s.example/?a=1#b"}),
        ({"url": "https://s.example/?a=1&mt_stitch=AbC"}, {"url": "https://s.example/?a=1"}),
        ({"search": "?mt_stitch=AbC"}, {}),
        ({"search": "?a=1&mt_stitch=A-_C&b=2"}, {"search": "?a=1&b=2"}),
        (
            {"referrer": "https://l.example/?next=https%3A%2F%2Fs.example%3Fmt_stitch%3DAbC%26a%3D1&b=2"},
            {"referrer": "https://l.example/?next=https%3A%2F%2Fs.example%3Fa%3D1&b=2"},
        ),
        (
            {"referrer": "https://l.example/?next=https%3A%2F%2Fs.example%3Fmt_stitch%3DAbC&b=2"},
            {"referrer": "https://l.example/?next=https%3A%2F%2Fs.example&b=2"},
        ),
        ({"referrer": "https://[mt_stitch=AbC"}, {}),
        ({"url": "https://s.example/?to=ann@example.com"}, {"url": "https://s.example/?to=[email]"}),
        ({"title": "x" * 500}, {"title": "x" * MAX_TEXT}),
        ({"title": f"{'x' * 190} ann.longname@example.com"}, {"title": f"{'x' * 190} [email]"}),
        ({"title": 7, "path": None, "url": ["x"]}, {}),
    ],
)
def test_no_stitch_no_address_and_nothing_long_is_kept(page: dict[str, Any], found: dict[str, str]) -> None:
    assert kept({"page": page}).get("page", {}) == found


@given(st.dictionaries(st.sampled_from(["page", "locale", "library", "device", "x"]), JSON))
def test_whatever_comes_is_kept_small_or_left(context: dict[str, Any]) -> None:
    assert all(isinstance(value, str | dict) for value in kept(context).values())
