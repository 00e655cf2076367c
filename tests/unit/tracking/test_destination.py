from __future__ import annotations

import string
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.tracking.destination import BadDestination, check_destination, location

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
