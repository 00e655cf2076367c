"""One synthesis, shared by all infrastructure tests and all test processes."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from infra.app import APP_STACK, DATA_STACK, synthesize
from tests.infra.template import Template


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    base = tmp_path_factory.getbasetemp()
    directory = (base if worker_id == "master" else base.parent) / "infra-assembly"
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "manifest.json").exists():
            synthesize(directory, {"platform": "local"})
    return directory


@pytest.fixture(scope="session")
def data_stack(assembly: Path) -> Template:
    return Template.read(assembly, DATA_STACK)


@pytest.fixture(scope="session")
def app_stack(assembly: Path) -> Template:
    return Template.read(assembly, APP_STACK)


@pytest.fixture(scope="session")
def everything(data_stack: Template, app_stack: Template) -> Template:
    """Both stacks as one, so that a rule about all resources is one loop."""
    return data_stack.with_exports_resolved_in(app_stack)
