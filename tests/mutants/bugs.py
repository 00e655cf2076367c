"""The bugs, each a text of the engine that is there exactly once and what takes its place."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import yaml


class Bug(NamedTuple):
    """One bug.

    Attributes
    ----------
    name
        What is wrong.
    module
        The file, in the package of segments.
    right, wrong
        The text and what takes its place.
    quick
        That the tests of every change look for it too.
    """

    name: str
    module: str
    right: str
    wrong: str
    quick: bool = False

    @property
    def of_columns(self) -> bool:
        """Whether it is in what evaluates everybody at once."""
        return self.module.startswith("columns/")


BUGS: Final = [Bug(**one) for one in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))]
