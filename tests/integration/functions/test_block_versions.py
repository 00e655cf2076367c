"""Publishing blocks through the administrators' routes, asked of the function as the API does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.block_versions import handler
from mailtailor.aws.block_objects import BlockObjects
from mailtailor.aws.startup import prepared
from tests.integration.functions.content_engine import Engine, engine
from tests.integration.functions.intake_engine import Context, http_event

DEFINITION: Final = """name: sale
description: A block.
variants:
  - name: all
    template: all.html.j2
fallback: nothing
"""
FILES: Final = {"block.yaml": DEFINITION, "all.html.j2": "<style>p { color: #222222 }</style><p>On sale</p>"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    with engine(monkeypatch, tmp_path) as running:
        monkeypatch.setattr(handler, "dependencies", prepared(handler.connect))
        yield running


def ask(method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes | str) else json.dumps(body) if body is not None else ""
    answer = handler.handler(http_event(method, f"/admin/blocks{path}", raw), Context())
    assert answer["headers"]["cache-control"] == "no-store"
    return answer["statusCode"], json.loads(answer["body"])


def push(template: str = FILES["all.html.j2"], **more: Any) -> tuple[int, dict[str, Any]]:
    return ask("PUT", "/sale", {"files": {**FILES, "all.html.j2": template}, **more})


def pushed(world: Engine) -> set[str]:
    return {one["Key"] for one in world.s3.list_objects_v2(Bucket="catalog")["Contents"]} - {"catalog.json"}


def test_a_block_is_compiled_kept_as_a_draft_published_and_rolled_back(world: Engine) -> None:
    # when
    status, told = push(note="For Monday")
    # then
    assert (status, told["version"], told["published"]) == (200, 1, 0)
    objects = BlockObjects(world.s3, "catalog")
    draft = objects.block("sale", objects.manifest().history("sale").newest)
    assert draft.variants[0].template == '<p style="color: #222222;">On sale</p>\n'

    # and
    assert ask("POST", "/sale/publish")[1]["published"] == 1
    assert push("<p>Now</p>", publish=True, after=1)[1]["published"] == 2
    assert ask("POST", "/sale/rollback")[1]["published"] == 1
    assert ask("POST", "/sale/publish", {"version": 2})[1]["before"] == 1
    versions = ask("GET", "/sale/versions")[1]
    assert [one["version"] for one in versions["versions"]] == [2, 1]
    assert versions["versions"][1]["note"] == "For Monday"
    listed = {one["block"]: one for one in ask("GET", "")[1]["blocks"]}
    assert listed["hero"] == {"block": "hero", "deployed": True, "published": 0, "newest": None}
    assert (listed["sale"]["published"], listed["sale"]["newest"]["version"]) == (2, 2)


@pytest.mark.usefixtures("world")
def test_what_needs_thought_is_told_with_file_and_line() -> None:
    _, told = push('<p>x</p>\n<div style="display:flex">x</div>')

    assert {
        "level": "warning",
        "file": "all.html.j2",
        "line": 2,
        "message": "display:flex: not in Outlook (Windows)",
    } in told["findings"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"all.html.j2": '<p>x</p>\n<img src="https://shop.example/a">'}, "all.html.j2:2: <img> without alt"),
        ({"all.html.j2": "{{ ofer.text }}"}, "all.html.j2:1: there is no variable 'ofer'"),
        ({"all.html.j2": "{% for x in range(9999) %}{% endfor %}"}, "all.html.j2:1: "),
        ({"all.html.j2": "{{ ''.__class__ }}"}, "all.html.j2:1: "),
        ({"block.yaml": DEFINITION.replace("all.html.j2", "../all.html.j2")}, "block.yaml:5: '../all.html.j2' must be"),
        ({"block.yaml": DEFINITION.replace("all.html.j2", "/etc/passwd")}, "block.yaml:5: '/etc/passwd' must be"),
        ({"block.yaml": DEFINITION.replace("sale", "hero")}, "block.yaml:1: the block is named 'hero'"),
        ({"block.yaml": "name: ["}, "block.yaml:1: not valid YAML"),
        ({"block.yaml": "a: &a [x]\nb: *a\n"}, "block.yaml:2: the file refers to other parts of itself"),
        ({"block.yaml": "[" * 60_000}, "block.yaml:1: more than 30 lists"),
        (
            {"block.yaml": DEFINITION.replace("    template", "    audience: [byers]\n    template")},
            "no segment 'byers'",
        ),
        (
            {"block.yaml": DEFINITION + "blocks: {a: {block: heroo}}\n"},
            "there is no block 'heroo'; did you mean 'hero'?",
        ),
        ({"../x": "x"}, "files.../x.[key]: "),
        ({"all.html.j2": "x" * 64_001}, "files.all.html.j2: "),
        ({f"{number}.txt": "x" for number in range(60)}, "files: "),
    ],
)
def test_what_cannot_be_published_is_refused_and_changes_nothing(
    world: Engine, files: dict[str, str], said: str
) -> None:
    # when
    started = time.process_time()
    status, told = ask("PUT", "/sale", {"files": {**FILES, **files}, "publish": True})
    # then
    assert status == 400
    assert said in told["message"]
    assert "/tmp" not in f"{told['message']}{told['hint']}"
    assert time.process_time() - started < 5
    assert pushed(world) == set()


def test_mjml_that_asks_for_files_of_the_function_gets_none(world: Engine) -> None:
    files = {**FILES, "block.yaml": DEFINITION.replace("all.html.j2", "all.mjml"), "all.mjml": ""}

    for path in ("/proc/self/environ", "file:///etc/passwd", "http://169.254.169.254/latest"):
        status, told = ask("PUT", "/sale", {"files": {**files, "all.mjml": f'<mj-include path="{path}" />'}})
        assert (status, "all.mjml:1: " in told["message"]) == (400, True), told
    assert pushed(world) == set()


def test_whoever_knows_an_older_version_overwrites_nothing(world: Engine) -> None:
    push("<p>one</p>")
    push("<p>two</p>")

    assert push("<p>three</p>", after=1)[0] == 409
    assert BlockObjects(world.s3, "catalog").manifest().history("sale").newest.number == 2


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/other/versions", None, 404),
        ("POST", "/other/publish", None, 404),
        ("POST", "/sale/publish", {"version": 9}, 404),
        ("POST", "/sale/publish", {"version": -1}, 400),
        ("POST", "/sale/publish", "{", 400),
        ("POST", "/sale/rollback", None, 404),
        ("PUT", "/..%2fsale", {"files": FILES}, 404),
        ("PUT", "/Sale", {"files": FILES}, 404),
        ("PUT", "/sale", b"\xff", 400),
        ("PUT", "/sale", [], 400),
        ("PUT", "/sale", {"files": FILES, "more": 1}, 400),
        ("PUT", "/sale", json.dumps({"files": FILES}) + " " * 1_000_000, 413),
        ("DELETE", "/sale", None, 404),
        ("GET", "/sale/other", None, 404),
    ],
)
def test_a_wrong_request_is_answered_in_a_sentence(method: str, path: str, body: Any, status: int) -> None:
    push()

    answered, told = ask(method, path, body)
    assert (answered, bool(told["message"])) == (status, True), told


@pytest.mark.usefixtures("world")
def test_a_bucket_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    monkeypatch.setattr(BlockObjects, "manifest", refuse)

    status, told = ask("GET", "")
    assert (status, told["message"]) == (503, "The catalog bucket does not answer.")
