from __future__ import annotations

from html import escape, unescape
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from mailtailor.tracking.destination import BadDestination, check_destination
from mailtailor.tracking.instrument import Mailing, Utm, instrument
from mailtailor.tracking.links import is_relative, read_address
from mailtailor.tracking.paths import click_parameters, tracked_path
from mailtailor.tracking.redirect import target
from mailtailor.tracking.tokens import Keyring, read_link

KEYRING = Keyring.from_secret({"active": "k1", "k1": "a secret key of the tests, long enough"})
CLICK = "https://click.example"


def tracked(html: str, utm: Utm | None = None) -> str:
    """Return the address that a browser reads in `html` after instrumenting."""
    mailing = Mailing("spring", KEYRING, "https://open.example", CLICK, 1_764_000_000_000, utm=utm)
    return opened(instrument(html, mailing).html)


def opened(html: str) -> str:
    """Return the address that a browser reads in `html`."""
    link = LexborHTMLParser(html).css_first("a[href]")
    return (link.attributes.get("href") or "") if link else ""


def clicked(url: str) -> str:
    """Return where a click on the tracked `url` leads."""
    path, _, query = url.removeprefix(CLICK).partition("?")
    return target(read_link(KEYRING, tracked_path(path, "c").subject).url, click_parameters(query))


urls = st.text(alphabet="abü/?&=#;%+.{}[]|*\"'<>~-", max_size=30).map("https://s.example/".__add__)


@given(urls, st.sampled_from(['"', "'"]))
def test_the_destination_is_what_a_browser_would_open(url: str, quotes: str) -> None:
    # given
    href = escape(url)
    seen = opened(f"<a href={quotes}{href}{quotes}>x</a>")
    # when
    now = tracked(f"<a href={quotes}{href}{quotes}>x</a>")
    # then
    if now.startswith(f"{CLICK}/c/") and "?s1=" not in now:
        assert read_link(KEYRING, tracked_path(now.removeprefix(CLICK), "c").subject).url == seen
    elif not now.startswith(CLICK):
        assert now == seen


@given(urls)
@example("https://s.example/?a=?")
@example("https://s.example/?")
def test_campaign_parameters_change_nothing_else_of_a_destination(url: str) -> None:
    # when
    now = tracked(f'<a href="{escape(url)}">x</a>', Utm({"utm_id": "7"}))
    # then
    if now.startswith(f"{CLICK}/c/") and "?s1=" not in now:
        destination = read_link(KEYRING, tracked_path(now.removeprefix(CLICK), "c").subject).url
        before, after = urlsplit(url), urlsplit(destination)
        assert (before.netloc, before.path, before.fragment) == (after.netloc, after.path, after.fragment)
        assert after.query.startswith(before.query)
        assert len(parse_qsl(after.query)) == len(parse_qsl(before.query)) + 5


@pytest.mark.parametrize(
    ("href", "merged"),
    [
        ("https://s.example/?u={{ x }}", "https://s.example/?u=VALUE"),
        ("https://s.example/?a=1&amp;u=pre-*|X|*-post&amp;b=2#f", "https://s.example/?a=1&u=pre-VALUE-post&b=2#f"),
        ("https://s.example/?u=%%x%%&amp;u=[[x]]", "https://s.example/?u=VALUE&u=VALUE"),
        ("https://s.example/?u=a b%20c+d={{x}}", "https://s.example/?u=a%20b%20c%20d%3DVALUE"),
    ],
)
@pytest.mark.parametrize("value", ["simple", "Jürgen & Söhne #1?", "https://evil.example/", "a=b+c"])
def test_a_click_leads_where_the_merged_link_would_have(href: str, merged: str, value: str) -> None:
    # given
    mailing = Mailing("spring", KEYRING, "https://open.example", CLICK, 1_764_000_000_000, utm=None)
    html = instrument(f'<a href="{href}">x</a>', mailing).html
    # when: the ESP merges a value that its template encodes
    for tag in ("{{ x }}", "*|X|*", "%%x%%", "[[x]]", "{{x}}"):
        html = html.replace(tag, quote(value, safe=""))
    url = unescape(html.split('"')[1])
    # then
    assert clicked(url) == merged.replace("VALUE", quote(value, safe=""))


@given(st.text(alphabet="{}%*|[]<>#= ax", max_size=40))
def test_an_address_is_written_as_it_was(text: str) -> None:
    assert read_address(text).written == text


@pytest.mark.parametrize(
    ("href", "relative"),
    [("a.html", True), ("/a", True), ("//s.example", True), ("www.s.example", True), ("#a", False), ("", False)],
)
def test_relative_addresses_are_told_from_anchors(href: str, relative: bool) -> None:
    assert is_relative(href) is relative
    with pytest.raises(BadDestination):
        check_destination(href)
