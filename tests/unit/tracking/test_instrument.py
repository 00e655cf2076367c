from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from mailtailor.errors import BadInput
from mailtailor.tracking.instrument import RECIPIENT_TAG, Instrumented, Mailing, Utm, instrument
from mailtailor.tracking.tokens import Keyring, LinkToken, MailingToken, read_link, read_mailing

KEYRING = Keyring.from_secret({"active": "k1", "k1": "a secret key of the tests, long enough"})
OPEN, CLICK, NOW = "https://open.example", "https://click.example", 1_764_000_000_000
MAILS = sorted((Path(__file__).parent / "mails").glob("*.html"))
TRACKED = re.compile(rf"{CLICK}/c/([A-Za-z0-9_-]+)/{re.escape(RECIPIENT_TAG)}")
PIXEL = re.compile(rf'<img src="{OPEN}/o/([A-Za-z0-9_-]+)/{re.escape(RECIPIENT_TAG)}\.gif"[^>]*>')


def instrumented(html: str, **options: Any) -> Instrumented:
    given_options: dict[str, Any] = {"campaign": "spring", "utm": None, **options}
    return instrument(html, Mailing(keyring=KEYRING, open_url=OPEN, click_url=CLICK, now=NOW, **given_options))


def signed(html: str, **options: Any) -> LinkToken:
    """Return what the only tracked link of `html` says."""
    (token,) = TRACKED.findall(instrumented(html, **options).html)
    return read_link(KEYRING, token)


def test_a_link_leads_through_us_to_where_it_led() -> None:
    # when
    result = instrumented('<p>x</p>\n<a class="b" href="https://shop.example/a?b=1#c">Go</a>')
    # then
    (link,) = result.links
    assert (link.position, link.line, link.tracked) == (1, 2, True)
    assert link.href == link.destination == "https://shop.example/a?b=1#c"
    (token,) = TRACKED.findall(result.html)
    assert read_link(KEYRING, token) == LinkToken("https://shop.example/a?b=1#c", "spring", 1, NOW)


@pytest.mark.parametrize(
    ("href", "destination"),
    [
        ('"https://s.example/?a=1&amp;b=2"', "https://s.example/?a=1&b=2"),
        ('"https://s.example/?a=1&#38;b=2&#x26;c=3"', "https://s.example/?a=1&b=2&c=3"),
        ('"https://s.example/?x=1&reg=EU&sect=4"', "https://s.example/?x=1&reg=EU&sect=4"),
        ("'https://s.example/?q=&quot;a&#39;'", "https://s.example/?q=\"a'"),
        ("https://s.example/a", "https://s.example/a"),
        ('" https://s.example/\n  a b "', "https://s.example/%20%20a%20b"),
        ('"HTTPS://S.example/größe?a=1&a=2#übersicht"', "HTTPS://S.example/größe?a=1&a=2#übersicht"),
        ('"https://müller.example"', "https://müller.example"),
    ],
)
def test_the_destination_is_what_a_browser_would_open(href: str, destination: str) -> None:
    assert signed(f"<a href={href}>x</a>").url == destination


def test_areas_of_image_maps_are_links_too() -> None:
    assert signed('<map><area shape="rect" href="https://shop.example/"></map>').url == "https://shop.example/"


def test_a_link_says_which_product_and_category_it_shows() -> None:
    html = '<a data-product-id="85123A" data-category="Lights &amp; Lamps" href="https://s.example/">x</a>'
    assert (signed(html).product_id, signed(html).category) == ("85123A", "Lights & Lamps")


