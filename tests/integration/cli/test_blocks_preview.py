"""`mailtailor blocks preview` and `coverage`: what the functions answer, as a page, pictures, a tree and a table."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner, Result

from mailtailor.content.admin_request import read_request
from mailtailor.content.block import Block
from mailtailor.content.catalog import Catalog
from mailtailor.content.preview import Who, preview, read_settings
from mailtailor.content.preview_request import PARTS, CoverageRequest, PreviewRequest
from mailtailor.content.render import Renderer
from mailtailor.content.select import Shelf
from mailtailor.errors import MailtailorError
from mailtailor.instant import DAY
from mailtailor.segments.engine import Engine
from mailtailor_cli import block_preview, pictures
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from mailtailor_cli.preview_page import DESKTOP, PHONE, framed
from tests.unit.segments.people import NOW, definition, person

HOSTILE: Final = "<script>document.title='run'</script>\"'&{{"
ENGINE: Final = Engine([definition({"event": "order_completed", "within": "7d"}, "buyers")])
BLOCK: Final = {
    "name": "hero",
    "description": "A block.",
    "inputs": {"headline": {"type": "text", "default": "Hi"}},
    "variants": [
        {"name": "buyers", "audience": ["buyers"], "template": "<p>Thank you {{ recipient.first_name }}</p>"},
        {"name": "all", "template": "<h1 style='height:700px'>{{ inputs.headline }}</h1>"},
    ],
    "fallback": f"<p>Welcome</p>{HOSTILE}",
    "fallback_text": "Welcome",
}
BUYER: Final = person(ENGINE, ("order_completed", NOW - DAY, {}), first_name="Anna")


@dataclass
class Lambda:
    """The edge of Lambda: answers as the functions do, and keeps what was asked."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    parts: Callable[[int], dict[str, Any]] = lambda _part: {}

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        event = json.loads(Payload)
        assert event["requestContext"]["http"]["method"] == "POST"
        body = json.loads(event["body"])
        self.asked.append(body)
        answer = self.preview(body) if FunctionName == "preview-function" else self.coverage(body)
        return {"Payload": io.BytesIO(json.dumps({"statusCode": 200, "body": json.dumps(answer)}).encode())}

    def preview(self, body: dict[str, Any]) -> dict[str, Any]:
        wish = read_request(body, PreviewRequest)
        block = wish.drafts_by_name.get("hero") or Block.model_validate(BLOCK)
        shown = preview(
            wish.who,
            BUYER if wish.who is Who.RECIPIENT else None,
            Renderer(block, ENGINE.audience),
            read_settings(block, wish.set, wish.format),
            wish.instant(NOW),
            engine=ENGINE,
            shelf=Shelf(Catalog(), ()),
        )
        return shown.payload()

    def coverage(self, body: dict[str, Any]) -> dict[str, Any]:
        wish = read_request(body, CoverageRequest)
        common = {"block": "hero", "variants": ["buyers", "all"], "generic": ["all", "fallback"], "whole": True}
        nobody = {"looked_at": 0, "shown": {}, "passed_over": [], "fallbacks": {}, "unreadable": 0}
        return common | nobody | self.parts(wish.part)


class System(Connection):
    """A system of which only the functions answer."""

    function = Lambda()

    def client(self, service: str) -> Any:
        assert service == "lambda"
        return self.function


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Lambda:
    answering = Lambda()
    monkeypatch.setattr(System, "function", answering)
    outputs = {"BlockPreviewFunction": "preview-function", "BlockCoverageFunction": "coverage-function"}
    monkeypatch.setattr(block_preview, "connect", lambda _where: System("the test system", outputs))
    monkeypatch.setenv("COLUMNS", "140")
    return answering


def run(command: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["blocks", command, "hero", *arguments])


@pytest.mark.usefixtures("function")
def test_the_variant_and_the_way_to_it_are_told_with_truth_and_evidence() -> None:
    # when
    result = run("preview", "--as", "A" * 22)
    # then
    assert result.exit_code == 0, result.exception
    assert result.output.rstrip() == (
        f"hero shows {'A' * 22} the variant buyers at 2026-09-21 14:13:20 UTC: 21 bytes.\n"
        "▸ buyers: It is shown.\n"
        "└── ✓ they are in the segment buyers\n"
        "      true until 2026-09-27 14:13:20 UTC if nothing happens\n"
        "    └── ✓ they have bought in the last 7 days\n"
        "          the last purchase was on 2026-09-20 14:13:20 UTC; it leaves the window on 2026-09-27 14:13:20 UTC\n"
        "          true until 2026-09-27 14:13:20 UTC if nothing happens\n"
        "· all: One before it is shown."
    )


