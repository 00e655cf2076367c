"""When a function makes what it works with."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TypeVar

T = TypeVar("T")

INITIALIZATION_VARIABLE = "AWS_LAMBDA_INITIALIZATION_TYPE"
"""Lambda sets it in every function (AWS, "Lambda environment variables")."""


def prepared(connect: Callable[[], T]) -> Callable[[], T]:
    """Return `connect` made to run once: in Lambda while the function starts, elsewhere at the first call.

    Lambda starts a function at full CPU speed whatever its memory, so clients made then do not slow the first
    request. If that fails the start does not: the first request tries again and meets the error where it is handled.
    """
    dependencies = cache(connect)
    if INITIALIZATION_VARIABLE in os.environ:
        with suppress(Exception):
            dependencies()
    return dependencies
