"""Settings from the environment: one frozen dataclass a function, checked at once when it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import TypeVar

from mailtailor.errors import MailtailorError

S = TypeVar("S")


def from_environment(settings: type[S], environment: Mapping[str, str] | None = None) -> S:
    """Return `settings` filled from the variables named as its fields, in upper case.

    Parameters
    ----------
    settings
        A dataclass whose fields are of type `str` or `int`.
    environment
        The variables; the process's own if not given.

    Raises
    ------
    MailtailorError
        Names every variable that is missing, not only the first.
    """
    variables = os.environ if environment is None else environment
    values: dict[str, str | int] = {}
    missing = []
    for field in fields(settings):  # type: ignore[arg-type]
        name = field.name.upper()
        if name in variables:
            values[field.name] = int(variables[name]) if field.type in {int, "int"} else variables[name]
        elif field.default is MISSING:
            missing.append(name)
    if missing:
        raise MailtailorError(f"The function lacks settings: {', '.join(missing)}.", "Deploy the stacks again.")
    return settings(**values)
