"""The blocks that came with the function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mailtailor.content.render import Renderer


@dataclass(frozen=True, slots=True)
class DeployedBlock:
    """A block that came with the function."""

    renderer: Renderer


class DeployedBlocks:
    """Finds them; see `content.Blocks`."""

    complete: Final = True

    def __init__(self, renderers: Mapping[str, Renderer]) -> None:
        self._blocks = {name: DeployedBlock(renderer) for name, renderer in renderers.items()}

    def find(self, name: str) -> DeployedBlock | None:
        """Return a block."""
        return self._blocks.get(name)

    def at_hand(self, name: str) -> DeployedBlock | None:
        """Return a block."""
        return self._blocks.get(name)
