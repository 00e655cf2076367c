from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.tracking.merge_tags import MARK, balance, collapsed, masked, runs


@pytest.mark.parametrize(
    "tag",
    [
        "%%First Name%%",
        '%%=v("x")=%%',
        '%%=Concat("<b>", @name, "</b>")=%%',
        "%%[ SET @a = '<a href=\"x\">' IF @a > 1 THEN ]%%",
        "{{ name }}",
        '{{ name | default: "you" }}',
        "{{{raw}}}",
        "{{${first_name}}}",
        "{{custom_attribute.${size} | default: 'M'}}",
        "{% if a < b %}",
        "{%- endif -%}",
        "{# a note #}",
        "*|FNAME|*",
        "*|IF:AGE > 20|*",
        '[[data:name:"you"]]',
        "<%= name %>",
    ],
)
def test_a_merge_tag_is_replaced_by_as_many_inert_characters(tag: str) -> None:
    assert masked(f"<p>a{tag}b</p>") == f"<p>a{MARK * len(tag)}b</p>"


@pytest.mark.parametrize(
    "text",
    [
        "width:100%%; height:50%%",
        "@media screen{.a{color:red}}",
        "{{ unclosed",
        "}} {{",
        "%%[ unclosed",
        "100%% of 50%",
        '{{ <a href="x">y</a> }}',
        '{% <a href="x">y</a> %}',
        '[[ <a href="x">y</a> ]]',
        "*| a\nb |*",
        "[[a]" + "x" * 400 + "]]",
        "<!--[if mso]><td><![endif]-->",
        "<![CDATA[ x ]]>",
    ],
)
def test_what_only_looks_like_a_merge_tag_stays(text: str) -> None:
    assert masked(text) == text


def test_of_several_openers_the_last_one_belongs_to_the_tag() -> None:
    assert masked("{{ a {{ b }}") == "{{ a " + MARK * 7


def test_tags_between_tags_are_told_apart() -> None:
    # given
    text = "?a=%%x%%&b=%%=v(@y)=%%z%%w%%{{v}}&c=d"
    hidden = masked(text)
    # then
    assert runs(text, hidden, 0, len(text)) == ("%%x%%", "%%=v(@y)=%%", "%%w%%{{v}}")
    assert collapsed(hidden) == f"?a={MARK}&b={MARK}z{MARK}&c=d"


@given(st.text(alphabet="{}%=[]*|#<>\"'a \n\x00", max_size=60))
def test_offsets_stay_and_what_is_no_tag_does_too(text: str) -> None:
    hidden = masked(text)
    assert len(hidden) == len(text)
    assert all(there in {MARK, "\ufffd" if here == MARK else here} for here, there in zip(text, hidden, strict=True))


@pytest.mark.parametrize(
    "closed",
    [
        "a{{ x }}b",
        "{% if a %}1{% elsif b %}2{% else %}3{% endif %}",
        "{% for a in b %}{% if a %}1{% endif %}{% endfor %}",
        "{% assign a = 1 %}",
        "{{#if a}}1{{else}}2{{/if}}{{^b}}3{{/b}}",
        "*|IF:A|*1*|ELSE:|*2*|END:IF|*",
        "%%[ IF @a THEN ]%%1%%[ ELSE ]%%2%%[ ENDIF ]%%",
        "%%[ FOR @i = 1 TO 3 DO ]%%1%%[ NEXT @i ]%%",
        '%%[ SET @a = "if" ]%%',
        "<%= a %>",
    ],
)
def test_conditions_and_loops_that_end_where_they_began_are_balanced(closed: str) -> None:
    assert balance(closed).kept


@pytest.mark.parametrize(
    ("text", "stray", "left_open"),
    [
        ("1{% if a %}2", None, True),
        ("1{% endif %}", 1, False),
        ("{% if a %}{% endif %}{% else %}", 21, False),
        ("{{#if a}}", None, True),
        ("a{{/if}}", 1, False),
        ("*|IF:A|*", None, True),
        ("*|END:IF|*", 0, False),
        ("%%[ if @a then ]%%", None, True),
        ("<% if (a) { %>", None, True),
    ],
)
def test_conditions_and_loops_that_are_cut_off_are_not(text: str, stray: int | None, left_open: bool) -> None:
    assert (balance(text).stray, balance(text).left_open) == (stray, left_open)
