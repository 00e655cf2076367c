from __future__ import annotations

import html
import re

import pytest
from selectolax.lexbor import LexborHTMLParser

from mailtailor.errors import BadInput
from mailtailor.tracking.esp_forms import ESP_FORMS, MIN_ATTRIBUTE_CHARACTERS, EspForm, esp_form
from mailtailor.tracking.mail_request import ESP_INSTANCE, InstrumentRequest, instrument_request
from mailtailor.tracking.paths import CLICK, OPEN, click_parameters, tracked_path
from mailtailor.tracking.tokens import (
    Keyring,
    MailingToken,
    Purpose,
    RecipientToken,
    read_link,
    read_mailing,
    read_recipient,
    sign_recipient,
)

KEYRING = Keyring("k1", {"k1": bytes(32)})
LONGEST_KEY_ID = Keyring("k" * 16, {"k" * 16: bytes(32)})
RECIPIENT = RecipientToken("AAECAwQFBgcICQoLDA0ODw", Purpose.TRACK)
INSTANCE = "20261124-7"
HTML = """<body><a href="https://shop.example/?a=1&amp;b=2#c">one</a>
<a href='https://shop.example/two'>two</a> <a href=https://shop.example/three>three</a></body>"""
TEXT = "See https://shop.example/four (or <https://shop.example/five>)."

every_esp = pytest.mark.parametrize("form", ESP_FORMS.values(), ids=ESP_FORMS.keys())


def merged(mail: str, form: EspForm) -> str:
    """Return `mail` as the ESP sends it: each merge tag replaced by what its attribute holds."""
    token = sign_recipient(KEYRING, RECIPIENT)
    mail = mail.replace(form.recipient_tag, token)
    return mail.replace(form.instance_tag, INSTANCE) if form.instance_tag else mail


def sent(form: EspForm) -> tuple[str, str]:
    """Return both parts of a mail for `form` after the merge."""
    answer = instrument_request(
        InstrumentRequest(
            campaign="spring",
            html=HTML,
            text=TEXT,
            esp=form.name,
            instance_tag=ESP_INSTANCE if form.instance_tag else "",
        ),
        keyring=KEYRING,
        open_url="https://o.example",
        click_url="https://c.example",
        now=1_790_000_000_000,
    )
    return merged(answer.html, form), merged(answer.text, form)


def assert_tracks(url: str, destination: str, position: int, form: EspForm) -> None:
    path, _, query = url.removeprefix("https://c.example").partition("?")
    found = tracked_path(path, CLICK)
    link = read_link(KEYRING, found.subject)
    assert link.url.startswith(destination)
    assert (link.campaign, link.position) == ("spring", position)
    assert link.instance == (INSTANCE if form.instance_tag else "")
    assert read_recipient(KEYRING, found.recipient, Purpose.TRACK) == RECIPIENT
    assert click_parameters(query) == {}


@every_esp
def test_after_the_merge_every_link_of_the_html_part_verifies(form: EspForm) -> None:
    # when
    mail, _ = sent(form)
    hrefs = [anchor.attributes["href"] or "" for anchor in LexborHTMLParser(mail).css("a")]
    # then
    assert len(hrefs) == 3
    for position, name in enumerate(("?a=1&b=2", "two", "three"), start=1):
        assert_tracks(hrefs[position - 1], f"https://shop.example/{name}", position, form)


@every_esp
def test_after_the_merge_the_pixel_verifies(form: EspForm) -> None:
    # when
    mail, _ = sent(form)
    (source,) = [image.attributes["src"] or "" for image in LexborHTMLParser(mail).css("img")]
    # then
    found = tracked_path(source.removeprefix("https://o.example"), OPEN)
    expected = MailingToken("spring", INSTANCE if form.instance_tag else "")
    assert read_mailing(KEYRING, found.subject) == expected
    assert read_recipient(KEYRING, found.recipient, Purpose.TRACK) == RECIPIENT


@every_esp
def test_after_the_merge_every_link_of_the_text_part_verifies_and_its_punctuation_stays(form: EspForm) -> None:
    # when
    _, text = sent(form)
    # then
    urls = re.findall(r"https://c\.example[^\s)>]+", text)
    assert text == f"See {urls[0]} (or <{urls[1]}>)."
    assert_tracks(urls[0], "https://shop.example/four", 4, form)
    assert_tracks(urls[1], "https://shop.example/five", 5, form)


@every_esp
def test_every_merge_tag_stands_in_a_double_quoted_attribute_as_it_is(form: EspForm) -> None:
    for tag in (form.instance_tag, *(form.tag(purpose) for purpose in Purpose)):
        assert not set(tag) & set('"<>&\r\n')
        assert html.escape(tag, quote=False) == tag


@every_esp
def test_each_purpose_has_an_attribute_and_a_merge_tag_of_its_own(form: EspForm) -> None:
    assert form.attributes.keys() == set(Purpose)
    assert len({form.tag(purpose) for purpose in Purpose}) == len(Purpose)
    for purpose in Purpose:
        assert form.attributes[purpose] in form.tag(purpose)
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", form.attributes[purpose])


def test_mailchimps_merge_tags_have_at_most_ten_characters() -> None:
    for attribute in ESP_FORMS["mailchimp"].attributes.values():
        assert re.fullmatch(r"[A-Z0-9_]{1,10}", attribute)


@every_esp
def test_the_hint_names_the_attribute_its_length_and_the_command_that_fills_it(form: EspForm) -> None:
    assert form.attributes[Purpose.TRACK] in form.hint
    assert f"{MIN_ATTRIBUTE_CHARACTERS} characters" in form.hint
    assert f"mailtailor tokens export --esp {form.name}" in form.hint


@pytest.mark.parametrize("purpose", Purpose)
def test_an_attribute_of_the_length_asked_for_holds_the_longest_token(purpose: Purpose) -> None:
    # given the longest id of a key, and more revocations than anybody will see
    token = sign_recipient(LONGEST_KEY_ID, RecipientToken(RECIPIENT.profile_id, purpose, 2**32))
    # then
    assert len(token) <= MIN_ATTRIBUTE_CHARACTERS


@pytest.mark.parametrize("purpose", Purpose)
def test_no_token_begins_as_a_formula_does(purpose: Purpose) -> None:
    # A token's first byte is its version, 1, so its first character is A: no spreadsheet runs a cell of tokens.
    for keyring in (KEYRING, LONGEST_KEY_ID):
        assert sign_recipient(keyring, RecipientToken("_" * 21 + "w", purpose)).startswith("A")


def test_an_unknown_esp_is_refused_with_the_names_of_those_known() -> None:
    with pytest.raises(BadInput, match="sfmc, braze, hubspot, klaviyo, iterable, mailchimp, generic"):
        esp_form("pigeon")
