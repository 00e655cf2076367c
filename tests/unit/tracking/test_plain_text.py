from __future__ import annotations

import re
from typing import Any

import pytest

from mailtailor.tracking.destination import SLOT
from mailtailor.tracking.instrument import RECIPIENT_TAG, InstrumentedText, Mailing, instrument_text
from mailtailor.tracking.tokens import Keyring, read_link

KEYRING = Keyring.from_secret({"active": "k1", "k1": "a secret key of the tests, long enough"})
CLICK = "https://click.example"
TRACKED = re.compile(rf"{CLICK}/c/([\w-]+)/{re.escape(RECIPIENT_TAG)}")


def instrumented(text: str, **options: Any) -> InstrumentedText:
    mailing = Mailing("spring", KEYRING, "https://open.example", CLICK, 1_764_000_000_000, utm=None)
    return instrument_text(text, mailing, **options)


@pytest.mark.parametrize(
    ("before", "url", "after"),
    [
        ("See ", "https://s.example/a?b=1&c=2#d", ".\r\n"),
        ("<", "https://s.example/größe", ">"),
        ("(", "https://s.example/a_(b)", ")!"),
        ("[shop](", "https://s.example/", ") and more"),
        ("**", "HTTPS://S.example/a-b_", "**"),
        ('"', "https://müller.example", '"'),
        ("Besuchen Sie \u201e", "https://s.example/a", "\u201c, bitte."),
        ("\u201a", "https://s.example/a", "\u2018"),
        ("\u00bb", "https://s.example/a", "\u00ab."),
        ("\u2039", "https://s.example/a", "\u203a"),
        ("`", "https://s.example/a", "`"),
        ("{% if x %}", "https://s.example/a", "{% endif %}"),
        ("a\tb\n\n", "http://s.example:8080/?a=[1]", "\n-- \n"),
    ],
)
def test_an_address_is_tracked_and_the_text_around_it_stays(before: str, url: str, after: str) -> None:
    # when
    result = instrumented(f"{before}{url}{after}")
    # then
    (token,) = TRACKED.findall(result.text)
    assert read_link(KEYRING, token).url == url
    assert TRACKED.sub("@", result.text) == f"{before}@{after}"


def test_merge_tags_in_values_become_slots() -> None:
    # when
    result = instrumented("https://s.example/?a={{ x }}&b=c&d=pre-*|E|*-post, thanks")
    # then
    (token,) = TRACKED.findall(result.text)
    assert read_link(KEYRING, token).url == f"https://s.example/?a={SLOT}&b=c&d={SLOT}"
    assert TRACKED.sub("@", result.text) == "@?s1={{ x }}&s2=pre-*|E|*-post, thanks"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("To unsubscribe: https://s.example/x", "unsubscribe or preference link"),
        ("Newsletter abbestellen:\r\n  https://s.example/x", "unsubscribe or preference link"),
        ("https://s.example/unsubscribe", "unsubscribe or preference link"),
        ("https://s.example/{{ path }}", "a merge tag in the path"),
        ("https://user@s.example/", "user information"),
        (f"https://s.example/{'x' * 5000}", "characters long"),
        (f"{CLICK}/c/x/y", "tracked already"),
        ("Tell a friend: mailto:?subject=Look&body=https://s.example/a", "not a web address"),
        ("SMS:+441?body=https://s.example/a", "not a web address"),
    ],
)
def test_an_address_that_must_not_or_cannot_be_tracked_stays(text: str, reason: str) -> None:
    # when
    result = instrumented(text)
    # then
    assert result.text == text
    assert reason in result.links[0].reason


def test_words_before_another_address_are_not_about_this_one() -> None:
    assert [
        link.tracked for link in instrumented("unsubscribe https://s.example/a, shop https://s.example/b").links
    ] == [
        False,
        True,
    ]


def test_positions_go_on_from_the_html_part() -> None:
    links = instrumented("a\nhttps://s.example/a\n\nhttps://s.example/b", first_position=5).links
    assert [(link.kind, link.position, link.line) for link in links] == [("text", 5, 2), ("text", 6, 4)]


def test_instrumenting_twice_changes_nothing_more() -> None:
    once = instrumented("https://s.example/?a={{ x }} and (https://s.example/b).")
    assert instrumented(once.text).text == once.text


def test_addresses_that_mail_clients_may_cut_off_are_warned_of() -> None:
    assert instrumented(f"https://s.example/{'x' * 1700}").warnings == (
        "Tracked addresses longer than 2,000 characters: 1; some mail clients cut them off.",
    )
