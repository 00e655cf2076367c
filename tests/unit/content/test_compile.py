"""What becomes of an author's HTML and MJML when a block is published."""

from __future__ import annotations

import re
import socket
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.content.compile import CannotCompile, compiled
from mailtailor.content.markup import Unbalanced, hide
from tests.unit.content.blocks import render

OUTLOOK = (
    '<!--[if mso]><v:roundrect xmlns:v="urn:schemas-microsoft-com:vml" href="{{ track(offer.url) }}" arcsize="50%">\n'
    "<w:anchorlock/><center style='color:#fff'>Go&nbsp;&amp; see</center></v:roundrect><![endif]-->"
)
STYLED = (
    """<style>
.cell { padding: 4px; color: {{ inputs.accent }} }
a { color: #222222 }
@media (max-width: 480px) { .cell { display: block !important } }
@media (prefers-color-scheme: dark) { .cell { color: {{ inputs.accent }} !important } }
a:hover { color: red }
</style>
"""
    + OUTLOOK
    + """
<table role="presentation" width="100%">
{% for product in products %}
  <tr><td class="cell" style="width: 50%">{{ product.name | default("<none>") }} &pound;&nbsp;
    {% if product.price %}
    <a href="{{ track(product.url, product_id=product.id) }}&amp;x=1">{{ product.price }}</a>{% endif %}
  </td></tr>
{% endfor %}
</table>
{# a note with <b> and "quotes" #}"""
)
DATA: dict[str, Any] = {
    "products": [
        {"id": str(number), "name": f"Lantern <{number}>", "price": "£2", "url": f"https://shop.example/{number}"}
        for number in range(4)
    ],
    "offer": {"url": "https://shop.example/o"},
    "inputs": {"accent": "#9a4a1f"},
}


def test_a_template_without_style_sheet_stays_as_it_is() -> None:
    template = "<TABLE><tr><td nowrap>{% if x %}<b>{{ x }}</b>{% endif %}\r\n&nbsp;</td></TABLE>"

    assert compiled(template, "a.html.j2") == template


@pytest.mark.parametrize("piece", ["<!--", "<style>", "<link ", "<body>"])
def test_what_tags_hold_is_no_markup_and_takes_no_long_time(piece: str) -> None:
    # given
    template = f"{{{{ x | default('{piece * (60_000 // len(piece))}') }}}}{{# <link rel=stylesheet> #}}<p>x</p>"
    started = time.perf_counter()

    # then
    assert compiled(template, "a.html.j2") == template
    assert time.perf_counter() - started < 1


def test_rules_move_into_attributes_and_what_an_element_said_itself_wins() -> None:
    html = compiled("<style>p{color:red;margin:0} .a{color:blue}</style><p class=a style='margin:1px'>x</p>", "a.html")

    assert re.search(r'<p class="a" style="color: ?blue;margin: ?1px">x</p>', html.replace("; ", ";"))
    assert "<style>" not in html


def test_what_no_attribute_can_hold_stays_in_one_sheet_at_the_beginning() -> None:
    html = compiled(STYLED, "a.html.j2")

    assert html.count("<style>") == 1
    assert html.startswith("<style>@media (max-width: 480px)")
    assert "prefers-color-scheme: dark) { .cell { color: {{ inputs.accent }} !important } }" in html
    assert "a:hover" in html.partition("</style>")[0]


def test_loops_stay_around_their_rows_and_every_tag_in_its_order() -> None:
    # when
    html = compiled(STYLED, "a.html.j2")

    # then
    shown = render(html, DATA)
    assert shown.count("<tr>") == 4
    assert re.search(r"<tbody>\s*<tr>", shown)
    assert re.search(r"</tr>\s*</tbody></table>", shown)
    body = html.partition("</style>")[2]
    assert re.findall(r"\{%.*?%\}", body) == re.findall(r"\{%.*?%\}", STYLED.partition("</style>")[2])


def test_compiling_then_rendering_shows_what_rendering_then_compiling_does() -> None:
    # given
    template_first = render(compiled(STYLED, "a.html.j2"), DATA)

    # when a mail is made whole before its rules are moved, as whoever has time could do
    mail_first = compiled(render(STYLED, DATA), "a.html")

    # then
    assert _normal(template_first) == _normal(mail_first)


def _normal(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r">\s+|\s+<", lambda match: match[0].strip(), html)).replace("; ", ";").strip()


