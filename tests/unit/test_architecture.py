"""The rules by which the parts of the repository may use each other, held against their imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
LIBRARY: Final = ROOT / "layers" / "mailtailor" / "python"
EDGE: Final = {"aws", "esp"}
"""The packages that know the outside world; every other one is domain."""

OUTSIDE: Final = {"aws_lambda_powertools", "boto3", "botocore", "http", "os", "requests", "socket", "urllib3"}
VAGUE: Final = {"base", "common", "helpers", "manager", "misc", "shared", "utils"}


def modules(directory: Path) -> dict[str, Path]:
    """Return the files below `directory` by the names of their modules."""
    files = {file.relative_to(directory).with_suffix(""): file for file in directory.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): file for name, file in files.items()}


def imported(file: Path) -> Iterator[str]:
    """Yield what `file` imports when it runs, a name in a module as `module.name`; what only types need is left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body.clear()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


LIBRARY_MODULES: Final = modules(LIBRARY)
DOMAIN: Final = [name for name in LIBRARY_MODULES if "." in name and name.split(".")[1] not in EDGE]
FUNCTIONS: Final = sorted((ROOT / "functions").glob("*/handler.py"))


@pytest.mark.parametrize("name", DOMAIN)
def test_the_domain_knows_nothing_of_aws_the_network_or_the_environment(name: str) -> None:
    # when
    used = list(imported(LIBRARY_MODULES[name]))
    # then
    allowed_outside = OUTSIDE - {"duckdb"} if name == "mailtailor.events.archive" else OUTSIDE
    assert not [one for one in used if one.split(".")[0] in allowed_outside]
    assert not [
        one for one in used if one in {"os", "os.environ"} or one.startswith(("mailtailor.aws", "mailtailor.esp"))
    ]


@pytest.mark.parametrize("name", DOMAIN)
def test_the_domain_is_told_the_time(name: str) -> None:
    # when
    text = LIBRARY_MODULES[name].read_text(encoding="utf-8")
    # then
    assert not [call for call in ("time.time", "datetime.now(", "utcnow(", "monotonic(") if call in text]


def test_esp_modules_know_no_aws() -> None:
    # given
    esp = [name for name in LIBRARY_MODULES if name.startswith("mailtailor.esp")]
    # then
    for name in esp:
        assert not [one for one in imported(LIBRARY_MODULES[name]) if one.startswith(("boto", "mailtailor.aws"))]


def test_no_modules_of_the_library_import_each_other_in_a_circle() -> None:
    # given
    graph = {
        name: {
            known
            for one in imported(file)
            for known in (one, one.rpartition(".")[0])
            if known in LIBRARY_MODULES and known != name
        }
        for name, file in LIBRARY_MODULES.items()
    }
    # then: a circle would raise
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("file", FUNCTIONS, ids=lambda file: file.parent.name)
def test_a_function_imports_the_library_and_what_its_layers_carry_alone(file: Path) -> None:
    # when
    used = {one.split(".")[0] for one in imported(file)}
    # then
    assert not used & {"boto3", "cli", "functions", "infra", "mailtailor_cli", "os", "tests"}


@pytest.mark.parametrize("file", FUNCTIONS, ids=lambda file: file.parent.name)
def test_all_functions_are_composed_in_the_same_way(file: Path) -> None:
    # when
    text = file.read_text(encoding="utf-8")
    # then
    assert "dependencies = prepared(connect)\n" in text
    assert "@logger.inject_lambda_context(" in text
    assert "@metrics.log_metrics\n" in text


@pytest.mark.parametrize("top", ["layers/mailtailor/python", "infra", "cli"])
def test_what_is_delivered_needs_no_tests(top: str) -> None:
    for name, file in modules(ROOT / top).items():
        assert not [one for one in imported(file) if one.split(".")[0] == "tests"], name


def test_every_module_says_by_its_name_what_is_in_it() -> None:
    # given
    tops = (ROOT / "layers" / "mailtailor", ROOT / "functions", ROOT / "infra", ROOT / "cli", ROOT / "tests")
    # then
    assert not [file for top in tops for file in top.rglob("*.py") if file.stem in VAGUE]
