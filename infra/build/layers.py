"""Builds the layers, for Lambda and for this machine, without Docker.

A built layer lies in `.build/layers/<platform>/<layer>-<hash of its content and platform>` and is kept until that
hash changes. `python -m infra.build.layers --platform lambda` builds all and reports their sizes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform as machine
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

from rich.console import Console
from rich.table import Table

from infra.build.definitions import PACKAGE, compile_definitions
from infra.jobs import JOBS, LAYERS, Job, Layer
from mailtailor.errors import MailtailorError

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = ROOT / "layers"
BUILT: Final = ROOT / ".build" / "layers"
FUNCTIONS: Final = ROOT / "functions"

MAX_UNZIPPED: Final = 250 * 1024 * 1024
"""Of a function with its layers (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""
MAX_LAYERS: Final = 5

BOTOCORE_SERVICES: Final = frozenset({"cloudwatch", "dynamodb", "s3", "secretsmanager", "sqs"})
"""The services whose descriptions stay in botocore; those of all others are three quarters of the layer's size."""

PlatformName = Literal["lambda", "local"]
_NOT_SHIPPED: Final = ("__pycache__", "tests", "test", "bin", ".lock")


@dataclass(frozen=True, kw_only=True)
class Platform:
    """Where a layer runs.

    Parameters
    ----------
    name
        `lambda` or `local`.
    tag
        Names interpreter and machine; layers of another tag are never taken.
    install_options
        For uv, to choose wheels of this platform.
    compiler
        An interpreter of the platform's minor version, if this machine has one.
    """

    name: PlatformName
    tag: str
    install_options: tuple[str, ...]
    compiler: Path | None


@dataclass(frozen=True, kw_only=True)
class Size:
    """Of a layer or a function, in bytes."""

    zipped: int
    unzipped: int

    def __add__(self, other: Size) -> Size:
        return Size(zipped=self.zipped + other.zipped, unzipped=self.unzipped + other.unzipped)


@cache
def platform(name: PlatformName) -> Platform:
    """Return the platform of that name as this machine can build it."""
    if name == "local":
        tag = f"{sys.implementation.cache_tag}-{sys.platform}-{machine.machine()}"
        options: tuple[str, ...] = ("--python", sys.executable)
        return Platform(name=name, tag=tag, install_options=options, compiler=Path(sys.executable))
    compiler = _interpreter("3.13")
    options = (
        *("--python-platform", "aarch64-manylinux_2_28", "--python-version", "3.13"),
        *("--only-binary", ":all:"),
    )
    tag = f"cpython-313-linux-aarch64{'' if compiler else '-uncompiled'}"
    return Platform(name=name, tag=tag, install_options=options, compiler=compiler)


def layer_hash(layer: Layer) -> str:
    """Return the hash of what `layer` is made of; the same for every platform, so that templates are too."""
    digest = hashlib.sha256(layer.encode())
    for name, content in _source(layer):
        digest.update(f"\0{name}\0{len(content)}\0".encode())
        digest.update(content)
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()[:20]


def build_layer(layer: Layer, target: Platform) -> Path:
    """Return the directory of the built `layer`, built now unless it is there already.

    The directory appears in one step, so that two builds at once and an interrupted one do no harm.

    Raises
    ------
    MailtailorError
        If a package cannot be installed, or a definition is faulty (with file and line).
    """
    key = hashlib.sha256(f"{layer_hash(layer)} {target.tag}".encode()).hexdigest()[:20]
    built = BUILT / target.name / f"{layer}-{key}"
    if built.exists():
        return built
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=built.parent, prefix=f".{layer}-") as temporary:
        draft = Path(temporary) / "layer"
        (draft / "python").mkdir(parents=True)
        _fill(layer, target, draft / "python")
        _compile(target, draft)
        try:
            draft.rename(built)
        except OSError:
            # Another build of the same content was first; anything else is a real fault.
            if not built.exists():
                raise
    return built


def build_layers(target: Platform, layers: Sequence[Layer] = LAYERS) -> dict[Layer, Path]:
    """Return the directories of all built `layers`."""
    return {layer: build_layer(layer, target) for layer in layers}


def size(directory: Path) -> Size:
    """Return the size of `directory`'s files, zipped as for an upload and unzipped."""
    note = directory.with_name(f"{directory.name}.size.json")
    if note.exists():
        return Size(**json.loads(note.read_text()))
    files = [file for file in directory.rglob("*") if file.is_file()]
    with tempfile.TemporaryFile() as scratch:
        with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.relative_to(directory))
        zipped = scratch.tell()
    measured = Size(zipped=zipped, unzipped=sum(file.stat().st_size for file in files))
    if directory.is_relative_to(BUILT):
        note.write_text(json.dumps({"zipped": measured.zipped, "unzipped": measured.unzipped}))
    return measured


def check_limits(jobs: Sequence[Job], code: Mapping[str, Size], layers: Mapping[Layer, Size]) -> None:
    """Refuse a function that Lambda would refuse, before anything is uploaded.

    Parameters
    ----------
    jobs
        The functions.
    code
        The size of each function's own code.
    layers
        The size of each layer.

    Raises
    ------
    MailtailorError
        If a function has more than five layers, or with them more than 250 MB unzipped.
    """
    for job in jobs:
        if len(job.layers) > MAX_LAYERS:
            raise MailtailorError(
                f"The function {job.name} has {len(job.layers)} layers; Lambda takes {MAX_LAYERS}.",
                "Join some of its layers in infra/jobs.py.",
            )
        total = code[job.name].unzipped + sum(layers[layer].unzipped for layer in job.layers)
        if total > MAX_UNZIPPED:
            largest = max(job.layers, key=lambda layer: layers[layer].unzipped)
            raise MailtailorError(
                f"The function {job.name} has {_mb(total)} MB unzipped with its layers; Lambda takes"
                f" {_mb(MAX_UNZIPPED)} MB.",
                f"Its largest layer is {largest}: {_mb(layers[largest].unzipped)} MB.",
            )


