"""What is said of templates before they are published: each thing with its line, once."""

from __future__ import annotations

import json
import re
import time
from importlib import resources

import pytest

from mailtailor.content.clients import Support, _table
from mailtailor.content.lint import Finding, Rules, lint


def said(
    template: str, *, tracked: bool = True, hosts: tuple[str, ...] = (), enhancements: tuple[str, ...] = ()
) -> list[Finding]:
    values = {"accent": "#777777"}
    return lint("a.html.j2", template, Rules(hosts, values, tracked=tracked, support=Support(enhancements)))


@pytest.mark.parametrize(
    ("template", "level", "message"),
    [
        ('<img src="https://x.example/a.png" width="1">', "error", "without alt"),
        ('<mj-image src="https://x.example/a.png" width="1px" />', "error", "without alt"),
        ('<img src="https://x.example/a.png" alt="">', "warning", "without width"),
        ('<img src="http://x.example/a.png" alt="" width="1">', "error", "the image is not encrypted"),
        ('<img alt="" width="1">', "error", "without src"),
        ('<img src="https://x.example/a.webp" alt="" width="1">', "warning", "webP.*Outlook \\(Windows\\)"),
        ('<a href="http://x.example">Lanterns</a>', "error", "not encrypted"),
        ('<a href="https://x.example">Lanterns</a>', "warning", "not tracked"),
        ('<a href="{{ product.url }}">Lanterns</a>', "warning", "not tracked"),
        ('<a href="javascript:alert(1)">Lanterns</a>', "error", "scheme 'javascript'"),
        ('<a href="">Lanterns</a>', "warning", "leads nowhere"),
        ('<a href="https:shop">Lanterns</a>', "error", "the link is no address"),
        ('<img src="https://[x/a.png" alt="" width="1">', "error", "the image is no address"),
        ('<a href="{{ track(offer.url) }}">Click here</a>', "warning", "'click here'"),
        ('<a href="{{ track(offer.url) }}"> </a>', "error", "says nothing"),
        ("<table><tr><td>x</td></tr></table>", "warning", "presentation"),
        ("<script>x</script>", "error", "no mail client runs it"),
        ('<p onclick="x">x</p>', "error", "onclick"),
        ("<p title='x>x</p>", "error", "never ends"),
        ("<b>" * 101, "error", "more than 100 elements"),
        ("<html>x</html>", "error", "part of a mail"),
        ('<p style="color:#aaaaaa">x</p>', "warning", "contrast of 2.3"),
        ('<td bgcolor="#222"><p style="color:#444">x</p></td>', "warning", "#444 on #222"),
        ('<p style="color:{{ inputs.accent }}">x</p>', "warning", "#777777 on #ffffff"),
        ('<p style="font-size:10px">x</p>', "warning", "10 pixels"),
        ('<div style="display:flex">x</div>', "warning", "display:flex: not in Outlook \\(Windows\\)"),
        ("<style>.a{display:grid}</style>", "warning", "grid: not in Outlook"),
        ("<style>" + "a{b:c}" * 2_000 + "</style>", "error", "Gmail drops"),
        ('<p style="border-radius:2px">x</p>', "note", "plainer in Outlook \\(Windows\\) no border-radius"),
        ("<video></video>", "warning", "<video>.*Gmail"),
    ],
)
def test_what_somebody_stumbles_over_is_told_with_its_line(template: str, level: str, message: str) -> None:
    # when
    found = said(f"\n{{# a note\nof two lines #}}\n{template}")

    # then
    matching = [one for one in found if one.level == level and re.search(message, one.message)]
    assert [(one.file, one.line) for one in matching] == [("a.html.j2", 4)], found


@pytest.mark.parametrize(
    "template",
    [
        '<a href="{{ track(offer.url) }}">The spring offer</a>',
        '{% set href = track(offer.url) %}<a href="{{ href }}">The spring offer</a>',
        '<a href="mailto:shop@x.example">Write to us</a>',
        '<a href="%%unsub_center_url%%">Unsubscribe</a>',
        '<a href="{{ track(offer.url) }}"><img src="{{ product.image_url }}" alt="Lantern" width="280"></a>',
        '<p style="color:#767676;font-size:14px">x</p>',
        '<p style="font-size:26px;color:#888888">Large</p>',
        '<table role="presentation"><tr><td>x</td></tr></table>',
        '<!--[if mso]><table><tr><td><img src="http://x.example"><![endif]-->',
        "{% if a < 3 %}<p>{{ a > 2 }}</p>{% endif %}",
    ],
)
def test_what_is_in_order_is_not_talked_about(template: str) -> None:
    assert said(template) == []


def test_what_is_shown_as_it_stands_cannot_be_tracked() -> None:
    assert said('<a href="https://shop.example">The shop</a>', tracked=False) == []


@pytest.mark.parametrize("host", ["shop.example", "www.shop.example"])
def test_addresses_may_name_the_hosts_of_the_block(host: str) -> None:
    template = f'<img src="https://{host}/a.png" alt="" width="1">'

    assert said(template, hosts=("shop.example",)) == []
    assert [one.level for one in said(template, hosts=("other.example",))] == ["error"]


def test_a_thing_is_told_once_a_file_at_its_first_line() -> None:
    found = said('\n<p style="display:flex">x</p>' * 50)

    assert [(one.line, one.message) for one in found] == [(2, "display:flex: not in Outlook (Windows)")]


def test_errors_come_first() -> None:
    levels = [one.level for one in said('<p style="border-radius:1px;display:flex"><img></p>')]

    assert levels == sorted(levels, key=["error", "warning", "note"].index)


def test_what_the_author_does_without_is_not_told() -> None:
    assert said("<style>i:checked{top:0}</style>", enhancements=("css-pseudo-class-checked",)) != []
    assert not any(
        "checked" in one.message
        for one in said("<style>i:checked{x:0}</style>", enhancements=("css-pseudo-class-checked",))
    )


@pytest.mark.parametrize(
    "piece",
    ["<a ", "<p style='", "{{", "{%", "<!--", "<style>", "</a>", "<table>", "{# ", "<b>x", "<a '\"", "</1", "<?"],
)
def test_hostile_markup_takes_no_long_time(piece: str) -> None:
    started = time.perf_counter()

    said(piece * (60_000 // len(piece)))

    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("piece", ["a", "a ", "a:", "a:b ", "a:b;", "{", "-"])
def test_a_hostile_style_sheet_takes_no_long_time(piece: str) -> None:
    started = time.perf_counter()

    said(f"<style>{piece * (60_000 // len(piece))}</style>")

    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("declaration", ["<![x]>", "<![>", "<!x [<![]>", "<!doctype [>"])
def test_a_declaration_that_no_parser_knows_stops_nothing_but_the_block(declaration: str) -> None:
    # Which of them are errors is another matter in each version of Python.
    assert {one.level for one in said(f"<p>x</p>{declaration}")} <= {"error"}


def test_the_table_of_clients_names_its_source() -> None:
    table = json.loads(resources.files("mailtailor.content").joinpath("client_support.json").read_text("utf-8"))

    assert "MIT" in table["credit"]
    assert len(_table()) > 200
