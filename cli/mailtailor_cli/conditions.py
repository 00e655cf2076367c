"""How conditions with their truth, and the instants at which it turns, are shown in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text
from rich.tree import Tree


def condition_tree(condition: Mapping[str, Any]) -> Tree:
    """Return a condition, and those that it joins, as `mailtailor.segments.why.Reason.payload` tells them."""
    holds = condition["holds"]
    label = Text.assemble(("✓ ", "green") if holds else ("✗ ", "red"), condition["says"])
    if "evidence" in condition:
        label.append(f"\n  {condition['evidence']}", style="dim")
    if condition["until"] is not None:
        label.append(f"\n  {'true' if holds else 'false'} {until(condition)}", style="dim")
    tree = Tree(label)
    tree.children.extend(condition_tree(child) for child in condition.get("conditions", ()))
    return tree


def until(told: Mapping[str, Any]) -> str:
    """Return up to when a truth holds."""
    if told["until"] is None:
        return "until something happens"
    return f"until {second(told['until'])} if nothing happens"


def second(iso: str) -> str:
    """Return an instant for people; the milliseconds only if there are any, for they decide who is in."""
    return f"{iso.removesuffix('Z').removesuffix('.000').replace('T', ' ')} UTC"