def test_what_is_asked_for_is_what_the_function_takes(function: Lambda) -> None:
    # when
    run("preview", "--empty", "--at", "2026-01-01T00:00:00Z", "--set", "headline=Good day", "--form", "text")
    run("preview", "--outage", "--draft")
    run("preview", "--version", "0")
    # then
    assert function.asked == [
        {"set": {"headline": "Good day"}, "at": "2026-01-01T00:00:00Z", "who": "empty", "form": "text"},
        {"set": {}, "version": "newest", "who": "outage", "form": "html"},
        {"set": {}, "version": 0, "who": "anonymous", "form": "html"},
    ]


@pytest.mark.usefixtures("function")
def test_the_block_alone_goes_to_standard_output_if_a_form_is_named() -> None:
    # when
    html, text, told = (run("preview", "--as", "A" * 22, "--form", form) for form in ("html", "text", "json"))
    # then
    assert html.stdout == "<p>Thank you Anna</p>\n"
    assert text.stdout.strip() == "Thank you Anna"
    assert json.loads(told.stdout)["variant"] == "buyers"
    assert "▸ buyers: It is shown." in html.stderr


@pytest.mark.usefixtures("function")
def test_a_page_shows_all_looks_in_frames_that_run_no_scripts(tmp_path: Path) -> None:
    # when
    result = run("preview", "--outage", "--out", str(tmp_path / "preview"))
    # then
    assert result.exit_code == 0, result.exception
    page = (tmp_path / "preview" / "index.html").read_text(encoding="utf-8")
    assert page.count("<iframe ") == 4
    assert set(re.findall(r'<iframe sandbox="([^"]*)"', page)) == {"allow-same-origin"}
    assert "script-src 'sha256-" in page
    # the block's own markup is text of an attribute, nothing of it is the page's
    assert HOSTILE not in page
    assert page.count("<script>") == 1
    assert "Nothing that the block needs answers in time" in page
    assert (tmp_path / "preview" / "block.html").read_text(encoding="utf-8") == BLOCK["fallback"]
    assert (tmp_path / "preview" / "block.txt").read_text(encoding="utf-8").startswith("Welcome")
    assert json.loads((tmp_path / "preview" / "block.json").read_text(encoding="utf-8"))["variant"] == "fallback"


needs_chromium = pytest.mark.skipif(not any(map(shutil.which, pictures.NAMES)), reason="no Chromium is installed")


def size(png: Path) -> tuple[int, int]:
    header = png.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    return int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")


@needs_chromium
@pytest.mark.usefixtures("function")
def test_pictures_are_as_wide_as_asked_and_as_high_as_the_block(tmp_path: Path) -> None:
    # when
    result = run("preview", "--empty", "--out", str(tmp_path), "--png", "--width", "360")
    # then
    assert result.exit_code == 0, result.exception
    width, height = size(tmp_path / "phone-360.png")
    assert width == 360
    assert 700 <= height <= 800
    assert [file.name for file in tmp_path.glob("*.png")] == ["phone-360.png"]


@needs_chromium
def test_a_phone_is_as_high_as_the_block_is_on_a_phone(tmp_path: Path) -> None:
    # given: a block that is higher where it is narrower
    body = "<style>p{margin:0;height:100px}@media(max-width:400px){p{height:900px}}</style><p>x</p>"
    # when
    heights = []
    for look in (PHONE, DESKTOP):
        pictures.take(pictures.find_browser(), framed(look, body), look.width, tmp_path / f"{look.name}.png")
        heights.append(size(tmp_path / f"{look.name}.png")[1])
    # then
    assert heights == [900, 100]


@needs_chromium
@pytest.mark.usefixtures("function")
def test_scripts_in_a_block_do_not_run_in_a_picture(tmp_path: Path) -> None:
    # given: a script that would make the block far higher
    page = framed(DESKTOP, "<p>x</p><script>document.body.style.height='5000px'</script>")
    # when
    pictures.take(pictures.find_browser(), page, 600, tmp_path / "x.png")
    # then
    assert size(tmp_path / "x.png")[1] < 200


@pytest.mark.usefixtures("function")
def test_without_a_browser_that_is_a_sentence_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # given
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    # when
    result = run("preview", "--empty", "--out", str(tmp_path / "x"), "--png")
    # then
    assert str(result.exception).startswith("No Chromium was found on this machine, so there are no pictures.")
    assert not (tmp_path / "x").exists()


