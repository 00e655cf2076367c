from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from mailtailor.errors import BadInput
from mailtailor.tracking.mail_request import (
    MAX_PART_BYTES,
    InstrumentRequest,
    InstrumentResponse,
    instrument_request,
    read_request,
)
from mailtailor.tracking.tokens import Keyring

KEYRING = Keyring("k1", {"k1": bytes(32)})
HTML = '<a href="https://shop.example/">x</a>'


def answer(**fields: Any) -> InstrumentResponse:
    return instrument_request(
        read_request({"campaign": "spring", **fields}),
        keyring=KEYRING,
        open_url="https://o.example",
        click_url="https://c.example",
        now=1_790_000_000_000,
    )


def test_the_texts_links_are_numbered_on_from_the_htmls() -> None:
    # when
    given = answer(html=HTML, text="https://shop.example/a https://shop.example/b")
    # then
    assert [(link.position, link.kind) for link in given.links] == [(1, "a"), (2, "text"), (3, "text")]
    assert all(link.tracked for link in given.links)


def test_a_text_alone_is_enough_and_gets_no_pixel() -> None:
    given = answer(text="https://shop.example/")
    assert given.text.startswith("https://c.example/c/")
    assert (given.html, given.pixel) == ("", False)


def test_without_an_esp_the_generic_merge_tag_is_used_and_no_instance() -> None:
    given = answer(html=HTML)
    assert "/{{ mailtailor_track }}" in given.html
    assert "~" not in given.html
    assert given.esp_hint == ""


def test_an_esp_brings_its_merge_tag_and_says_what_must_be_set_up() -> None:
    given = answer(html=HTML, esp="sfmc")
    assert "/%%mailtailor_track%%" in given.html
    assert "~" not in given.html
    assert "mailtailor_track" in given.esp_hint


def test_the_send_is_told_apart_if_asked_for() -> None:
    assert "~%%jobid%%/%%mailtailor_track%%" in answer(html=HTML, esp="sfmc", instance_tag="esp").html
    assert "~%%mine%%/%%mailtailor_track%%" in answer(html=HTML, esp="sfmc", instance_tag="%%mine%%").html


@pytest.mark.parametrize("esp", ["", "hubspot", "klaviyo", "generic"])
def test_where_no_tag_of_the_send_is_known_asking_for_it_is_refused(esp: str) -> None:
    with pytest.raises(BadInput, match="no merge tag that differs from send to send"):
        answer(html=HTML, esp=esp, instance_tag="esp")


def test_a_recipient_tag_that_is_given_goes_before_the_esps() -> None:
    assert "/%%other%%" in answer(html=HTML, esp="sfmc", recipient_tag="%%other%%").html


@pytest.mark.parametrize(
    ("utm", "destination"),
    [
        (False, "https://shop.example/"),
        (
            {"utm_source": "shop", "utm_content": ""},
            "https://shop.example/?utm_source=shop&utm_medium=email&utm_campaign=spring",
        ),
    ],
)
def test_campaign_parameters_are_chosen_or_left_out(utm: Any, destination: str) -> None:
    assert answer(html=HTML, utm=utm).links[0].destination == destination


def test_the_report_says_why_a_link_was_left() -> None:
    (link,) = answer(html='<a href="mailto:shop@shop.example">x</a>').links
    assert not link.tracked
    assert link.reason
    assert link.destination == ""


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        ({"campaign": "spring"}, "there is neither html nor text"),
        ({"campaign": "spring", "html": " \n"}, "there is neither html nor text"),
        ({"html": HTML}, "campaign: Field required"),
        ({"campaign": "spring", "html": 7}, "html: Input should be a valid string"),
        ({"campaign": "spring", "html": HTML, "htlm": HTML}, "htlm: Extra inputs are not permitted"),
        ({"campaign": "spring", "html": HTML, "utm": True}, "utm: "),
        ({"campaign": "spring", "html": HTML, "utm": {"utm_source": 7}}, "utm.utm_source: "),
        ([], "The request: "),
        (None, "The request: "),
    ],
)
def test_a_request_that_is_none_is_refused_in_a_sentence_that_names_the_field(payload: Any, sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_request(payload)
    assert sentence in refused.value.message
    assert "campaign, html, text, esp" in refused.value.hint


def test_a_part_that_is_too_large_is_refused_with_what_to_do_about_it() -> None:
    with pytest.raises(BadInput) as refused:
        read_request({"campaign": "spring", "text": "ü" * (MAX_PART_BYTES // 2 + 1)})
    assert refused.value.message == "text: it is larger than 1,000,000 bytes."
    assert "images" in refused.value.hint


@pytest.mark.parametrize(
    "fields",
    [
        {"campaign": ""},
        {"campaign": "a\nb"},
        {"esp": "pigeon"},
        {"recipient_tag": "<b>"},
        {"utm": {"source": "shop"}},
        {"honeypot_url": "javascript:alert(1)"},
    ],
)
def test_fields_of_the_wrong_form_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        answer(html=HTML, **fields)


def test_a_lone_surrogate_that_json_can_bring_does_no_harm() -> None:
    assert "\ud800" in answer(html=HTML + "\ud800").html


def test_a_request_cannot_be_changed_and_its_answer_is_json() -> None:
    given = answer(html=HTML)
    assert InstrumentResponse.model_validate_json(given.model_dump_json()) == given
    assert InstrumentRequest.model_config["frozen"] is True


@pytest.mark.parametrize("function", ["open_pixel", "click_redirect"])
def test_pixel_and_click_do_not_pay_for_it(function: str) -> None:
    code = f"import sys, functions.{function}.handler; print('mailtailor.tracking.mail_request' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("False"), done.stderr