def test_a_product_that_only_the_esp_knows_is_not_signed() -> None:
    assert signed('<a data-product-id="{{ product }}" href="https://s.example/">x</a>').product_id == ""


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ('href="mailto:a@shop.example"', "not a web address"),
        ('href="tel:+44"', "not a web address"),
        ('href="sms:1"', "not a web address"),
        ('href="#top"', "not a web address"),
        ('href=""', "not a web address"),
        ('href="/relative"', "not a web address"),
        ('href="javascript:alert(1)"', "not a web address"),
        ('href="cid:1"', "not a web address"),
        ('data-mailtailor="off" href="https://s.example/"', "marked data-mailtailor=off"),
        ('href="https://s.example/unsubscribe?u=1"', "unsubscribe or preference link"),
        ('href="https://s.example/email-preferences"', "unsubscribe or preference link"),
        ('href="https://s.example/opt-out"', "unsubscribe or preference link"),
        ('href="https://click.example/c/a/b"', "tracked already"),
        ('href="https://s.example/?u={{ id }}"', "contains a merge tag"),
        ('href="{{ url }}"', "contains a merge tag"),
        ('href="%%=RedirectTo(@url)=%%"', "contains a merge tag"),
        ('href="https://s.example/*|ID|*"', "contains a merge tag"),
        ('href="https://s.example/[[id]]"', "contains a merge tag"),
        ('href="https://user@s.example/"', "user information"),
        ('href="https://"', "no valid host"),
        ('href="https://s.example/a\\b"', "backslash"),
        (f'href="https://s.example/{"x" * 4000}"', "characters long"),
    ],
)
def test_a_link_that_must_not_or_cannot_be_tracked_stays_as_it_is(attributes: str, reason: str) -> None:
    # given
    html = f"<a {attributes}>x</a>"
    # when
    result = instrumented(html)
    # then
    assert PIXEL.sub("", result.html) == html
    assert not result.links[0].tracked
    assert reason in result.links[0].reason


@pytest.mark.parametrize("url", ["https://s.example/adopt-outdoor", "https://s.example/laptop-outlet"])
def test_words_that_only_look_like_opting_out_are_tracked(url: str) -> None:
    assert signed(f'<a href="{url}">x</a>').url == url


@pytest.mark.parametrize(
    ("url", "destination"),
    [
        ("https://s.example", "https://s.example?{}"),
        ("https://s.example/a?", "https://s.example/a?{}"),
        ("https://s.example/a?b=1&b=2#f?g", "https://s.example/a?b=1&b=2&{}#f?g"),
        ("https://s.example/a?b&", "https://s.example/a?b&{}"),
    ],
)
def test_campaign_parameters_are_added_before_the_fragment(url: str, destination: str) -> None:
    utm = "utm_source=mailtailor&utm_medium=email&utm_campaign=spring%20%26%20more&utm_content=1"
    assert signed(f'<a href="{url}">x</a>', campaign="spring & more", utm=Utm()).url == destination.format(utm)


def test_campaign_parameters_of_the_author_win() -> None:
    url = signed('<a href="https://s.example/?UTM_Source=mine&utm_campaign=">x</a>', utm=Utm()).url
    assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == [
        ("UTM_Source", "mine"),
        ("utm_campaign", ""),
        ("utm_medium", "email"),
        ("utm_content", "1"),
    ]


@pytest.mark.parametrize(
    ("html", "around"),
    [
        ("<body>a</body></html>", "<body>a{}</body></html>"),
        ("a</BODY >b</body>c", "a</BODY >b{}</body>c"),
        ("a<!-- </body> -->b", "a<!-- </body> -->b{}"),
        ("a</body><!-- </body> -->", "a{}</body><!-- </body> -->"),
        ("no body", "no body{}"),
        ("", "{}"),
    ],
)
def test_the_pixel_stands_at_the_end_of_the_body(html: str, around: str) -> None:
    # when
    result = instrumented(html)
    pixel = PIXEL.search(result.html)
    # then
    assert pixel
    assert result.html == around.format(pixel[0])
    assert read_mailing(KEYRING, pixel[1]) == MailingToken("spring")


def test_instrumenting_twice_changes_nothing_more() -> None:
    once = instrumented('<body><a href="https://s.example/">x</a></body>')
    again = instrumented(once.html)
    assert again.html == once.html
    assert (once.pixel, again.pixel) == (True, False)


