"""Definitions are checked before anything is deployed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from infra.build import layers
from infra.build.definitions import compile_definitions
from mailtailor.content.block import Block
from mailtailor.content.countdown import CountdownList
from mailtailor.content.offer import OfferList
from mailtailor.definition_files import DefinitionError
from mailtailor.segments.definition import SegmentDefinition


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    """Return a copy of the repository's own definitions, to be broken."""
    copy = tmp_path / "definitions"
    shutil.copytree(layers.SOURCES / "definitions", copy)
    return copy


def test_functions_read_back_what_was_compiled(definitions: Path) -> None:
    # when
    compiled = compile_definitions(definitions)
    # then
    segments = [SegmentDefinition.model_validate(each) for each in json.loads(compiled["segments.json"])]
    blocks = [Block.model_validate(each) for each in json.loads(compiled["blocks.json"])]
    assert {segment.name for segment in segments} == {file.stem for file in definitions.glob("segments/*.*")}
    assert {block.name for block in blocks} == {folder.name for folder in definitions.glob("blocks/*")}
    assert OfferList.model_validate_json(compiled["offers.json"])
    countdowns = CountdownList.model_validate_json(compiled["countdowns.json"]).countdowns
    assert all(countdown.until for countdown in countdowns)


def test_a_faulty_segment_stops_the_build_with_file_and_line(
    definitions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    file = definitions / "segments" / "recent_purchasers.yaml"
    lines = file.read_text().splitlines()
    number = next(index for index, line in enumerate(lines, start=1) if "within:" in line)
    lines[number - 1] = lines[number - 1].partition("within:")[0] + "within: soon"
    file.write_text("\n".join(lines))
    monkeypatch.setattr(layers, "SOURCES", definitions.parent)
    monkeypatch.setattr(layers, "LAYERS", ("definitions",))
    # when
    with pytest.raises(DefinitionError) as refused:
        layers.build_layer("definitions", layers.platform("local"))
    # then
    assert f"{file}:{number}:" in str(refused.value)


@pytest.mark.parametrize("missing", ["segments", "blocks", "offers.yaml", "countdowns.yaml", "blocks/hero/block.yaml"])
def test_a_missing_definition_stops_the_build_and_is_named(definitions: Path, missing: str) -> None:
    # given
    path = definitions / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    # when
    with pytest.raises(DefinitionError) as refused:
        compile_definitions(definitions)
    # then
    assert str(definitions / missing.partition("/")[0]) in str(refused.value)


def test_a_missing_template_stops_the_build_with_the_line_that_names_it(definitions: Path) -> None:
    # given
    (definitions / "blocks" / "hero" / "offer.html.j2").unlink()
    block = definitions / "blocks" / "hero" / "block.yaml"
    number = next(
        index for index, line in enumerate(block.read_text().splitlines(), start=1) if "offer.html.j2" in line
    )
    # when
    with pytest.raises(DefinitionError) as refused:
        compile_definitions(definitions)
    # then
    assert f"{block}:{number}:" in str(refused.value)


def test_the_command_answers_a_fault_with_one_sentence(
    definitions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    (definitions / "offers.yaml").unlink()
    monkeypatch.setattr(layers, "SOURCES", definitions.parent)
    monkeypatch.setattr(layers, "LAYERS", ("definitions",))
    monkeypatch.setattr(layers.build_layers, "__defaults__", (("definitions",),))
    # when
    code = layers.main(["--platform", "local"])
    # then
    assert code == 1
    said = capsys.readouterr().out.strip()
    assert said.replace("\n", "") == f"{definitions / 'offers.yaml'}:1: the file is missing."