def test_a_block_of_a_directory_is_sent_along_with_those_inside_it(function: Lambda, tmp_path: Path) -> None:
    # given
    for name, more in (("hero", "blocks: {top: {block: header}}\n"), ("header", ""), ("other", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "block.yaml").write_text(
            f"name: {name}\ndescription: d\nvariants: [{{name: all, template: all.html}}]\nfallback: f.html\n{more}"
        )
        (tmp_path / name / "all.html").write_text("<p>Draft</p>")
        (tmp_path / name / "f.html").write_text("<p>x</p>")
    # when
    result = run("preview", "--empty", "--directory", str(tmp_path))
    # then
    assert result.exit_code == 0, result.exception
    assert [draft["name"] for draft in function.asked[0]["drafts"]] == ["hero", "header"]
    assert "the variant all" in result.output


@pytest.mark.usefixtures("function")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--as", "A" * 22, "--empty"), "--as, --empty and --outage exclude each other."),
        (("--form", "pdf"), "A block has no form 'pdf'."),
        (("--png",), "Pictures need a place to go."),
        (("--out", "x", "--dark"), "--width and --dark are for pictures."),
        (("--out", "x", "--png", "--width", "500"), "Mails are not looked at 500 pixels wide."),
        (("--set", "headline"), "--set 'headline' has no value."),
        (("--draft", "--version", "2"), "--directory, --version and --draft exclude each other."),
        (("--directory", "/nowhere"), "There is no block 'hero' in /nowhere."),
    ],
)
def test_what_cannot_be_done_is_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    # when
    error = run("preview", *arguments).exception
    # then
    assert isinstance(error, MailtailorError)
    assert str(error).startswith(sentence)


def seen(part: int) -> dict[str, Any]:
    """Return what each part of a table of 640 people tells: of ten, one allows nothing and seven see what all see."""
    assert 0 <= part < PARTS
    return {
        "looked_at": 10,
        "shown": {"buyers": 2, "all": 7, "fallback": 1},
        "passed_over": [["buyers", "audience", 6], ["buyers", "UndefinedError", 1]],
        "fallbacks": {"no_consent": 1},
    }


def test_shares_are_told_with_reasons_and_of_a_whole_table_without_a_margin(function: Lambda) -> None:
    # given
    function.parts = seen
    # when
    output = run("coverage", "--sample", "1000").output
    # then
    assert len(function.asked) == PARTS
    assert {asked["part"] for asked in function.asked} == set(range(PARTS))
    assert "hero, of everybody, 640 people:" in output
    assert re.search(r"buyers .* 20\.0 % .* not in its audience 60\.0 %, it fails \(UndefinedError\) 10\.0 %", output)
    assert re.search(r"fallback .* 10\.0 % .* allowed no personal content 10\.0 %", output)
    assert (
        "80.0 % would see nothing that is theirs in particular (all, fallback); the static variant because: "
        "allowed no personal content 10.0 %.\n"
    ) in output
    assert "±" not in output


def test_a_sample_ends_when_it_is_large_enough_and_tells_how_far_it_may_be_off(function: Lambda) -> None:
    # given
    function.parts = seen
    # when
    output = run("coverage", "--sample", "100").output
    # then
    assert [asked["limit"] for asked in function.asked] == [7] * 10
    assert "hero, of 100 people at random:" in output
    assert "20.0 % ± 8.9" in output
    assert "In 95 of 100 such samples, the true share is within what follows ±." in output


def test_numbers_can_be_had_as_json(function: Lambda) -> None:
    # given
    function.parts = seen
    # when
    told = json.loads(run("coverage", "--sample", "20", "--json").stdout)
    # then
    assert (told["looked_at"], told["shown"], told["whole"]) == (20, {"buyers": 4, "all": 14, "fallback": 2}, False)


@pytest.mark.usefixtures("function")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--sample", "0"), "A sample has 1 to 5,000 people."),
        (("--sample", "5001"), "A sample has 1 to 5,000 people."),
        ((), "There are no profiles to look at."),
    ],
)
def test_what_cannot_be_counted_is_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    assert str(run("coverage", *arguments).exception).startswith(sentence)


def test_a_system_deployed_before_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(block_preview, "connect", lambda _where: System("the test system", {}))
    # then
    assert str(run("preview").exception) == "The test system has no previews of blocks. Deploy it again."