def test_what_is_for_outlook_survives_byte_for_byte() -> None:
    assert OUTLOOK in compiled(STYLED, "a.html.j2")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("<style>p{color:red}</style><table>{% if x %}text{% endif %}<tr><td>x</td></tr></table>", "text between rows"),
        (
            "<style>p{color:red}</style>{% for x in y %}<a href='b'><p>{% endfor %}<a>x</a></p></a>",
            "cut through elements",
        ),
        ("<style>p{color:red}</style><table>{% for x in y %}<td>{% endfor %}</table></tr>", "cut through elements"),
        ("<style>{% if x %}p{color:red}{% endif %}</style><p>x</p>", "a style sheet can hold values"),
        ("<style>p{color:red}</style><p>mtj0mtj</p>", "mtj0mtj"),
        ("<style>@import url(https://x.example/a.css);</style>", "cannot be fetched"),
        ("<p>x</p>\n<link rel=stylesheet href=https://x.example/a.css>", "cannot be fetched"),
        ("<style>@keyframes x { from { top: 0 } }</style><p>x</p>", "no rule for mails"),
        ("<style>p { color: red </style><p>x</p>", ""),
    ],
)
def test_what_cannot_be_compiled_is_refused_or_harmless(template: str, message: str) -> None:
    if not message:
        assert "color" in compiled(template, "a.html.j2")
        return
    with pytest.raises(CannotCompile, match=message):
        compiled(template, "a.html.j2")


def test_a_condition_may_stand_inside_a_tag() -> None:
    html = compiled("<style>p{color:red}</style><p {% if x %}title='a'{% endif %}>x</p>", "a.html")

    assert render(html, {"x": True}).split() == ["<p", 'title="a"', 'style="color:', 'red;">x</p>']
    assert "title" not in render(html, {"x": False})


def test_nothing_is_ever_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    # given a machine on which any connection is an error
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    # then
    html = compiled(
        '<style>p{background:url(https://x.example/a.png)}</style><p>x</p><img src="https://x.example/b">', "a"
    )
    assert "https://x.example/a.png" in html
    for include in ("/etc/passwd", "http://127.0.0.1:9/x.mjml", "../../block.yaml"):
        with pytest.raises(CannotCompile):
            compiled(f'<mj-include path="{include}" />', "a.mjml")


MJML = """<mj-section background-color="{{ inputs.accent }}">
  <mj-column>
    {% for product in products if product.price != "a < b" %}
    <mj-text>{{ product.name }}{% if loop.first %}, the first{% endif %}</mj-text>
    {% endfor %}
    <mj-button href="{{ track(offer.url) }}">Go</mj-button>
  </mj-column>
</mj-section>"""


def test_mjml_becomes_a_part_of_a_mail_with_its_tags_in_place() -> None:
    # when
    html = compiled(MJML, "a.mjml.j2")

    # then
    assert not re.search(r"<(html|head|body|meta|title|link)\b|#outlook|fonts\.googleapis", html)
    shown = render(html, DATA)
    assert shown.count("Lantern") == 4
    assert shown.count("the first") == 1
    assert 'bgcolor="#9a4a1f"' in shown
    assert "<!--[if mso | IE]>" in shown


@pytest.mark.parametrize(
    ("template", "message", "line"),
    [
        ("<mj-section>\n<mj-column>\n<mj-txt>x</mj-txt></mj-column></mj-section>", "did you mean 'mj-text'", 3),
        ("<mj-section><mj-column><mj-text>a < b</mj-text></mj-column></mj-section>", "write < in text as &lt;", 1),
        ("<mj-section>", "close every element", 1),
    ],
)
def test_a_mistake_in_mjml_is_told(template: str, message: str, line: int) -> None:
    with pytest.raises(CannotCompile, match=message) as refused:
        compiled(template, "a.mjml")

    assert refused.value.line == line


@pytest.mark.parametrize(
    "template",
    [
        "{{ '}}' }}{% set x = '%}' %}{{ x }}",
        "{% raw %}{{ not a tag }}{% endraw %}",
        "{# {{ x }} #}{{ y }}",
        "<!-- {{ x }} --><p title='{{ y }}'>{{ z }}</p>",
        "<!--{{ x }}-->{{ y }}",
        "{{ x",
        "<style>{{ x }}</style>",
    ],
)
def test_hiding_and_showing_changes_nothing(template: str) -> None:
    hidden = hide(template)

    assert hidden.shown(hidden.html) == template


PIECES = (
    "{{ x }}",
    "{% if x %}",
    "{% endif %}",
    "{# a #}",
    "<p>",
    "</p>",
    "<a href='",
    "'>",
    "<!--",
    "-->",
    "<td>",
    " ",
    "x",
)


@given(st.lists(st.sampled_from((*PIECES, '"', "{{", "%}", "<style>", "</style>", "é<", "<table>"))).map("".join))
def test_hiding_and_showing_gives_back_any_template_or_refuses_it(template: str) -> None:
    try:
        hidden = hide(template)
    except Unbalanced:
        return

    assert hidden.shown(hidden.html) == template


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_compiling_keeps_every_tag_and_all_text_in_order_or_refuses(template: str) -> None:
    try:
        html = compiled(f"<style>p {{ color: red }}</style>{template}", "a.html")
    except CannotCompile:
        return

    assert re.findall(r"\{[{%#].*?[}%#]\}", html) == re.findall(r"\{[{%#].*?[}%#]\}", template)
