"""Compiles the definitions (segments, blocks, offers, countdowns) into the package that functions load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

PACKAGE: Final = "mailtailor_definitions"
_INIT: Final = '"""Definitions, compiled from layers/definitions when Mailtailor was built."""\n'


def compile_definitions(source: Path) -> dict[str, str]:
    """Return the package's files by name, from the definitions under `source`.

    Raises
    ------
    DefinitionError
        If a definition is missing or cannot be used; names file and line.
    """
    # Imported here because pydantic and YAML are of no use to whoever builds only the other layers.
    from mailtailor.content.files import check_references, load_blocks, load_countdowns, load_offers  # noqa: PLC0415
    from mailtailor.definition_files import DefinitionError  # noqa: PLC0415
    from mailtailor.segments import cost  # noqa: PLC0415
    from mailtailor.segments.engine import Engine  # noqa: PLC0415
    from mailtailor.segments.files import load_segments, load_vocabulary  # noqa: PLC0415

    segments = load_segments(source / "segments")
    try:
        cost.check_all(segments)
    except ValueError as error:
        raise DefinitionError(source / "segments", 1, f"{error}.") from error
    blocks = load_blocks(source / "blocks")
    vocabulary = load_vocabulary(source / "segments")
    check_references(blocks, source / "blocks", engine=Engine(segments), vocabulary=vocabulary)
    offers = load_offers(source / "offers.yaml")
    countdowns = load_countdowns(source / "countdowns.yaml", [block.name for block in blocks])
    return {
        "__init__.py": _INIT,
        "segments.json": _json(
            [segment.model_dump(mode="json", by_alias=True, exclude_unset=True) for segment in segments]
        ),
        "blocks.json": _json([block.model_dump(mode="json", by_alias=True, exclude_unset=True) for block in blocks]),
        "offers.json": _json(offers.model_dump(mode="json", by_alias=True)),
        "countdowns.json": _json(countdowns.model_dump(mode="json", by_alias=True)),
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