def test_merge_tags_for_recipient_and_send_are_put_in_raw() -> None:
    html = instrumented(
        "<a href='https://s.example/'>x</a>", recipient_tag="%%=v(@r)=%%", instance_tag="{{ 'id' }}"
    ).html
    assert re.search(rf'<a href="{CLICK}/c/[\w-]+~{{{{ \'id\' }}}}/%%=v\(@r\)=%%">', html)
    assert re.search(rf'<img src="{OPEN}/o/[\w-]+~{{{{ \'id\' }}}}/%%=v\(@r\)=%%\.gif"', html)


@pytest.mark.parametrize("tag", ["\"'", "<x", "x>"])
def test_a_merge_tag_that_would_break_the_attribute_is_refused(tag: str) -> None:
    with pytest.raises(BadInput):
        instrumented("", recipient_tag=tag)


def test_merge_tags_whose_quotes_break_the_attribute_only_together_are_refused() -> None:
    with pytest.raises(BadInput):
        instrumented('<a href="https://s.example/">x</a>', recipient_tag="{{ 'r' }}", instance_tag='{{ "id" }}')


def test_a_campaign_of_the_wrong_form_is_refused() -> None:
    with pytest.raises(BadInput):
        instrumented("<p>no links</p>", campaign="")


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.stem)
def test_a_real_mail_is_unchanged_but_for_its_links_and_the_pixel(mail: Path) -> None:
    # given
    html = mail.read_bytes().decode()
    # when
    result = instrumented(html, utm=Utm())
    # then: putting back each address, and taking out the pixel, gives the mail again
    restored = PIXEL.sub("", result.html)
    originals = iter(re.findall(r"""<a(?:rea)?\b[^>]*?\shref=["']?(https?://[^"'\s>]+)""", outside_comments(html)))
    wanted = {link.href for link in result.links if link.tracked}
    restored = TRACKED.sub(lambda _: next(url for url in originals if url.replace("&amp;", "&") in wanted), restored)
    assert restored == html
    assert len(PIXEL.findall(result.html)) == 1


def outside_comments(html: str) -> str:
    return re.sub(r"<!--.*?-->", "", html, flags=re.DOTALL)


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.stem)
def test_a_browser_finds_no_link_of_a_real_mail_that_should_be_tracked_and_is_not(mail: Path) -> None:
    # when
    result = instrumented(mail.read_bytes().decode())
    hrefs = [a.attributes.get("href") or "" for a in LexborHTMLParser(result.html).css("a[href], area[href]")]
    # then
    left = {link.href for link in result.links if not link.tracked}
    assert len(hrefs) == len(result.links)
    for href in hrefs:
        if href.lower().startswith("http") and not TRACKED.fullmatch(href):
            assert href in left
            assert re.search(r"\{|\[\[|unsub|preferences|^https?://$", href)


@given(st.text(alphabet="<a href='https://x.example?&;\"/>!-= \n{}", max_size=60))
def test_in_any_text_only_tracked_links_and_the_pixel_change(text: str) -> None:
    # when
    result = instrumented(text)
    tracked = [link for link in result.links if link.tracked]
    # then
    assert len(TRACKED.findall(result.html)) == len(tracked)
    if not tracked:
        assert PIXEL.sub("", result.html) == text


@pytest.mark.parametrize(
    "hostile",
    ["<a ", "<a href='", '<a b="" b="', "<!--", "<", "<style>", "</body", '<a href="https://x.example/?&a', "<a/="],
)
def test_hostile_input_takes_time_in_proportion_to_its_length(hostile: str) -> None:
    # given
    html = hostile * (60_000 // len(hostile))
    # when
    best = min(seconds(html) for _ in range(5))
    # then
    assert best < 0.05


def seconds(html: str) -> float:
    start = time.perf_counter()
    instrumented(html)
    return time.perf_counter() - start
