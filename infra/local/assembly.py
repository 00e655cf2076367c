"""Synthesizes the CDK app for this machine, and only when something that it is made from has changed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from infra.local import environments

INPUTS: Final = ("infra", "functions", "layers", "cdk.json", "pyproject.toml", "requirements/dev.txt")
NOT_INPUTS: Final = frozenset({"local", "__pycache__"})
CONTEXT: Final = {"platform": "local"}
"""Layers are built for this interpreter; nothing else in the templates differs from what is deployed to AWS."""

MADE_FROM: Final = "made-from"
"""The file of an assembly that holds the digest of its inputs."""


def key() -> str:
    """Return a digest of everything that the templates and assets are made from."""
    return environments.digest(_inputs(), sys.version, sys.platform)


def _inputs() -> Iterator[Path]:
    for name in INPUTS:
        path = environments.ROOT / name
        if path.is_file():
            yield path
        for directory, below, files in os.walk(path):
            below[:] = [child for child in below if child not in NOT_INPUTS]
            yield from (Path(directory, file) for file in files)


def synthesize(directory: Path) -> Path:
    """Return the cloud assembly in `directory`, written again if its inputs have changed."""
    made_from = directory / MADE_FROM
    wanted = key()
    if not made_from.exists() or made_from.read_text() != wanted:
        shutil.rmtree(directory, ignore_errors=True)
        environments.run(
            [sys.executable, "-m", "infra.app"],
            doing="Synthesizing the templates",
            environment={**os.environ, "CDK_OUTDIR": str(directory), "CDK_CONTEXT_JSON": json.dumps(CONTEXT)},
        )
        made_from.write_text(wanted)
    return directory
