from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from jinja2 import UndefinedError

from mailtailor.content.render import Format, Renderer, plain
from mailtailor.content.sandbox import Exhausted
from tests.unit.content.blocks import block, render, render_text, untracked


def test_data_is_escaped_and_neutralized_while_the_authors_text_stays() -> None:
    # given a name that is markup and ESP syntax, in a template that speaks to the ESP itself
    data = {"recipient": {"first_name": "<b>{{secret}}</b>"}}

    # when
    shown = render("<p>%%FirstName%% {{ recipient.first_name }}</p>", data)

    # then
    assert shown == "<p>%%FirstName%% &lt;b&gt;&#123;&#123;secret&#125;&#125;&lt;/b&gt;</p>"


def test_what_a_macro_made_of_data_is_escaped_once() -> None:
    shown = render(
        '{% from "pieces" import bold %}{{ bold(recipient.first_name) }}',
        {"recipient": {"first_name": "A&B {"}},
        pieces="{% macro bold(text) %}<b>{{ text }}</b>{% endmacro %}",
    )

    assert shown == "<b>A&amp;B &#123;</b>"


def test_what_a_macro_says_to_the_esp_stays_in_plain_text_too() -> None:
    template = "{% macro greeting(name) %}[{{ name }}] *|UNSUB|*{% endmacro %}{{ greeting(name) }}"

    assert render_text(template, {"name": "[Anna]"}) == "[\uff3bAnna\uff3d] *|UNSUB|*"


def test_what_a_part_sets_is_made_anew_for_each_recipient() -> None:
    # given a part that makes a link before any of its macros does
    link = '{% set href = track("https://shop.example/") %}{% macro button() %}{{ href }}{% endmacro %}'
    made = block('{% from "pieces" import button %}{{ button() }}', parts={"pieces": link})
    renderer = Renderer(made)

    def shown(to: str) -> str:
        return renderer.render(made.variants[0], Format.HTML, {}, lambda url, **_: f"{url}{to}")

    # then
    assert (shown("anna"), shown("ben")) == ("https://shop.example/anna", "https://shop.example/ben")


def test_plain_text_is_not_escaped_but_neutralized() -> None:
    assert (
        render_text("Hello {{ recipient.name }}", {"recipient": {"name": "Tom & {{x}}"}})
        == "Hello Tom & \uff5b\uff5bx\uff5d\uff5d"
    )


def test_links_go_through_the_tracking_given() -> None:
    shown = render('<a href="{{ track("https://shop.example/1", product_id="7", category="Home") }}">x</a>')

    assert shown == '<a href="https://shop.example/1#7Home">x</a>'


def test_a_missing_value_fails_the_variant_unless_the_template_says_what_to_show() -> None:
    assert render("{{ recipient.name | default('there') }}", {"recipient": {}}) == "there"
    with pytest.raises(UndefinedError):
        render("{{ recipient.name }}", {"recipient": {}})
    with pytest.raises(UndefinedError):
        render("{{ recipient.name }}", {"recipient": {"name": None}})


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{ 'anna karenina' | title }}", "Anna Karenina"),
        ("{{ 'Anna' | upper }}{{ 'Anna' | lower }}", "ANNAanna"),
        ("{{ 'the long name of a thing' | truncate(12) }}", "the long…"),
        ("{{ 'unbreakable' | truncate(5) }}", "unbr…"),
        ("{{ ['a', 'b'] | join(' and ') }}", "a and b"),
        ("{{ 'a b/c' | urlencode }}", "a%20b%2Fc"),
        ("{% for n in range(3) %}{{ n * 2 + 1 }}{% endfor %}", "135"),
        ("{% for n in ['x', 'y'] %}{{ loop.index }}{{ n }}{% endfor %}", "1x2y"),
        ("{{ 'yes' if 'GB' in ['GB', 'IE'] else 'no' }}", "yes"),
    ],
)
def test_the_language_has_what_a_block_needs(template: str, shown: str) -> None:
    assert render(template) == shown


def test_an_answer_that_grows_past_its_size_is_stopped_on_the_way() -> None:
    made = block("{% for n in range(100) %}" + "x" * 300 + "{% endfor %}")
    with pytest.raises(Exhausted):
        Renderer(made).render(made.variants[0], Format.HTML, {}, untracked)


def test_templates_get_copies_of_plain_data_only() -> None:
    # given
    class Secret:
        value = "secret"

    original: dict[str, Any] = {"list": ["a"], "price": Decimal("2.5"), "object": Secret(), "none": None}

    # when
    copy = plain(original)

    # then
    assert copy == {"list": ["a"], "price": 2.5}
    assert copy["list"] is not original["list"]


def test_long_deep_and_wide_data_is_cut() -> None:
    deep: Any = "end"
    for _ in range(50):
        deep = [deep]

    assert len(plain("x" * 5_000)) == 2_000
    assert len(plain(list(range(5_000)))) == 50
    assert "end" not in repr(plain(deep))
