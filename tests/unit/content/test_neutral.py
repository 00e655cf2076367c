from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateSyntaxError
from liquid import Environment, Mode

from mailtailor.content.html_text import text_of
from mailtailor.content.neutral import in_html, in_text
from tests.unit.content.blocks import render, render_text
from tests.unit.esp.snippets import ampscript, handlebars

ESP_SYNTAX = re.compile(r"%%|\{\{|\}\}|\{%|%\}|\{#|\*\||\|\*|\[\[|\]\]|\$\{|<%|%>|\[")


@pytest.mark.parametrize(
    "name",
    [
        "{{secret}}",
        "%%=Lookup('x','y')=%%",
        "%%[ SET @a = 1 ]%%",
        "*|EMAIL|*",
        "[[email]]",
        "${x}",
        "<%= x %>",
        "%%%41%%",
    ],
)
def test_no_esp_finds_its_language_in_a_customers_name(name: str) -> None:
    # when
    neutral = str(in_html(name))

    # then it reads the same to people, and says nothing to the ESP
    assert html.unescape(neutral) == name
    assert not ESP_SYNTAX.search(neutral)


def test_markup_in_data_is_shown_and_not_run() -> None:
    assert in_html("<script>alert('x')</script>") == "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"


def test_a_percent_encoded_url_stays_one_that_an_esp_can_rewrite() -> None:
    assert in_html("https://shop.example/a%20b?c=d") == "https://shop.example/a%20b?c=d"


def test_control_characters_vanish() -> None:
    assert in_html("A\x00n\x07na\x7f") == "Anna"
    assert in_text("A\x00nna") == "Anna"
    assert "<%" not in in_text("<\x00%41")


def test_a_texts_own_entity_is_its_words() -> None:
    assert in_text("AT&amp;T &lt;") == "AT&amp;T &lt;"


@given(st.text(), st.text())
def test_values_side_by_side_never_form_esp_syntax(one: str, other: str) -> None:
    assert not ESP_SYNTAX.search(str(in_html(one)) + str(in_html(other)))
    assert not ESP_SYNTAX.search(in_text(one) + in_text(other).replace("<", ""))


@given(st.text(alphabet="{}%[]|*$ABC012<>&'\""))
def test_html_reads_the_same_as_the_data(value: str) -> None:
    assert html.unescape(str(in_html(value))) == value


NAMES = [
    "{{secret}}",
    "{{{secret}}}",
    "{% abort_message() %}",
    "%%secret%%",
    "%%=v(@secret)=%%",
    "%%[set @a = 1]%%",
    "*|SECRET|*",
    "[[secret]]",
    "${secret}",
    "<%= secret %>",
    "%addr",
    "%41%%42",
    "\x00%41",
]
PLACES = "100%{{ x }} and %% {{ x }}{{ x }} 5%{{ x }}{{ y }}%{{ x }}<b></b>{{ x }} &#x25;{{ x }}"
LINKS = '<a title="{{ x }}" href="https://shop.example/?q={{ x | urlencode }}&amp;z=%{{ x }}{{ x }}">{{ x }}</a>'


def evaluated(mail: str) -> str:
    """Return a mail as an ESP of each kind would send it, and fail if AMPscript finds code."""
    assert {token.kind for token in ampscript.tokens(mail.replace("and %%", ""))} == {"text"}
    liquid = Environment(tolerance=Mode.STRICT).from_string(mail).render(secret="S3CRET")
    return handlebars.render(liquid, {"secret": "S3CRET"})


@pytest.mark.parametrize("name", NAMES)
def test_no_esp_evaluates_a_name_wherever_it_is_printed(name: str) -> None:
    # given
    data = {"x": name, "y": ""}

    # when
    html, text = render(PLACES + LINKS, data), render_text(PLACES, data)

    # then
    for mail in (html, text, text_of(html)):
        assert evaluated(mail) == mail


def test_the_readers_would_find_what_is_not_neutral() -> None:
    assert evaluated("{{ secret }}") == "S3CRET"
    with pytest.raises(ampscript.BadScript):
        evaluated("100%%addr and %%")


def test_a_url_that_is_printed_in_pieces_keeps_its_percent_signs() -> None:
    # when
    links = "{{ base }}?q={{ name | urlencode }}&p={{ page | urlencode }}/{{ path }}"
    data = {"base": "https://shop.example/a%20b", "name": "\u00dcnal", "page": "/x", "path": "%C3%9Cber"}

    # then
    url = "https://shop.example/a%20b?q=%C3%9Cnal&p=%2Fx/%C3%9Cber"
    assert render_text(links, data) == url
    assert html.unescape(render(links, data)) == url


def test_a_brace_of_the_template_that_a_value_could_complete_is_refused() -> None:
    with pytest.raises(TemplateSyntaxError, match="a single"):
        render("{ {%- if true %}{{ x }}{% endif %}", {"x": "#"})


PIECES = ["%", "100%", "[", "*", "|", "%4", "%41", " ", "q=", "</b>", "}", "]", "#", "% off"]
VALUES = st.text(alphabet="{}%[]|*$<>=#AB41x\x00\x7f ", max_size=6)


MAILS = st.lists(st.tuples(st.sampled_from(PIECES), VALUES), min_size=1, max_size=6)
OPENERS = re.compile(r"%%|\{\{|\{%|\{#|\*\||\[\[|<%")
"""What closes tags is the author's business, who puts a value inside of one."""


@given(MAILS)
def test_what_a_mail_says_to_an_esp_is_what_its_template_says(pieces: list[tuple[str, str]]) -> None:
    # given
    template = "".join(
        f"{{% raw %}}{piece}{{% endraw %}}{{{{ v{number} }}}}" for number, (piece, _) in enumerate(pieces)
    )
    values = {f"v{number}": value for number, (_, value) in enumerate(pieces)}
    harmless = {name: "q" if in_text(value) else "" for name, value in values.items()}

    # then
    for form in (render, render_text, lambda *given: text_of(render(*given))):
        assert OPENERS.findall(form(template, values)) == OPENERS.findall(form(template, harmless))
