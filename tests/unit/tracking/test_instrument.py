from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from mailtailor.errors import BadInput
from mailtailor.tracking import markup
from mailtailor.tracking.destination import SLOT
from mailtailor.tracking.instrument import RECIPIENT_TAG, Instrumented, Mailing, Utm, instrument, instrument_text
from mailtailor.tracking.merge_tags import MARK, masked
from mailtailor.tracking.tokens import Keyring, LinkToken, MailingToken, read_link, read_mailing

KEYRING = Keyring.from_secret({"active": "k1", "k1": "a secret key of the tests, long enough"})
OPEN, CLICK, NOW = "https://open.example", "https://click.example", 1_764_000_000_000
MAILS = sorted((Path(__file__).parent / "mails").glob("*.html"))
TRACKED = re.compile(rf"{CLICK}/c/([A-Za-z0-9_-]+)/{re.escape(RECIPIENT_TAG)}")
PIXEL = re.compile(rf'<img src="{OPEN}/o/([A-Za-z0-9_-]+)/{re.escape(RECIPIENT_TAG)}\.gif"[^>]*>')


def mailing(**options: Any) -> Mailing:
    chosen: dict[str, Any] = {"campaign": "spring", "utm": None, **options}
    return Mailing(keyring=KEYRING, open_url=OPEN, click_url=CLICK, now=NOW, **chosen)


def instrumented(html: str, **options: Any) -> Instrumented:
    return instrument(html, mailing(**options))


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
        ('"ht\ntps:\r\n//s.exa\tmple/a"', "https://s.example/a"),
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
        ('href="/relative"', "a relative address"),
        ('href="javascript:alert(1)"', "not a web address"),
        ('href="cid:1"', "not a web address"),
        ('data-mailtailor="off" href="https://s.example/"', "marked data-mailtailor=off"),
        ('href="https://s.example/unsubscribe?u=1"', "unsubscribe or preference link"),
        ('href="https://s.example/email-preferences"', "unsubscribe or preference link"),
        ('href="https://s.example/opt-out"', "unsubscribe or preference link"),
        ('href="https://s.example/unsub\r\nscribe"', "unsubscribe or preference link"),
        ('href="https://click.example/c/a/b"', "tracked already"),
        ('href="{{ url }}"', "the whole address is a merge tag"),
        ('href="%%=RedirectTo(@url)=%%"', "the whole address is a merge tag"),
        ('href="%%=Concat("https://s.example/", @p)=%%"', "the whole address is a merge tag"),
        ('href="{{ base }}/a"', "begins with a merge tag"),
        ('href="http{{ s }}://s.example/"', "begins with a merge tag"),
        ('href="https://{{ shop }}.example/"', "a merge tag in the host"),
        ('href="https://s.example/*|ID|*"', "a merge tag in the path"),
        ('href="https://s.example/[[id]]?a=b"', "a merge tag in the path"),
        ('href="https://s.example/?a=b#<%= id %>"', "a merge tag in the fragment"),
        ('href="https://s.example/?{{ query }}"', "a merge tag in the name of a parameter"),
        ('href="https://s.example/?a=1{% if x %}&b=2{% endif %}"', "a condition or loop"),
        ('href="https://s.example/?a=*|IF:X|*1&b=*|END:IF|*2"', "a condition or loop"),
        ('href="https://s.example/?a={{#if x}}1&b={{/if}}2"', "a condition or loop"),
        ('href="https://s.example/?a=%%[ IF @x THEN ]%%1"', "a condition or loop"),
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


def test_merge_tags_in_values_of_the_query_become_slots_that_the_click_fills() -> None:
    # given
    href = 'https://s.example/?a=b&amp;u=pre-{{ "x" }}%%y%%-&quot;p&amp;e=%%=v("e")=%%#top'
    # when
    html = instrumented(f'<a href="{href}">x</a>').html
    # then
    (token,) = TRACKED.findall(html)
    assert read_link(KEYRING, token).url == f"https://s.example/?a=b&u={SLOT}&e={SLOT}#top"
    wanted = '?s1=pre-{{ "x" }}%%y%%-&quot;p&amp;s2=%%=v("e")=%%'
    assert f"{RECIPIENT_TAG}{wanted}'" in html


