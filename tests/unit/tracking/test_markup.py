from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from mailtailor.tracking import markup


def hrefs(html: str) -> list[str]:
    found = (
        markup.attributes(html, tag).get("href")
        for tag in markup.read(html).tags
        if (tag.name, tag.commented) == ("a", False)
    )
    return [attribute.value for attribute in found if attribute]


def hrefs_of_a_browser(html: str) -> list[str]:
    return [link.attributes.get("href") or "" for link in LexborHTMLParser(html).css("a[href]")]


@pytest.mark.parametrize(
    "html",
    [
        '<a href="x">',
        "<A HREF='x'>",
        "<a href=x>",
        "<a href=x/>",
        "<a href = \n 'x' title=it's>",
        '<a title=">" href="x">',
        '<a href="x" href="y">',
        "<a\nhref=x\tclass>",
        '<a/href="x">',
        '<a "odd" =b href="x">',
        '<a href="a&amp;b&reg=1&sect=2&copy&copy;&#38;&#x26;&quot;&#39;&notit;&eacute;">',
        f'<a href="&#{"9" * 5_000};&#x{"f" * 5_000}&#{"9" * 101}x">',
        "<a href>",
        "<a href=>",
        "<abbr href=x><a>",
        '<a href="x',
        "<a <a href=x>",
        '<!-- <a href="x"> --><a href=y>',
        "<!--><a href=y>-->",
        "<!---><a href=y>-->",
        "<!-- --!><a href=y>-->",
        "<!--[if mso]><a href=x><![endif]--><!--[if !mso]><!--><a href=y><!--<![endif]-->",
        '<script>"<a href=x>"</script><a href=y>',
        "<style><a href=x></STYLE ><a href=y>",
        "<title><a href=x></title><a href=y>",
        "<textarea><a href=x></textareas></textarea><a href=y>",
        "<!doctype html><?xml a><a href=x></a></ a href=z><a href=y>",
        "{% if a < b %}<a href=x>{% endif %}",
    ],
)
def test_links_are_those_that_a_browser_sees(html: str) -> None:
    assert hrefs(html) == hrefs_of_a_browser(html)


fragments = st.sampled_from(
    [
        "<a",
        "<a ",
        " href",
        "=",
        '"',
        "'",
        ">",
        "/",
        " ",
        "x",
        "<!--",
        "-->",
        "<p>",
        "<td",
        "</td>",
        "<v:rect",
        "<",
        "</a>",
        "&amp;",
        "&reg",
        "\n",
        "</",
        "<!",
    ]
)


@given(st.lists(fragments, max_size=25).map("".join))
def test_links_are_those_that_a_browser_sees_in_any_text(text: str) -> None:
    assert hrefs(text) == hrefs_of_a_browser(text)


def test_an_attribute_stands_where_it_says() -> None:
    html = "<p><a class=b href=\"one\" id='two' data-x=three>"
    (tag,) = [tag for tag in markup.read(html).tags if tag.name == "a"]
    found = markup.attributes(html, tag)
    assert {name: html[value.start : value.end] for name, value in found.items()} == {
        "class": "b",
        "href": '"one"',
        "id": "'two'",
        "data-x": "three",
    }


def test_tags_that_are_only_layout_are_passed_over() -> None:
    # given
    html = "<body><td><abbr><v:rect><o:p></td><area><IMG></Body><link><article></a></article></areas></v:rect>"
    # when
    names = [tag.name for tag in markup.read(html).tags]
    # then
    assert names == ["v:rect", "o:p", "area", "img", "/body", "/a", "/v:rect"]


def test_of_what_stands_between_tags_the_words_are_left() -> None:
    assert markup.text("<td\nclass='>'>a < b</td>c<b>d</b><i cla").split() == ["a", "<", "b", "c", "d"]
