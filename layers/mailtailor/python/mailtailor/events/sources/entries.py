"""Entries of the ingest secret that have names, for sources that need more than one kind: `org=00D... key=...`."""

from __future__ import annotations

from collections.abc import Sequence


def named(secrets: Sequence[str], name: str) -> list[str]:
    """Return the values of the entries `name=value`, in order; several are good at once during a rotation."""
    return [value for key, mark, value in (entry.partition("=") for entry in secrets) if mark and key == name and value]