def test_the_report_shows_merge_tags_where_the_author_wrote_them() -> None:
    (link,) = instrumented('<a href="https://s.example/?u={{ x }}&amp;v=1">x</a>', utm=Utm()).links
    assert link.href == "https://s.example/?u={{ x }}&v=1"
    assert link.destination.startswith("https://s.example/?u={{ x }}&v=1&utm_source=mailtailor&")


def test_conditions_that_end_in_the_value_they_began_in_are_merged_as_a_whole() -> None:
    html = instrumented('<a href="https://s.example/?u={% if a < b %}1{% else %}2{% endif %}">x</a>').html
    assert "?s1={% if a < b %}1{% else %}2{% endif %}" in html


def test_both_addresses_are_tracked_if_the_esp_chooses_between_them() -> None:
    # when
    result = instrumented(
        '<a {% if x %}href="https://a.example/"{% else %}href="https://b.example/"{% endif %} class="c">x</a>'
    )
    # then
    assert [link.destination for link in result.links] == ["https://a.example/", "https://b.example/"]
    assert re.fullmatch(
        r"<a \{% if x %}href=\S+ \S+ }}\"{% else %}href=\S+ \S+ }}\"{% endif %} class=\"c\">x</a>",
        PIXEL.sub("", result.html),
    )


def test_without_merge_tags_the_first_of_two_addresses_counts_as_in_browsers() -> None:
    result = instrumented('<a href="https://a.example/" href="https://b.example/">x</a>')
    assert [link.href for link in result.links] == ["https://a.example/"]


def test_links_in_code_stay_alone() -> None:
    html = "%%[ SET @a = '<a href=\"https://s.example/\">x</a>' ]%%"
    assert instrumented(html).links == ()


@pytest.mark.parametrize(
    ("html", "kinds"),
    [
        ('<!--[if mso]><v:roundrect xmlns:v="x" href="https://s.example/"><![endif]-->', ["v:roundrect"]),
        (
            '<!--[if gte mso 9]><v:rect HREF=https://s.example/><a href="https://s.example/b">x</a><![endif]-->',
            ["v:rect", "a"],
        ),
        ('<!--[if !mso]><!--><a href="https://s.example/">x</a><!--<![endif]-->', ["a"]),
        ('<![if !mso]><a href="https://s.example/">x</a><![endif]>', ["a"]),
        ('<!-- <a href="https://s.example/">x</a> -->', []),
        ('<!-- [if mso]><a href="https://s.example/">x</a><![endif]-->', []),
    ],
)
def test_links_that_only_outlook_sees_are_tracked(html: str, kinds: list[str]) -> None:
    assert [link.kind for link in instrumented(html).links if link.tracked] == kinds


@pytest.mark.parametrize(
    ("html", "around"),
    [
        ("a</body><!--[if mso]></body><![endif]-->", "a{}</body><!--[if mso]></body><![endif]-->"),
        ("a<!--[if mso]></body><![endif]-->b", "a<!--[if mso]></body><![endif]-->b{}"),
        ("a<!-- never closed", "a{}<!-- never closed"),
        ("a<!--[if mso]> never closed", "a{}<!--[if mso]> never closed"),
        ("a<style>b", "a{}<style>b"),
        ("a<p class='", "a{}<p class='"),
    ],
)
def test_the_pixel_never_lands_where_it_would_not_be_loaded(html: str, around: str) -> None:
    result = instrumented(html).html
    (pixel,) = [match[0] for match in PIXEL.finditer(result)]
    assert result == around.format(pixel)


@pytest.mark.parametrize(
    "content",
    [
        "Unsubscribe",
        "<b>Ab</b>melden?  <span>Newsletter\n abbestellen</span>",
        "d&eacute;sinscription",
        '<img src="x" alt="Unsubscribe">',
    ],
)
def test_a_link_that_people_read_as_unsubscribing_is_left(content: str) -> None:
    (link,) = instrumented(f'<a href="https://s.example/x">{content}</a> <p>y</p>').links
    assert link.reason == "unsubscribe or preference link"


