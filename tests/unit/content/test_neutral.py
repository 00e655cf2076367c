from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.content.neutral import in_html, in_text

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


@given(st.text(), st.text())
def test_values_side_by_side_never_form_esp_syntax(one: str, other: str) -> None:
    assert not ESP_SYNTAX.search(str(in_html(one)) + str(in_html(other)))
    assert not ESP_SYNTAX.search(in_text(one) + in_text(other).replace("<", ""))


@given(st.text(alphabet="{}%[]|*$ABC012<>&'\""))
def test_html_reads_the_same_as_the_data(value: str) -> None:
    assert html.unescape(str(in_html(value))) == value
