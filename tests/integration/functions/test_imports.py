"""What the functions on a recipient's path load when they start, and how long that takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.bench.content import first_answer

FUNCTIONS: Final = ("open_pixel", "click_redirect")
ROUNDS: Final = 7
LIMIT: Final = 1.2


def printed(code: str) -> str:
    """Return what `code` prints in a process of its own, with the environment of no function."""
    arguments = [sys.executable, "-c", code]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, env={"POWERTOOLS_SERVICE_NAME": "t"})
    return done.stdout


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_heavy_is_loaded(function: str) -> None:
    loaded = printed(f"import sys, functions.{function}.handler; print(*sys.modules)").split()
    assert not {"pydantic", "jinja2", "boto3"} & set(loaded)


def test_content_does_not_load_what_draws_images() -> None:
    loaded = printed("import sys, functions.dynamic_content.handler; print(*sys.modules)").split()
    assert "PIL" not in loaded


def test_content_loads_nothing_that_blocks_are_published_with() -> None:
    loaded = printed("import sys, functions.dynamic_content.handler; print(*sys.modules)").split()
    assert not {"css_inline", "mjml", "tinycss2", "mailtailor.content.compile", "mailtailor.content.lint"} & set(loaded)


def test_content_loads_no_sdk() -> None:
    loaded = printed("import sys, functions.dynamic_content.handler; print(*sys.modules)").split()
    assert not {"boto3", "botocore.session", "botocore.client", "duckdb", "urllib3", "yaml"} & set(loaded)


def test_the_first_answer_takes_at_most_twice_an_import_of_boto3(tmp_path: Path) -> None:
    # The median of pairs measured in turn: what else the machine does slows both of a pair.
    assert first_answer(tmp_path, runs=ROUNDS) <= 2


@pytest.mark.parametrize("function", FUNCTIONS)
def test_importing_takes_at_most_a_fifth_longer_than_importing_boto3(function: str) -> None:
    # CPU time, the least of several taken in turn: what else the machine does must not decide.
    def seconds(module: str) -> float:
        return float(printed(f"import time, {module}; print(time.process_time())"))

    rounds = [(seconds(f"functions.{function}.handler"), seconds("boto3")) for _ in range(ROUNDS)]
    ours, theirs = (min(times) for times in zip(*rounds, strict=True))
    assert ours <= LIMIT * theirs