def test_the_text_after_a_link_is_not_its_own() -> None:
    (link,) = instrumented('<a href="https://s.example/x">Shop</a> or unsubscribe').links
    assert link.tracked


def test_a_link_of_ours_on_another_host_is_tracked_already() -> None:
    # given
    html = instrumented('<a href="https://s.example/">x</a>').html.replace(CLICK, "https://old.example")
    # when
    result = instrumented(html)
    # then
    assert [link.reason for link in result.links] == ["tracked already"]


def test_a_link_of_ours_that_an_editor_has_broken_into_lines_is_tracked_already() -> None:
    # given
    html = instrumented('<a href="https://s.example/">x</a>').html.replace(f"{CLICK}/c/AQ", f"{CLICK}/\nc/A\r\nQ")
    # when
    result = instrumented(html)
    # then
    assert [link.reason for link in result.links] == ["tracked already"]


def test_a_foreign_address_of_the_same_form_is_not_taken_for_ours() -> None:
    assert instrumented('<a href="https://s.example/c/sofas/red">x</a>').links[0].tracked


def test_campaign_parameters_can_be_chosen_for_the_campaign_and_the_link() -> None:
    # given
    utm = Utm({"utm_id": "7", "utm_source": "", "utm_term": "{{ segment }}"})
    html = '<a data-utm-content="hero" data-utm-source-platform="crm" href="https://s.example/">x</a>'
    # when
    result = instrumented(html, utm=utm)
    # then
    assert parse_qsl(urlsplit(result.links[0].destination).query) == [
        ("utm_medium", "email"),
        ("utm_campaign", "spring"),
        ("utm_content", "hero"),
        ("utm_id", "7"),
        ("utm_term", "{{ segment }}"),
        ("utm_source_platform", "crm"),
    ]
    assert "?s1={{ segment }}" in result.html


def test_a_link_can_do_without_campaign_parameters() -> None:
    assert signed('<a data-utm="off" href="https://s.example/">x</a>', utm=Utm()).url == "https://s.example/"


def test_a_campaign_parameter_of_another_form_is_refused() -> None:
    with pytest.raises(BadInput, match="utm_"):
        Utm({"source": "x"})


def test_the_honeypot_is_a_link_at_position_0_that_nobody_sees() -> None:
    # when
    once = instrumented("<body>x</body>", honeypot_url="https://s.example/trap")
    again = instrumented(once.html, honeypot_url="https://s.example/trap")
    # then
    (token,) = TRACKED.findall(once.html)
    assert read_link(KEYRING, token) == LinkToken("https://s.example/trap", "spring", 0, NOW)
    assert re.search(
        r'<body>x<a href="[^"]+" style="display:none" aria-hidden="true" tabindex="-1"></a><img [^>]+></body>',
        once.html,
    )
    assert (again.html, once.links, again.links) == (once.html, (), ())


def test_instrumenting_twice_changes_nothing_with_slots_and_for_outlook() -> None:
    once = instrumented(
        '<a href="https://s.example/?u={{ x }}">x</a><!--[if mso]><v:rect href="https://s.example/"><![endif]-->'
    )
    assert instrumented(once.html).html == once.html


def test_what_may_go_wrong_is_said() -> None:
    # given
    links = '<a href="https://s.example/?{}">x</a><a href="shop.html">y</a><a href="{{{{ z }}}}">z</a>'
    # when
    warnings = instrumented(links.format("x" * 1700) + "x" * 120_000).warnings
    # then
    assert [warning.split(";")[0] for warning in warnings] == [
        "The mail is 120 KB",
        "Tracked addresses longer than 2,000 characters: 1",
        "Relative addresses lead nowhere from a mail: 1.",
        "Links not tracked because merge tags stand elsewhere than in values of their query: 1.",
    ]


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


