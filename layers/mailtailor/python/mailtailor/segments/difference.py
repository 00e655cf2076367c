"""Says what another set of definitions changes, in plain English."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mailtailor.segments.definition import InSegment, SegmentDefinition, conditions
from mailtailor.segments.english import explain


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one segment.

    Attributes
    ----------
    segment
        Its name.
    what
        `added`, `removed`, `changed`, `described` if only its description is another one, or `follows` if only a
        segment that it refers to changes.
    before, after
        What it means, in plain English; empty if there was, or will be, none.
    """

    segment: str
    what: str
    before: str = ""
    after: str = ""

    @property
    def changes_members(self) -> bool:
        """Whether anybody may enter or leave."""
        return self.what != "described"


def difference(old: Iterable[SegmentDefinition], new: Iterable[SegmentDefinition]) -> list[Change]:
    """Return what becomes of each segment, by name; nothing of those that stay as they are."""
    before, after = ({one.name: one for one in some} for some in (old, new))
    found = {name: change for name in before.keys() | after.keys() if (change := _change(name, before, after))}
    touched = {name for name, change in found.items() if change.changes_members}
    while follow := {name for name in after if name not in touched and _refers(after[name]) & touched}:
        touched |= follow
        for name in follow:
            meaning = explain(after[name].rule)
            found[name] = Change(name, "follows", meaning, meaning)
    return [found[name] for name in sorted(found)]


def _change(
    name: str, before: Mapping[str, SegmentDefinition], after: Mapping[str, SegmentDefinition]
) -> Change | None:
    old, new = before.get(name), after.get(name)
    if old == new:
        return None
    if old is None or new is None:
        was, becomes = (explain(one.rule) if one else "" for one in (old, new))
        return Change(name, "added" if new else "removed", was, becomes)
    if old.rule == new.rule:
        return Change(name, "described", old.description, new.description)
    return Change(name, "changed", explain(old.rule), explain(new.rule))


def _refers(definition: SegmentDefinition) -> set[str]:
    return {one.segment for one in conditions(definition.rule) if isinstance(one, InSegment)}
