"""What functions load from the definitions layer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.build.definitions import PACKAGE, compile_definitions
from mailtailor.aws import definitions
from mailtailor.errors import MailtailorError

SOURCE = Path(__file__).parents[3] / "layers" / "definitions"


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the unpacked layer, on the path of imports."""
    forget()
    package = tmp_path / PACKAGE
    package.mkdir()
    for name, text in compile_definitions(SOURCE).items():
        (package / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    forget()


def forget() -> None:
    sys.modules.pop(PACKAGE, None)
    for definition in (definitions.segments, definitions.blocks, definitions.offers, definitions.countdowns):
        definition.cache_clear()


def test_what_was_compiled_is_what_is_loaded(layer: Path) -> None:
    assert layer.is_dir()
    assert {segment.name for segment in definitions.segments()} >= {"recent_purchasers", "browse_abandoners"}
    assert {block.name for block in definitions.blocks()} >= {"hero", "newsletter"}
    assert "everywhere" in {offer.name for offer in definitions.offers().offers}
    assert "winter_sale" in {countdown.name for countdown in definitions.countdowns().countdowns}


@pytest.mark.parametrize("content", ["", "{", "{}", '[{"name": "hero"}]'])
def test_a_damaged_layer_is_named_and_what_to_do_about_it(layer: Path, content: str) -> None:
    (layer / "blocks.json").write_text(content, encoding="utf-8")

    with pytest.raises(MailtailorError, match=r"blocks\.json cannot be used: .*deploy the definitions layer again"):
        definitions.blocks()


def test_a_layer_without_a_file_is_named_too(layer: Path) -> None:
    (layer / "offers.json").unlink()

    with pytest.raises(MailtailorError, match=r"offers\.json is missing"):
        definitions.offers()
