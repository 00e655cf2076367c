"""What is pasted into ESPs: read by strict readers of each language, and run."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.content.address import MAX_BLOCKS, Shape, read
from mailtailor.errors import BadInput
from mailtailor.esp.snippets.registry import WRITERS, usual_shape, write
from mailtailor.esp.snippets.request import MAX_FALLBACK, SnippetRequest
from mailtailor.tracking.esp_forms import ESP_FORMS
from tests.unit.esp.snippets import ampscript, handlebars
from tests.unit.esp.snippets.sends import TIMEOUT, Get, send

GOLDEN: Final = Path(__file__).parent / "golden"
FALLBACKS: Final = {"hero": '<p class="a">It\'s 100% yours</p>', "offer": "<p>Offers</p>"}
ATTRIBUTES: Final = {
    "mailtailor_content": "AmV0-_token",
    "jobid": "4711",
    "dispatch_id": "d-1",
    "mailtailor_other": "B",
}
FETCHED: Final = '<table><tr><td style="width:100%">Anna &amp; {{ "lamp" }} %%=v(@x)=%% [[x]]</td></tr></table>'

SHAPES: Final = {esp: usual_shape(ESP_FORMS[esp]) for esp in WRITERS} | {"mailchimp": Shape.HTML}

every_esp = pytest.mark.parametrize("esp", WRITERS)


def request(esp: str, *blocks: str, **changes: Any) -> SnippetRequest:
    usual: dict[str, Any] = {
        "form": ESP_FORMS[esp],
        "blocks": blocks or ("hero",),
        "fallbacks": FALLBACKS,
        "content_url": "https://mail.example",
        "shape": SHAPES[esp],
        "message": "Am-essage_1",
    }
    return SnippetRequest(**usual | changes)


def answering(request: SnippetRequest, *, status: int = 200, shown: str = FETCHED) -> Get:
    """Return a server that answers as ours does."""

    def get(_url: str) -> tuple[int, str]:
        if request.shape is not Shape.JSON:
            return status, shown * len(request.blocks)
        one = {"html": shown, "variant": "v"}
        return status, json.dumps(one if len(request.blocks) == 1 else dict.fromkeys(request.blocks, one))

    return get


def asked(url: str) -> tuple[tuple[str, Shape], dict[str, list[str]]]:
    parts = urlsplit(url)
    return tuple(read(parts.path)), parse_qs(parts.query, keep_blank_values=True)  # type: ignore[return-value]


@every_esp
@pytest.mark.parametrize("blocks", [("hero",), ("hero", "offer")])
def test_a_snippet_is_what_it_was(esp: str, blocks: tuple[str, ...]) -> None:
    # given
    file = GOLDEN / f"{esp}_{'_'.join(blocks)}.txt"
    # when
    snippet = write(request(esp, *blocks))
    # then
    assert "\n\n".join(f"# {part.where}\n{part.code}" for part in snippet.parts) + "\n" == file.read_text("utf-8")


@every_esp
@pytest.mark.parametrize("blocks", [("hero",), ("hero", "offer")])
def test_what_was_fetched_is_shown_as_it_is_and_evaluated_by_nobody(esp: str, blocks: tuple[str, ...]) -> None:
    # given
    wanted = request(esp, *blocks)
    # when
    sent = send(esp, write(wanted), answering(wanted), ATTRIBUTES)
    # then: each block once, and one fetch for all of them
    assert sent.mail.replace("\n", "") == FETCHED * len(blocks)
    assert len(sent.fetched) == 1


@every_esp
def test_the_address_names_the_blocks_the_mailing_and_the_recipient(esp: str) -> None:
    # given
    wanted = request(esp, "hero")
    # when
    (url,) = send(esp, write(wanted), answering(wanted), ATTRIBUTES).fetched
    # then: Klaviyo's feed is one for all, so it names nobody
    personal = {} if esp == "klaviyo" else {"m": ["Am-essage_1"], "r": ["AmV0-_token"]}
    assert asked(url) == (("hero", SHAPES[esp]), personal)


@every_esp
@given(value=st.text(max_size=20))
def test_what_a_fetch_says_arrives_whatever_it_is(esp: str, value: str) -> None:
    # given
    wanted = request(esp, "hero", parameters={"season": value})
    # when
    sent = send(esp, write(wanted), answering(wanted), ATTRIBUTES)
    # then
    assert asked(sent.fetched[0])[1]["season"] == [value]
    assert sent.mail.replace("\n", "") == FETCHED


@every_esp
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, ""),
        (500, "<h1>Internal Server Error</h1>"),
        (503, '{"message": "Service Unavailable"}'),
        TIMEOUT,
        (200, ""),
    ],
)
def test_whatever_goes_wrong_the_fallback_is_shown(esp: str, status: int, body: str) -> None:
    # when
    sent = send(esp, write(request(esp, "hero", "offer")), lambda _: (status, body), ATTRIBUTES)
    # then
    assert html.unescape(sent.mail.replace("\n", "")) == FALLBACKS["hero"] + FALLBACKS["offer"]


@every_esp
def test_a_block_without_content_shows_its_fallback(esp: str) -> None:
    # given: what the CDN answers when nothing behind it does
    wanted = request(esp, "hero", "offer")
    # when
    sent = send(esp, write(wanted), answering(wanted, shown=""), ATTRIBUTES)
    # then
    assert html.unescape(sent.mail.replace("\n", "")) == FALLBACKS["hero"] + FALLBACKS["offer"]


@pytest.mark.parametrize("esp", ["sfmc", "hubspot"])
def test_somebody_without_a_token_is_asked_for_as_nobody(esp: str) -> None:
    # given
    wanted = request(esp)
    # when
    (url,) = send(esp, write(wanted), answering(wanted), {}).fetched
    # then: which is answered with what is the same for all
    assert asked(url)[1]["r"] == [""]


@pytest.mark.parametrize(("esp", "send_id"), [("sfmc", "4711"), ("braze", "d-1")])
def test_sends_are_told_apart_by_the_esps_own_id(esp: str, send_id: str) -> None:
    # given
    wanted = request(esp, tell_sends_apart=True)
    # when
    (url,) = send(esp, write(wanted), answering(wanted), ATTRIBUTES).fetched
    # then
    assert asked(url)[1]["m"] == [f"Am-essage_1~{send_id}"]


@pytest.mark.parametrize("esp", ["hubspot", "klaviyo", "iterable", "generic"])
def test_where_there_is_no_such_id_that_is_said(esp: str) -> None:
    with pytest.raises(BadInput, match="has no tag by which sends can be told apart"):
        request(esp, tell_sends_apart=True)


@pytest.mark.parametrize("esp", ["sfmc", "braze", "iterable", "hubspot", "generic"])
def test_the_attribute_may_have_another_name(esp: str) -> None:
    # given
    wanted = request(esp, attribute="mailtailor_other")
    # when
    (url,) = send(esp, write(wanted), answering(wanted), ATTRIBUTES).fetched
    # then
    assert asked(url)[1]["r"] == ["B"]


SYNTAX = st.sampled_from(
    [
        *(
            "%%",
            "%",
            "[",
            "]",
            "]%%",
            "=%%",
            "%%=v(@mt_block)=%%",
            "%%[ ENDIF ]%%",
            "ENDIF",
            "[[",
            "]]",
            "*|",
            "\\",
            "~",
        ),
        *("{{", "{%", "{#", "}}", "%}", "#}", "{", "}", "{% endif %}", "{% raw %}", "{{/if}}", "{{{x}}}", "${x}"),
        *('"', "'", "`", "<p>", "<!--", "-->", "é", "\n", " "),
    ]
)


@every_esp
@given(pieces=st.lists(SYNTAX | st.text(max_size=3), max_size=12))
def test_no_fallback_breaks_out_of_its_place(esp: str, pieces: list[str]) -> None:
    # given
    fallback = "".join(pieces).replace("\r", "").replace("\x00", "")
    wanted = request(esp, "hero", "offer", fallbacks={"hero": fallback, "offer": "<b>end</b>"})
    # when
    failed = send(esp, write(wanted), lambda _: (404, ""), ATTRIBUTES).mail
    worked = send(esp, write(wanted), answering(wanted, shown="<i>shown</i>"), ATTRIBUTES).mail
    # then: it reads as it was written, but for spaces within what would be a tag
    assert _read(failed) == _read(f"{fallback}<b>end</b>")
    assert worked.replace("\n", "") == "<i>shown</i>" * 2


def _read(text: str) -> str:
    return "".join(html.unescape(text).split())


def test_plain_text_has_no_entities() -> None:
    # given
    wanted = request("sfmc", shape=Shape.TEXT, fallbacks={"hero": "Save %%now%%"})
    # when
    sent = send("sfmc", write(wanted), lambda _: (500, ""), ATTRIBUTES)
    # then
    assert sent.mail == "Save % %now% % "


def test_a_fallback_too_large_for_a_mail_is_left_out_and_told() -> None:
    # given
    wanted = request("sfmc", fallbacks={"hero": "x" * (MAX_FALLBACK + 1)})
    # when
    snippet = write(wanted)
    # then
    assert len(snippet.parts[0].code) < 1_000
    assert "The static variants are too large to stand in a mail; if a fetch fails, nothing is shown." in snippet.limits


def test_what_braze_shall_keep_and_prove_is_an_option_of_the_call() -> None:
    # given
    kept = request("braze", cache_minutes=30)
    fresh = request("braze", cache_minutes=0)
    # then
    assert " :cache_max_age 1800 :save mailtailor %}" in write(kept).parts[0].code
    assert " :no_cache :save mailtailor %}" in write(fresh).parts[0].code
    for wanted in (kept, fresh):
        assert send("braze", write(wanted), answering(wanted), ATTRIBUTES).mail == "\n" + FETCHED


def test_with_a_credential_recipients_are_named_by_their_profiles() -> None:
    # given
    wanted = request("braze", credential="mailtailor")
    # when
    snippet = write(wanted)
    (url,) = send("braze", snippet, answering(wanted), {"profile_id": "A" * 22}).fetched
    # then
    assert " :basic_auth mailtailor :save mailtailor %}" in snippet.parts[0].code
    assert asked(url)[1] == {"m": ["Am-essage_1"], "p": ["A" * 22]}
    assert any("must hold each person's profile id" in sentence for sentence in snippet.setup)


@every_esp
def test_nothing_in_a_snippet_can_drop_a_mail(esp: str) -> None:
    code = "".join(part.code for part in write(request(esp, "hero", "offer")).parts)

    for word in (":retry", "abort_message", "RaiseError", "sendSkip", "TreatAsContent"):
        assert word not in code


@every_esp
def test_each_snippet_says_what_it_needs_and_what_it_cannot_do(esp: str) -> None:
    snippet = write(request(esp))

    assert snippet.setup
    assert snippet.limits
    for sentence in (*snippet.setup, *snippet.limits):
        assert sentence.endswith(".")


def test_an_address_that_no_esp_reaches_is_told() -> None:
    said = "ESPs fetch from https on port 443 only; this address is for trying out."

    assert said in write(request("sfmc", content_url="http://127.0.0.1:8080")).setup
    assert said in write(request("sfmc", content_url="https://mail.example:8443")).setup
    assert said not in write(request("sfmc", content_url="https://mail.example:443")).setup


def test_without_a_mailing_that_is_told() -> None:
    assert (
        "Without --campaign, clicks count to a campaign named as the block." in write(request("sfmc", message="")).setup
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"blocks": ("Hero",)}, "'Hero' is no name of a block"),
        ({"blocks": ('hero"',)}, "is no name of a block"),
        ({"blocks": ("hero\n",)}, "is no name of a block"),
        ({"blocks": ()}, "One fetch takes 1 to 10 different blocks"),
        ({"blocks": ("hero", "hero")}, "One fetch takes 1 to 10 different blocks"),
        ({"blocks": tuple(f"b{number}" for number in range(MAX_BLOCKS + 1))}, "One fetch takes 1 to 10 different"),
        ({"content_url": 'https://mail.example/"'}, "is no plain web address"),
        ({"content_url": "javascript:alert(1)"}, "is no plain web address"),
        ({"content_url": "https://user:secret@mail.example"}, "is no plain web address"),
        ({"message": '"'}, "token has the wrong form"),
        ({"attribute": "a b"}, "cannot be a name here"),
        ({"credential": "x :retry"}, "cannot be a name here"),
        ({"cache_minutes": 4}, "kept for 5 to 240 minutes"),
    ],
)
def test_what_would_need_escaping_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        request("braze", **changes)


@pytest.mark.parametrize(
    ("esp", "shape", "said"),
    [
        ("sfmc", Shape.JSON, "no snippet that takes blocks out of JSON"),
        ("braze", Shape.HTML, "Braze tells only of JSON whether it arrived"),
        ("iterable", Shape.TEXT, "Data feeds of Iterable are JSON"),
        ("hubspot", Shape.HTML, "HubSpot's workflow reads JSON"),
        ("klaviyo", Shape.HTML, "Web feeds of Klaviyo are JSON"),
        ("mailchimp", Shape.HTML, "Mailchimp fetches nothing for each recipient"),
    ],
)
def test_what_an_esp_cannot_do_is_a_sentence(esp: str, shape: Shape, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        write(request(esp, shape=shape))


BROKEN: Final = [
    ("VAR @mt_recipient", "VAR mt_recipient"),
    ('AttributeValue("', "AttributeValue("),
    (" THEN", ""),
    ("%%[ ENDIF ]%%", ""),
    ("]%%%%=v", "%%=v"),
    ("=%%", "%%"),
    ("true, 0, @mt_status", "false, 0, @mt_status"),
    ("true, 0, @mt_status", "true, 2, @mt_status"),
    ("true, 0, @mt_status", "true, 0"),
    ("HttpGet(", "ContentBlockByURL("),
    ("SET @mt_status = -2", "SET @mt_state = -2"),
    (", @mt_recipient)", " @mt_recipient)"),
]


@pytest.mark.parametrize(("right", "wrong"), BROKEN)
def test_a_broken_script_would_be_found(right: str, wrong: str) -> None:
    # given
    wanted = request("sfmc")
    snippet = write(wanted)
    code = snippet.parts[0].code
    assert right in code
    broken = replace(snippet, parts=(replace(snippet.parts[0], code=code.replace(right, wrong, 1)),))
    # then
    with pytest.raises((ampscript.BadScript, ValueError)):
        send("sfmc", broken, answering(wanted), ATTRIBUTES)


@pytest.mark.parametrize("broken", ["{{#if a}}x", "{{/if}}", "{{else}}", "{{ a }}", "{{#each a}}", "\\{{a}}", "[[a]]"])
def test_a_broken_handlebars_template_would_be_found(broken: str) -> None:
    with pytest.raises(handlebars.BadTemplate):
        handlebars.render(broken, {})
