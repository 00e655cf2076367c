"""Mistakes in a block's files stop the deploy, with the file and the line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mailtailor.content.files import check_block, check_references, load_blocks, load_offers
from mailtailor.definition_files import DefinitionError
from mailtailor.segments.engine import Engine
from mailtailor.segments.files import load_segments

DEFINITIONS = Path(__file__).parents[3] / "layers" / "definitions"
ENGINE = Engine(load_segments(DEFINITIONS / "segments"))


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEFINITIONS / "blocks", tmp_path / "blocks"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_shipped_blocks_and_offers_are_in_order() -> None:
    blocks = load_blocks(DEFINITIONS / "blocks")
    check_references(blocks, DEFINITIONS / "blocks", engine=ENGINE)

    assert "hero" in [block.name for block in blocks]
    assert len(load_offers(DEFINITIONS / "offers.yaml").offers) == 9


@pytest.mark.parametrize(
    ("file", "edits", "place", "message"),
    [
        (
            "block.yaml",
            ("template: offer.html.j2", "template: ofer.html.j2"),
            "block.yaml:15",
            "'ofer.html.j2' is missing",
        ),
        ("block.yaml", ("template: offer.html.j2", "template: ../offer.html"), "block.yaml:15", "a file beside"),
        ("block.yaml", ("needs: {offer", "need: {offer"), "block.yaml:14", "Extra inputs"),
        ("block.yaml", ("fallback: fallback.html", ""), "block.yaml:1", "fallback: Field required"),
        ("block.yaml", ("{products: 1}", "{products: 13}"), "block.yaml:9", "less than or equal to 12"),
        ("block.yaml", ("name: greeting", "name: offer"), "block.yaml:1", "'offer' is already taken"),
        ("block.yaml", ("name: hero", "name: other"), "block.yaml:1", "its directory 'hero'"),
        ("block.yaml", ("name: hero", "name: ["), "block.yaml:", "not valid YAML"),
        ("block.yaml", ("name: hero", "name: 2026-02-30"), "block.yaml:1", "not what it looks like"),
        ("block.yaml", ("name: hero", "name: !!bool hero"), "block.yaml:1", "not what it looks like"),
        ("block.yaml", ("name: hero", "name: !hero x"), "block.yaml:1", "could not determine a constructor"),
        ("offer.html.j2", ("{{ offer.text }}", "{{ offer.text }"), "offer.html.j2:6", "unexpected '}'"),
        ("offer.html.j2", ("{{ offer.text }}", "{{ ofer.text }}"), "offer.html.j2:6", "did you mean 'offer'?"),
        ("offer.html.j2", ("{{ offer.text }}", "{{ offer.txt }}"), "offer.html.j2:6", "no attribute 'txt'"),
        ("offer.html.j2", ("{{ offer.text }}", "{{ offer.code }}"), "offer.html.j2:6", "no attribute 'code'"),
        ("offer.html.j2", ("{{ offer.text }}", "{{ offer.text | uper }}"), "offer.html.j2:6", "did you mean 'upper'?"),
        (
            "offer.html.j2",
            ("{{ offer.text }}", "{{ offer.text is strin }}"),
            "offer.html.j2:6",
            "did you mean 'string'?",
        ),
        ("offer.html.j2", ("{{ offer.text }}", "{{ offer.text * 2 }}"), "offer.html.j2:6", "numbers only"),
        ("offer.html.j2", ("{{ offer.text }}", "{{ offer.text.upper() }}"), "offer.html.j2:6", "can be called"),
        ("pieces.html.j2", ("{{ product.price }}", "{{ product.prize }}"), "pieces.html.j2:18", "no attribute 'prize'"),
        ("pieces.html.j2", ("{{ product.price }}", "{{ prodct.price }}"), "pieces.html.j2:18", "no variable 'prodct'"),
        ("greeting.html.j2", ('"pieces"', '"peaces"'), "greeting.html.j2:1", "peaces"),
        ("greeting.html.j2", ("first_name | default", "first_name ~ default"), "greeting.html.j2:7", "not available"),
        ("greeting.txt.j2", ("{% endfor %}", ""), "greeting.txt.j2:", "looking for 'endfor'"),
    ],
)
def test_a_mistake_is_named_by_file_and_line(
    blocks: Path, file: str, edits: tuple[str, str], place: str, message: str
) -> None:
    # given
    edit(blocks / "hero" / file, *edits)

    # when
    with pytest.raises(DefinitionError) as caught:
        load_blocks(blocks)

    # then
    assert place in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("inserted", "line", "message"),
    [
        ('<img src="https://shop.example/a.png" width="1">', 2, "without alt"),
        ("<style>td { color: #222222 </style><link rel=stylesheet href=a.css>", 2, "nothing is fetched"),
        ("<table>{% if offer.code is defined %}code{% endif %}<tr><td>x</td></tr></table>", 1, "text between rows"),
    ],
)
def test_what_clients_and_people_stumble_over_stops_with_file_and_line(
    blocks: Path, inserted: str, line: int, message: str
) -> None:
    # given
    template = blocks / "hero" / "offer.html.j2"
    template.write_text(f"<style>td {{ color: #222222 }}</style>\n{inserted}", encoding="utf-8")

    # then
    with pytest.raises(DefinitionError, match=rf"offer\.html\.j2:{line}: .*{message}"):
        load_blocks(blocks)


def test_a_block_is_compiled_when_it_is_read(blocks: Path) -> None:
    # given a template with a style sheet
    template = blocks / "hero" / "offer.html.j2"
    template.write_text("<style>p { color: #222222 }</style><p>{{ offer.text }}</p>", encoding="utf-8")

    # when
    [hero] = [block for block in load_blocks(blocks) if block.name == "hero"]

    # then
    assert hero.variants[1].template == '<p style="color: #222222;">{{ offer.text }}</p>\n'


def test_what_takes_too_much_only_once_it_is_compiled_stops_with_its_file(blocks: Path) -> None:
    # given a value that compiling writes into each of a thousand elements
    template = blocks / "hero" / "offer.html.j2"
    template.write_text("<style>p { color: {{ '#222222' }} }</style>" + "<p>x</p>" * 1_000, encoding="utf-8")

    # then
    with pytest.raises(DefinitionError, match=r"offer\.html\.j2:1: compiled, a template has at most 2500 words"):
        load_blocks(blocks)


def test_what_only_needs_thought_is_told_and_stops_nothing(blocks: Path) -> None:
    # given
    template = blocks / "hero" / "offer.html.j2"
    template.write_text('<div style="display:flex">{{ offer.text }}</div>', encoding="utf-8")

    # when
    checked = check_block(blocks / "hero" / "block.yaml")

    # then
    assert checked.block is not None
    assert "offer.html.j2:1: warning: display:flex: not in Outlook (Windows)" in map(str, checked.findings)


def test_what_only_looks_plainer_is_told_once_a_block_and_what_breaks_in_each_file(blocks: Path) -> None:
    # given
    for name in ("offer", "greeting"):
        text = '<div style="display:flex;border-radius:2px">x</div>'
        (blocks / "hero" / f"{name}.html.j2").write_text(text, encoding="utf-8")

    # when
    said = [str(finding) for finding in check_block(blocks / "hero" / "block.yaml").findings]

    # then
    assert len([one for one in said if "border-radius" in one]) == 1
    assert len([one for one in said if "display:flex" in one]) == 2


def test_an_audience_that_is_no_segment_is_named_with_what_was_meant(blocks: Path) -> None:
    edit(blocks / "hero" / "block.yaml", "recent_purchasers", "recent_purchaser")

    with pytest.raises(DefinitionError, match=r"block.yaml:13: .*did you mean 'recent_purchasers'"):
        check_references(load_blocks(blocks), blocks, engine=ENGINE)


def test_a_directory_without_its_block_file_is_a_mistake(blocks: Path) -> None:
    (blocks / "footer").mkdir()

    with pytest.raises(DefinitionError, match=r"footer/block.yaml:1: the file is missing"):
        load_blocks(blocks)


@pytest.mark.parametrize("directory", ["empty", "missing"])
def test_no_blocks_at_all_are_a_mistake(tmp_path: Path, directory: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(DefinitionError, match="there is no block"):
        load_blocks(tmp_path / directory)


@pytest.mark.parametrize(("content", "message"), [(b" \n", "is empty"), (b"\xff\xfe", "not UTF-8")])
def test_a_template_without_text_is_a_mistake(blocks: Path, content: bytes, message: str) -> None:
    (blocks / "hero" / "fallback.txt").write_bytes(content)

    with pytest.raises(DefinitionError, match=f"fallback.txt:1: .*{message}"):
        load_blocks(blocks)


def test_an_offer_that_makes_no_sense_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "offers.yaml"
    path.write_text("offers:\n  - name: a\n    headline: b\n    text: c\n    url: nowhere\n", encoding="utf-8")

    with pytest.raises(DefinitionError, match=r"offers.yaml:5: offers → 0 → url"):
        load_offers(path)
