"""What somebody would see in a block, asked of the function as the API does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.block_preview import handler
from mailtailor.aws.block_objects import MANIFEST_KEY, BlockObjects, version_key
from mailtailor.aws.startup import prepared
from mailtailor.content.block import Block
from mailtailor.content.versions import document
from mailtailor.segments.live import DefinitionsUnknown
from tests.integration.functions.capture_engine import PROFILE
from tests.integration.functions.content_engine import Engine, engine, recipient, viewed
from tests.integration.functions.intake_engine import Context, http_event

DRAFT: Final[dict[str, Any]] = {
    "name": "welcome",
    "description": "A block that nobody published.",
    "inputs": {"headline": {"type": "text", "default": "Hello"}},
    "variants": [
        {"name": "buyers", "audience": ["recent_purchasers"], "template": "<p>Thank you</p>"},
        {"name": "all", "template": "<p>{{ inputs.headline }} {{ recipient.first_name | default('there') }}</p>"},
    ],
    "fallback": "<p>Welcome</p>",
    "fallback_text": "Welcome",
}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    with engine(monkeypatch, tmp_path) as running:
        monkeypatch.setattr(handler, "dependencies", prepared(handler.connect))
        yield running


def ask(block: str, body: Any) -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes | str) else json.dumps(body)
    answer = handler.handler(http_event("POST", f"/admin/blocks/{block}/preview", raw), Context())
    assert answer["headers"]["cache-control"] == "no-store"
    return answer["statusCode"], json.loads(answer["body"])


def as_recipient(**more: Any) -> dict[str, Any]:
    return {"who": "recipient", "profile": PROFILE, **more}


def test_a_recipient_is_shown_what_their_mail_would_hold(world: Engine) -> None:
    # given
    world.put_profile(viewed("2"))
    served = world.fetch("/content/hero.json", r=recipient())
    # when
    status, shown = ask("hero", as_recipient())
    # then: but for the links, which lead to their destination
    assert status == 200
    assert shown["variant"] == json.loads(served["body"])["variant"]
    assert "Anna" in shown["body"]
    assert "https://mail.example/c/" not in shown["body"]
    assert shown["profile_id"] == PROFILE
    assert [rung["reason"] for rung in shown["variants"]].count("shown") == 1


def test_nothing_is_stored_and_nothing_of_it_is_logged(
    world: Engine, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # given
    world.put_profile(viewed("2"))
    calls: list[str] = []
    given = handler.dependencies()
    for client in (given.profiles._client, given.blocks.catalog._client):
        client.meta.events.register("before-call", lambda model, **_: calls.append(model.name))
    # when
    ask("hero", as_recipient())
    # then
    assert set(calls) == {"GetItem", "GetObject"}
    assert "Anna" not in capsys.readouterr().out + caplog.text


def test_a_draft_is_shown_without_being_published(world: Engine) -> None:
    # given
    world.put_profile()
    # when
    _, shown = ask("welcome", as_recipient(drafts=[DRAFT], set={"headline": "Good day"}))
    # then
    assert shown["body"] == "<p>Good day Anna</p>"
    buyers = shown["variants"][0]
    assert (buyers["reason"], buyers["says"]) == ("audience", "They are not in its audience.")
    assert buyers["condition"]["holds"] is False
    assert MANIFEST_KEY not in {one["Key"] for one in world.s3.list_objects_v2(Bucket="catalog")["Contents"]}


def test_any_version_that_was_pushed_can_be_looked_at(world: Engine) -> None:
    # given: two versions, of which none is published
    objects = BlockObjects(client=world.s3, bucket="catalog")
    for number, headline in enumerate(("First", "Second")):
        made = document(Block.model_validate(DRAFT | {"inputs": {"headline": {"type": "text", "default": headline}}}))
        objects.add("welcome", made)
        objects.change(lambda manifest, made=made, at=number: manifest.pushed("welcome", made.sha256, at))  # type: ignore[misc]
    # when
    shown = {version: ask("welcome", {"who": "empty", "version": version}) for version in (1, 2, "newest", 3, None)}
    # then
    assert [shown[version][1]["body"] for version in (1, 2, "newest")] == [
        "<p>First there</p>",
        "<p>Second there</p>",
        "<p>Second there</p>",
    ]
    assert shown[3][1]["message"] == "The block welcome has no version 3."
    assert shown[3][1]["hint"] == "Its versions are 1 to 2, and 0 as deployed."
    assert shown[None][0] == 404
    # and: one whose document is gone
    gone = objects.manifest().version("welcome", 1)
    world.s3.delete_object(Bucket="catalog", Key=version_key("welcome", gone))
    status, told = ask("welcome", {"who": "empty", "version": 1})
    assert (status, told["message"]) == (404, "The document of version 1 of the block welcome is gone.")
    assert ask("hero", {"who": "empty", "version": 0})[0] == 200
    assert (
        ask("hero", {"who": "empty", "version": "newest"})[1]["message"] == "No version of the block hero was pushed."
    )


@pytest.mark.usefixtures("world")
def test_a_draft_may_insert_another_draft() -> None:
    # given
    outer = DRAFT | {
        "name": "outer",
        "blocks": {"top": {"block": "welcome", "set": {"headline": "Inside"}}},
        "variants": [{"name": "all", "template": "<div>{{ block('top') }}</div>"}],
    }
    # when
    _, shown = ask("outer", {"who": "empty", "drafts": [outer, DRAFT]})
    # then
    assert shown["body"] == "<div><p>Inside there</p></div>"


def test_without_consent_that_is_said_and_nothing_else(world: Engine) -> None:
    # given
    world.put_profile(viewed("2"), consent=False)
    # when
    _, shown = ask("welcome", as_recipient(drafts=[DRAFT]))
    # then
    assert (shown["variant"], shown["body"]) == ("fallback", "<p>Welcome</p>")
    assert shown["notes"][0].startswith("They allowed no personal content")
    assert "condition" not in json.dumps(shown)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(("who", "body"), [("empty", "Hello there"), ("anonymous", "Welcome"), ("outage", "Welcome")])
def test_nobody_in_particular_can_be_looked_at(who: str, body: str) -> None:
    _, shown = ask("welcome", {"who": who, "form": "text", "drafts": [DRAFT]})

    assert (shown["body"].strip(), shown["form"], shown["profile_id"]) == (body, "text", None)


def test_a_time_may_be_asked_for(world: Engine) -> None:
    # given
    world.put_profile()
    # when
    _, shown = ask("welcome", as_recipient(at="2030-01-01T00:00:00+01:00", drafts=[DRAFT]))
    # then
    assert shown["at"] == "2029-12-31T23:00:00.000Z"


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The body"),
        ("[]", "The request: "),
        ({"who": "everybody"}, "who: "),
        ({"who": "recipient"}, "The request: profile names the recipient"),
        ({"profile": PROFILE}, "The request: profile names the recipient"),
        ({"who": "recipient", "profile": "anna@example.com"}, "profile: "),
        ({"at": "yesterday"}, "at: "),
        ({"at": "2026-01-01T00:00:00"}, "at: "),
        ({"at": "9999-12-31T00:00:00Z"}, "The request: at is from 1970 to 9000."),
        ({"form": "pdf"}, "form: "),
        ({"version": -1}, "version: "),
        ({"version": "draft"}, "version: "),
        ({"surprise": 1}, "surprise: "),
        ({"set": {"UPPER": "x"}}, "set.UPPER"),
        ({"set": {"headlne": "x"}, "drafts": [DRAFT]}, "In welcome no 'headlne' can be set. Did you mean 'headline'?"),
        ({"drafts": [DRAFT | {"variants": []}]}, "drafts.0.variants: "),
        ({"drafts": [DRAFT] * 10}, "drafts: "),
    ],
)
def test_what_cannot_be_asked_is_400_and_names_the_field(body: Any, sentence: str) -> None:
    # when
    status, told = ask("welcome", body)
    # then
    assert status == 400, told
    assert f"{told['message']} {told['hint']}".startswith(sentence)
    assert "anna@example.com" not in json.dumps(told)


@pytest.mark.usefixtures("world")
def test_a_request_beyond_a_megabyte_is_413() -> None:
    assert ask("welcome", {"set": {"headline": "x" * 1_000_000}})[0] == 413


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("block", "body", "sentence"),
    [
        ("heros", {}, "There is no block of this name. Did you mean 'hero'?"),
        ("a/b", {}, "There is nothing at this address."),
        ("hero", {"who": "recipient", "profile": "C" * 22}, "There is no profile of this id. It was erased"),
    ],
)
def test_what_there_is_not_is_404(block: str, body: dict[str, Any], sentence: str) -> None:
    # when
    status, told = ask(block, body)
    # then
    assert status == 404
    assert f"{told['message']} {told['hint']}".startswith(sentence)


@pytest.mark.usefixtures("world")
def test_a_hostile_template_costs_the_variant_and_nothing_else() -> None:
    # given
    endless = "x"
    for name in "abc":
        endless = f"{{% for {name} in range(100) %}}{endless}{{% endfor %}}"
    hostile = DRAFT | {
        "variants": [
            {"name": "endless", "template": endless},
            {"name": "syntax", "template": "{% include 'x' %}"},
            {"name": "walk", "template": "{{ recipient.__class__.__mro__ }}"},
            {"name": "all", "template": "<p>fine</p>"},
        ]
    }
    # when
    status, shown = ask("welcome", {"who": "empty", "drafts": [hostile]})
    # then
    assert (status, shown["body"]) == (200, "<p>fine</p>")
    assert all(rung["says"].startswith("It fails: ") for rung in shown["variants"][:3])


@pytest.mark.usefixtures("world")
def test_a_table_that_does_not_answer_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    def unreachable(_profile_id: str) -> None:
        raise EndpointConnectionError(endpoint_url="http://x")

    monkeypatch.setattr(handler.dependencies().profiles, "read_item", unreachable)
    # then
    assert ask("hero", as_recipient())[0] == 503


@pytest.mark.usefixtures("world")
def test_while_it_is_not_known_which_segments_rule_the_answer_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    def unknown(*_: str) -> None:
        raise DefinitionsUnknown

    monkeypatch.setattr(handler.dependencies().blocks.engines, "of", unknown)
    # when
    status, told = ask("hero", {})
    # then
    assert (status, told["message"]) == (503, "It cannot be read which segments there are.")
