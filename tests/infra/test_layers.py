"""What a layer contains, and which layers are refused."""

from __future__ import annotations

import ast
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import pytest

from infra.build import layers
from infra.build.layers import BOTOCORE_SERVICES, FUNCTIONS, MAX_UNZIPPED, SOURCES, Size, check_limits
from infra.jobs import EVENT_ARCHIVER, JOBS, LAYERS, Job, Layer
from mailtailor.errors import MailtailorError

SMALL = Size(zipped=1, unzipped=1)
ALL_SMALL: dict[Layer, Size] = dict.fromkeys(LAYERS, SMALL)


@pytest.fixture(scope="session")
def built() -> dict[Layer, Path]:
    return layers.build_layers(layers.platform("local"))


def test_a_built_layer_is_used_again(built: dict[Layer, Path]) -> None:
    # given
    made = {layer: directory.stat().st_ctime_ns for layer, directory in built.items()}
    # when
    again = layers.build_layers(layers.platform("local"))
    # then
    assert again == built
    assert {layer: directory.stat().st_ctime_ns for layer, directory in again.items()} == made


def test_two_builds_at_once_give_one_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(layers, "BUILT", tmp_path)
    target = layers.platform("local")
    # when
    with ThreadPoolExecutor(4) as pool:
        directories = set(pool.map(lambda _: layers.build_layer("mailtailor", target), range(4)))
    # then
    assert len(directories) == 1
    assert [path for path in (tmp_path / "local").iterdir() if path not in directories] == []


def test_an_interrupted_build_leaves_no_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(layers, "BUILT", tmp_path)
    monkeypatch.setattr(layers, "_compile", interrupt)
    # when
    with pytest.raises(KeyboardInterrupt):
        layers.build_layer("mailtailor", layers.platform("local"))
    # then
    assert list((tmp_path / "local").iterdir()) == []


def test_the_hash_of_a_layer_is_that_of_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(layers, "SOURCES", tmp_path)
    module = tmp_path / "mailtailor" / "python" / "mailtailor" / "module.py"
    module.parent.mkdir(parents=True)
    module.write_text("x = 1\n")
    first = layers.layer_hash("mailtailor")
    # when: bytecode appears, which is no content
    (module.parent / "__pycache__").mkdir()
    (module.parent / "__pycache__" / "module.cpython-311.pyc").write_bytes(b"...")
    # then
    assert layers.layer_hash("mailtailor") == first
    # when
    module.write_text("x = 2\n")
    # then
    assert layers.layer_hash("mailtailor") != first


def test_nothing_is_compiled_again_after_unpacking(built: dict[Layer, Path]) -> None:
    for layer, directory in built.items():
        modules = [file for file in directory.rglob("*.py") if file.stat().st_size]
        for module in modules:
            bytecode = module.parent / "__pycache__" / f"{module.stem}.{sys.implementation.cache_tag}.pyc"
            flags = int.from_bytes(bytecode.read_bytes()[4:8], "little")
            assert flags == 0b01, f"{layer}: {module.name} is found stale by its time or its source"


def test_the_functions_need_their_layers_alone(built: dict[Layer, Path]) -> None:
    """Each handler is imported by a bare interpreter that sees its layers and nothing else."""
    jobs = sorted(JOBS, key=lambda job: job.layers)
    for names, group in groupby(jobs, key=lambda job: job.layers):
        handlers = [str(FUNCTIONS / job.name / "handler.py") for job in group]
        script = "\n".join(
            [
                "import runpy, sys",
                f"sys.path[:0] = {[str(built[layer] / 'python') for layer in names]!r}",
                f"for handler in {handlers!r}:",
                "    assert callable(runpy.run_path(handler)['handler'])",
                *(
                    ["from mailtailor.aws import definitions as d", "d.segments(), d.blocks(), d.offers()"]
                    if "definitions" in names
                    else []
                ),
                "from mailtailor.aws import clients",
                "clients.sqs(), clients.dynamodb(), clients.s3(), clients.secrets_manager()",
            ]
        )
        environment = {"AWS_DEFAULT_REGION": "eu-central-1", "POWERTOOLS_METRICS_NAMESPACE": "Mailtailor"}
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_botocore_keeps_the_services_that_the_library_uses() -> None:
    # when
    named, elsewhere = set(), []
    for file in [*SOURCES.joinpath("mailtailor").rglob("*.py"), *FUNCTIONS.rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if file.name == "clients.py" and called == "_client":
                assert isinstance(node.args[0], ast.Constant)
                named.add(node.args[0].value)
            elif called in {"create_client", "resource"} or ast.unparse(node.func) == "boto3.client":
                elsewhere.append(file)
    # then
    assert named == BOTOCORE_SERVICES
    assert {file.name for file in elsewhere} == {"clients.py"}


def test_the_runtime_layer_has_no_service_that_is_not_used(built: dict[Layer, Path]) -> None:
    data = built["runtime"] / "python" / "botocore" / "data"
    assert {path.name for path in data.iterdir() if path.is_dir()} == BOTOCORE_SERVICES
    assert (data / "endpoints.json").exists()
    assert (data / "partitions.json").exists()


def test_licences_are_shipped_with_what_they_allow(built: dict[Layer, Path]) -> None:
    for layer in ("runtime", "archive"):
        assert list(built[layer].glob("python/*.dist-info/**/LICENSE*")), layer


def test_a_function_within_the_limits_is_accepted() -> None:
    fits = ALL_SMALL | {"archive": Size(zipped=1, unzipped=MAX_UNZIPPED - 3)}
    check_limits([EVENT_ARCHIVER], {"event_archiver": SMALL}, fits)


def test_a_function_too_large_with_its_layers_is_refused() -> None:
    too_large = ALL_SMALL | {"archive": Size(zipped=1, unzipped=MAX_UNZIPPED - 2)}
    with pytest.raises(MailtailorError, match=r"event_archiver has 250\.0 MB.*largest layer is archive") as refused:
        check_limits([EVENT_ARCHIVER], {"event_archiver": SMALL}, too_large)
    assert "\n" not in str(refused.value)


def test_a_function_with_six_layers_is_refused() -> None:
    greedy = Job(name="greedy", timeout=1, layers=("runtime",) * 6)
    with pytest.raises(MailtailorError, match="greedy has 6 layers; Lambda takes 5"):
        check_limits([greedy], {"greedy": SMALL}, ALL_SMALL)


def test_what_is_built_here_is_within_the_limits(built: dict[Layer, Path]) -> None:
    assert layers.report(built).row_count == len(LAYERS) + len(JOBS)