def report(built: Mapping[Layer, Path]) -> Table:
    """Return the sizes of `built` layers and of the functions that use them, as a table; refuses too large ones."""
    layers = {layer: size(directory) for layer, directory in built.items()}
    code = {job.name: _code_size(job) for job in JOBS}
    check_limits(JOBS, code, layers)
    table = Table("", "layers", title="Sizes in MB", caption=f"A function may have {_mb(MAX_UNZIPPED)} MB unzipped.")
    table.add_column("zipped", justify="right")
    table.add_column("unzipped", justify="right")
    for layer, measured in layers.items():
        table.add_row(f"layer {layer}", "", _mb(measured.zipped), _mb(measured.unzipped))
    table.add_section()
    for job in JOBS:
        total = code[job.name]
        for layer in job.layers:
            total += layers[layer]
        table.add_row(job.name, ", ".join(job.layers), _mb(total.zipped), _mb(total.unzipped))
    return table


def show(built: Mapping[Layer, Path], target: Platform, console: Console) -> None:
    """Print the `report` on layers `built` for `target`."""
    console.print(report(built))
    if target.compiler is None:
        console.print(
            "No python3.13 was found here, so the layers carry no bytecode and each cold start compiles them anew."
            " Install Python 3.13 and build again."
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Build all layers for one platform and report their sizes."""
    parser = argparse.ArgumentParser(prog="python -m infra.build.layers", description=main.__doc__)
    parser.add_argument("--platform", choices=get_args(PlatformName), default="lambda")
    target = platform(parser.parse_args(arguments).platform)
    console = Console()
    try:
        with console.status(f"Building the layers for {target.tag}"):
            built = build_layers(target)
        show(built, target, console)
    except MailtailorError as error:
        console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


def _source(layer: Layer) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of what `layer` is made of, in order."""
    if layer == "definitions":
        for name, text in sorted(compile_definitions(SOURCES / layer).items()):
            yield name, text.encode()
    elif layer == "mailtailor":
        root = SOURCES / layer / "python"
        for file in sorted(root.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file.relative_to(root).as_posix(), file.read_bytes()
    else:
        requirements = SOURCES / layer / "requirements.txt"
        yield requirements.name, requirements.read_bytes()


def _fill(layer: Layer, target: Platform, directory: Path) -> None:
    if layer in {"definitions", "mailtailor"}:
        root = directory / PACKAGE if layer == "definitions" else directory
        for name, content in _source(layer):
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return
    _install(SOURCES / layer / "requirements.txt", target, directory)
    _prune(directory)


def _install(requirements: Path, target: Platform, directory: Path) -> None:
    command = [
        *(str(_uv()), "pip", "install", "--quiet", "--no-config", "--link-mode", "copy", "--no-compile-bytecode"),
        *("--require-hashes", "--requirements", str(requirements), "--target", str(directory)),
        *target.install_options,
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own words only
    if done.returncode:
        unreachable = "client error (Connect)" in done.stderr
        raise MailtailorError(
            f"The packages in {requirements.relative_to(ROOT)} cannot be installed for {target.tag}.",
            "No package index answers: they have to be fetched once." if unreachable else done.stderr.strip(),
        )


def _uv() -> Path:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise MailtailorError("The layers are installed by uv, which is not here.", "Run `make setup`.")
    return Path(found)


def _prune(directory: Path) -> None:
    """Remove what no function needs. `*.dist-info` stays: it carries the licences, and pydantic looks for plugins."""
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.name in _NOT_SHIPPED and (path.is_dir() or path.name == ".lock"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for service in directory.glob("botocore/data/*/"):
        if service.name not in BOTOCORE_SERVICES:
            shutil.rmtree(service)


def _compile(target: Platform, directory: Path) -> None:
    """Write bytecode that is valid without a look at its source.

    On Lambda `/opt` is read-only, so what is not compiled now is compiled at each cold start; and unpacking a layer
    changes the times of its files, by which bytecode is otherwise found stale.
    """
    if target.compiler is None:
        return
    command = [
        *(str(target.compiler), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"),
        # Tracebacks name the place on Lambda, and the same content has the same bytecode wherever it was built.
        *("-s", str(directory), "-p", "/opt", str(directory / "python")),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own words only
    if done.returncode:
        raise MailtailorError("A layer cannot be compiled.", (done.stdout + done.stderr).strip())


def _interpreter(version: str) -> Path | None:
    """Return an interpreter of that minor version that really runs: a pyenv shim may only say that it will not."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    on_path = shutil.which(f"python{version}")
    candidates = [*([Path(on_path)] if on_path else []), *sorted(pyenv.glob(f"{version}.*/bin/python{version}"))]
    check = f"import sys; sys.exit(sys.implementation.cache_tag != 'cpython-{version.replace('.', '')}')"
    for candidate in candidates:
        done = subprocess.run([candidate, "-c", check], check=False, capture_output=True)  # noqa: S603 - found above
        if done.returncode == 0:
            return candidate
    return None


def _code_size(job: Job) -> Size:
    files = [file for file in (FUNCTIONS / job.name).glob("*.py") if file.is_file()]
    total = sum(file.stat().st_size for file in files)
    return Size(zipped=total, unzipped=total)


def _mb(size_in_bytes: int) -> str:
    return f"{size_in_bytes / 1024 / 1024:.1f}"


if __name__ == "__main__":
    sys.exit(main())