@pytest.mark.parametrize("tag", ["""{{ "'" }}""", "{{ '<b>' }}", """%%=v("'><script>")=%%""", """[["' onload=x]]"""])
def test_merge_tags_of_campaign_and_its_parameters_cannot_end_the_attribute_they_stand_in(tag: str) -> None:
    for options in ({"campaign": tag, "utm": Utm()}, {"utm": Utm({"utm_term": f"x{tag}"})}):
        with pytest.raises(BadInput, match="one kind of quotes"):
            mailing(**options)
    # then without campaign parameters the campaign stands in the token alone
    assert instrumented("", campaign=tag).pixel


def test_a_campaign_of_the_wrong_form_is_refused() -> None:
    with pytest.raises(BadInput):
        instrumented("<p>no links</p>", campaign="")


def undone(html: str, result: Instrumented) -> str:
    """Return an instrumented mail with each rewritten address put back and the pixel taken out."""
    written, now = hrefs(html), hrefs(result.html)
    pieces, position = [], 0
    for (start, end), (now_start, now_end), link in zip(written, now, result.links, strict=True):
        pieces.append(result.html[position:now_start])
        pieces.append(html[start:end] if link.tracked else result.html[now_start:now_end])
        position = now_end
    return PIXEL.sub("", "".join(pieces) + result.html[position:], count=1)


def hrefs(html: str) -> list[tuple[int, int]]:
    hidden = masked(html)
    return [
        (attribute.start, attribute.end)
        for tag in markup.read(hidden).tags
        if tag.name in {"a", "area"} or tag.name.startswith(("v:", "o:", "w:"))
        for name, attribute in [*markup.all_attributes(hidden, tag)]
        if name == "href" and (MARK in hidden[tag.start : attribute.start] or attribute == first_href(hidden, tag))
    ]


def first_href(hidden: str, tag: markup.Tag) -> markup.Attribute:
    return markup.attributes(hidden, tag)["href"]


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.stem)
def test_a_real_mail_is_unchanged_but_for_its_links_and_the_pixel(mail: Path) -> None:
    # given
    html = mail.read_bytes().decode()
    # when
    result = instrumented(html, utm=Utm())
    # then
    assert undone(html, result) == html
    assert len(PIXEL.findall(result.html)) == 1
    assert instrumented(result.html, utm=Utm()).html == result.html


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.stem)
def test_a_browser_and_outlook_find_no_link_of_a_real_mail_that_should_be_tracked_and_is_not(mail: Path) -> None:
    # when
    result = instrumented(mail.read_bytes().decode())
    seen = [result.html, *re.findall(r"<!--\[if[^\]]*\]>(.*?)-->", result.html, re.DOTALL)]
    found = [
        link.attributes.get("href") or ""
        for html in seen
        for link in LexborHTMLParser(html).css("[href]")
        if link.tag in {"a", "area"} or ":" in (link.tag or "")
    ]
    # then
    left = {link.href: link.reason for link in result.links if not link.tracked}
    for href in found:
        if re.match("https?:", href, re.IGNORECASE) and not href.startswith(f"{CLICK}/c/"):
            assert re.search(r"unsubscribe or preference|no valid host", left[href])
    assert sum(href.startswith(f"{CLICK}/c/") for href in found) == sum(link.tracked for link in result.links)


def test_of_a_real_mail_only_links_for_unsubscribing_and_empty_ones_are_left_among_web_addresses() -> None:
    links = [link for mail in MAILS for link in instrumented(mail.read_bytes().decode()).links]
    reasons = {link.reason for link in links if link.href.startswith("http") and not link.tracked}
    assert reasons == {"unsubscribe or preference link", "The link's destination has no valid host."}
    assert any(link.tracked and link.kind.startswith("v:") for link in links)


