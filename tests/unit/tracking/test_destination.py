from __future__ import annotations

import string
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.tracking.destination import BadDestination, check_destination, location, without_values

REFUSED = [
    "",
    "shop.example",
    "/path",
    "//shop.example/",
    "javascript:alert(1)",
    "JaVaScRiPt://shop.example/%0aalert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "ftp://shop.example/",
    "mailto:a@b.example",
    "http:shop.example",
    "http:/shop.example",
    "http://",
    "https:///evil.example",
    "https://?q",
    "https://#f",
    "https://:443/",
    "https://user@shop.example/",
    "https://user:pass@shop.example/",
    "https://shop.example@evil.example/",
    "https://shop.example\\@evil.example/",
    "https:\\\\shop.example",
    "https://shop.example/a\\b",
    "https://shop.example/\r\nSet-Cookie: a=b",
    "https://shop.example/\n",
    "https://shop.example/a\tb",
    "https://shop.example/\0",
    "https://shop\0.example/",
    "https://shop.example/a b",
    " https://shop.example/",
    "https://shop.example/\u00a0",
    "https://shop.example/\u2028",
    "https://shop.example/\x7f",
    "https://shop.example/\x85",
    "https://shop.example/\ud800",
    "https://shop.example:99999/",
    "https://shop.example:port/",
    "https://shop..example/",
    "https://.example/",
    "https://shop%2eexample/",
    "https://shop{x}.example/",
    "https://[::1/",
    "https://[evil.example]/",
    "https://[dead.be]/",
    "https://[fe80::1%25eth0]/",
    "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 127 + "ab/",
    "https://evil\uff0fshop.example/",
    "https://evil\u2100shop.example/",
    "https://shop\u200b.example/",
    "https://shop\u00ad.example/",
]


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(BadDestination):
        check_destination(url)
    with pytest.raises(BadDestination):
        location(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "http://shop.example:8080/a//b/../c?x=1&x=2&y#frag?not=query",
        "HTTPS://Shop.Example/%7Eme?q=a+b%20c&next=https://other.example/@me",
        "https://shop.example./",
        "http://localhost:8080/",
        "http://192.0.2.1/",
        "http://[2001:db8::1]:8080/",
        "https://my_shop.example/?a[]=1&b={x}|^`\"<>'",
        "https://xn--mller-kva.example/",
    ],
)
def test_an_ascii_address_is_sent_exactly_as_written(url: str) -> None:
    assert location(url) == url


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://müller.example/", "https://xn--mller-kva.example/"),
        ("https://MÜLLER.example/", "https://xn--mller-kva.example/"),
        ("https://mu\u0308ller.example/", "https://xn--mller-kva.example/"),
        ("https://straße.example/", "https://xn--strae-oqa.example/"),
        ("https://日本語。jp/", "https://xn--wgv71a119e.jp/"),
        ("https://президент.рф:8443/a", "https://xn--d1abbgf6aiiy.xn--p1ai:8443/a"),
        (
            "https://shop.example/größe?farbe=grün&x=%C3%A4#übersicht",
            "https://shop.example/gr%C3%B6%C3%9Fe?farbe=gr%C3%BCn&x=%C3%A4#%C3%BCbersicht",
        ),
        ("https://shop.example/🎄", "https://shop.example/%F0%9F%8E%84"),
    ],
)
def test_the_header_is_ascii_and_leads_to_the_same_place(url: str, sent: str) -> None:
    assert location(url) == sent


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="\\%"), max_size=60))
def test_encoding_changes_nothing_but_the_spelling(rest: str) -> None:
    # given
    url = f"https://shop.example/{rest}"
    # when
    sent = location(url)
    # then
    assert set(sent) <= set(string.printable) - set(string.whitespace)
    assert unquote(sent) == url


@pytest.mark.parametrize(
    ("url", "values", "sent"),
    [
        ("https://shop.example/?a=\0", ["x"], "https://shop.example/?a=x"),
        ("https://shop.example/p?a=\0&b=1&c=\0#top", ["x", "y"], "https://shop.example/p?a=x&b=1&c=y#top"),
        ("https://shop.example?a=\0&b=\0", ["x"], "https://shop.example?a=x&b="),
        ("https://shop.example/?a=\0", [], "https://shop.example/?a="),
        ("https://shop.example/?a=\0", ["x", "too many"], "https://shop.example/?a=x"),
        ("https://shop.example/?größe=\0", ["ä"], "https://shop.example/?gr%C3%B6%C3%9Fe=%C3%A4"),
        (
            "https://shop.example/?a=\0&b=2",
            ["1&b=3#/../\r\n%"],
            "https://shop.example/?a=1%26b%3D3%23%2F..%2F%0D%0A%25&b=2",
        ),
        ("https://shop.example/?a=\0", ["\ud800"], "https://shop.example/?a=%3F"),
        ("https://shop.example/?a=\0", ["x" * 501], "https://shop.example/?a=" + "x" * 500),
    ],
)
def test_slots_are_filled_in_order_and_every_value_is_encoded(url: str, values: list[str], sent: str) -> None:
    assert location(url, values) == sent


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/\0?a=1",
        "https://shop.example/?\0",
        "https://shop.example/?\0=1",
        "https://shop.example/?a\0=1",
        "https://shop.example/?=\0",
        "https://shop.example/?a=b\0",
        "https://shop.example/?a=\0b",
        "https://shop.example/?a=\0\0",
        "https://shop.example/?a=b=\0",
        "https://shop.example/?a=1#b=\0",
        "https://shop.example/#?a=\0",
        "https://shop.example\0/?a=1",
        "https://\0/?a=1",
        "https://shop.example:\0/",
        "\0https://shop.example/",
        "https://shop.example/?" + "&".join(f"a{number}=\0" for number in range(21)),
    ],
)
def test_a_slot_is_the_whole_value_of_a_query_parameter_or_refused(url: str) -> None:
    with pytest.raises(BadDestination):
        check_destination(url)


def test_what_is_recorded_of_a_destination_has_empty_slots() -> None:
    assert without_values("https://shop.example/?a=\0&b=1&c=\0#top") == "https://shop.example/?a=&b=1&c=#top"
    assert without_values("https://shop.example/?a=%00") == "https://shop.example/?a=%00"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://shop.example", "https://shop.example?gclid=1%262"),
        ("https://shop.example/p?", "https://shop.example/p?gclid=1%262"),
        ("https://shop.example/p?a=1", "https://shop.example/p?a=1&gclid=1%262"),
        ("https://shop.example/p?a=1#top?x", "https://shop.example/p?a=1&gclid=1%262#top?x"),
        ("https://shop.example/#gclid=3", "https://shop.example/?gclid=1%262#gclid=3"),
        ("https://shop.example/?gclid=9", "https://shop.example/?gclid=9"),
        ("https://shop.example/?gclid#top", "https://shop.example/?gclid#top"),
        ("https://shop.example/?a=1;gclid=9", "https://shop.example/?a=1;gclid=9"),
        ("https://shop.example/?GCLID=9", "https://shop.example/?GCLID=9"),
        ("https://shop.example/?gcl%69d=9", "https://shop.example/?gcl%69d=9"),
    ],
)
def test_parameters_are_appended_to_the_query_unless_the_destination_has_them(url: str, sent: str) -> None:
    assert location(url, extra=[("gclid", "1&2")]) == sent


def test_of_a_parameter_appended_twice_the_first_counts() -> None:
    assert location("https://shop.example/", extra=[("a", "1"), ("A", "2")]) == "https://shop.example/?a=1"
