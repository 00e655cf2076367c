"""Writes the templates: `python -m infra.app`, or the CDK's own commands through `cdk.json`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks
from rich.console import Console

from infra.build import layers
from infra.build.layers import ROOT, PlatformName
from infra.stacks.app import AppStack
from infra.stacks.data import DataStack
from mailtailor.errors import BadInput, MailtailorError

if TYPE_CHECKING:
    from aws_cdk.cx_api import CloudAssembly

DATA_STACK: Final = "MailtailorData"
APP_STACK: Final = "MailtailorApp"
_PLATFORM_FILE: Final = "platform"


def synthesize(directory: Path | None = None, context: Mapping[str, Any] | None = None) -> CloudAssembly:
    """Write the templates and return what was written; needs neither an account nor, once layers are built, a network.

    Parameters
    ----------
    directory
        Where to; `cdk.out` or what the CDK's command asks for if not given.
    context
        `platform` says for where layers are built: `lambda`, or `local` for this interpreter. Templates are the same.

    Raises
    ------
    MailtailorError
        If a definition or a function is faulty or missing.
    """
    directory = directory or Path(os.environ.get("CDK_OUTDIR", ROOT / "cdk.out"))
    app = App(outdir=str(directory), context=dict(context or {}), analytics_reporting=False)
    built_for = _platform(app.node.try_get_context("platform") or "lambda")
    _forget_other_platform(directory, built_for)
    data = DataStack(app, DATA_STACK)
    AppStack(app, APP_STACK, data=data, built_for=built_for)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app, verbose=True))
    return app.synth()


def _platform(name: str) -> PlatformName:
    for known in get_args(PlatformName):
        if name == known:
            platform: PlatformName = known
            return platform
    raise BadInput(f"There is no platform {name!r}.", f"Choose one of {', '.join(get_args(PlatformName))}.")


def _forget_other_platform(directory: Path, built_for: str) -> None:
    """Remove another platform's layers from `directory`: the CDK keeps what lies under a name, and names are equal."""
    note = directory / _PLATFORM_FILE
    if not note.exists() or note.read_text() != built_for:
        for asset in directory.glob("asset.*"):
            shutil.rmtree(asset)
    directory.mkdir(parents=True, exist_ok=True)
    note.write_text(built_for)


def main() -> int:
    """Write the templates and report what would be uploaded, or say in one sentence why not."""
    # Standard output belongs to the CDK's command.
    console = Console(stderr=True)
    try:
        assembly = synthesize()
        target = layers.platform(_platform(Path(assembly.directory, _PLATFORM_FILE).read_text()))
        layers.show(layers.build_layers(target), target, console)
    except MailtailorError as error:
        print(error, file=sys.stderr)  # noqa: T201 - this is the command's output
        return 1
    except RuntimeError as error:
        # The CDK's own: a rule is broken. What the CDK printed says which and where; its trace into Node says nothing.
        print(str(error).partition("\n    at ")[0], file=sys.stderr)  # noqa: T201 - as above
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