fragments = st.sampled_from(
    [
        *("<a", "<area ", "<v:rect ", " href", "=", '"', "'", ">", "/", " ", "x", "</a>", "</body>", "\n", "\0"),
        *("https://x.example", "?a=", "&amp;b=", "#c", "<!--", "<!--[if mso]>", "<![endif]-->", "-->", "<style>"),
        *("{{", "}}", "{{ y }}", "{% if a < b %}", "{% endif %}", "%%[", "]%%", "%%z%%", "*|A|*", "[[", "]]"),
    ]
)


@given(st.lists(fragments, max_size=25).map("".join))
def test_in_any_text_only_tracked_links_and_the_pixel_change(text: str) -> None:
    # when
    result = instrumented(text)
    # then
    assert undone(text, result) == text
    assert len(re.findall(f"{CLICK}/c/", result.html)) == sum(link.tracked for link in result.links)
    assert instrumented(result.html).html == result.html


@given(st.lists(fragments, max_size=25).map("".join))
def test_in_any_text_part_only_tracked_addresses_change(text: str) -> None:
    # when
    result = instrument_text(text, mailing())
    # then
    restored = re.sub(rf"{CLICK}/c/[\w-]+/{re.escape(RECIPIENT_TAG)}(\?s1=)?", "", result.text)
    assert (restored == text) or any(link.tracked for link in result.links)
    assert instrument_text(result.text, mailing()).text == result.text


@pytest.mark.parametrize(
    "hostile",
    [
        *(
            "<a ",
            "<a href='",
            '<a b="" b="',
            "<!--",
            "<",
            "<style>",
            "</body",
            '<a href="https://x.example/?&a',
            "<a/=",
        ),
        *(
            "{{",
            "{%",
            "{#",
            "%%[",
            "%%=",
            "%%a",
            "*|",
            "[[",
            "<%",
            "{{<a",
            '{{ "',
            "{%>>%}",
            "<!--[if",
            "<!--[if mso]>",
        ),
        *('<a href="{{', "<a {{x}}href=y ", "%%[ if ", "<a href={{x}} ", "(", "https://", "]%%", "*|IF:"),
    ],
)
def test_hostile_input_takes_time_in_proportion_to_its_length(hostile: str) -> None:
    # given
    html = hostile * (60_000 // len(hostile))
    text = f"https://x.example/?a={html}"
    # when
    best = min(seconds(lambda: instrumented(html)) for _ in range(5))
    best_of_text = min(seconds(lambda: instrument_text(text, mailing())) for _ in range(5))
    # then
    assert best < 0.05
    # Here some of them are two thousand addresses, each of them signed.
    assert best_of_text < 0.4


@pytest.mark.parametrize(
    "behind",
    [
        # what stands in a link is read for words
        f"><img {'a ' * 15_000}>",
        " ".join(f"a{number}" for number in range(5_000)) + ">",
        " ".join(f"data-utm-a{number}=b" for number in range(2_000)) + ">",
        f"data-utm-term='{'{{x}}' * 6_000}'>",
    ],
)
def test_many_addresses_of_one_tag_do_not_multiply_what_stands_behind_them(behind: str) -> None:
    # given a tag of which only the ESP knows which of its addresses will stay
    html = f"<a {{{{x}}}} {'href=https://x.example/unsubscribe ' * 2_000}{behind}"
    # then
    assert min(seconds(lambda: instrumented(html)) for _ in range(5)) < 0.5


def test_a_link_has_so_many_campaign_parameters_of_its_own() -> None:
    # given
    many = " ".join(f"data-utm-a{number}=b" for number in range(30))
    # then
    assert signed(f'<a href="https://x.example/" {many} data-utm-z="c">').url.count("utm_") == 20
    assert signed(f'<a href="https://x.example/" data-utm-z="{"c" * 501}">').url == "https://x.example/"


def test_an_address_with_a_number_that_no_character_has_is_still_an_address() -> None:
    assert signed(f'<a href="https://x.example/?a=&#{"1" * 5_000};b">').url == "https://x.example/?a=\ufffdb"


def seconds(run: Callable[[], object]) -> float:
    # Of the processor, for other tests run beside this one.
    start = time.process_time()
    run()
    return time.process_time() - start
