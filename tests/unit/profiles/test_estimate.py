"""What segments would be like is told from the archive: members, and who enters and leaves by time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailtailor.consent.policy import Purpose
from mailtailor.events import archive
from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR
from mailtailor.profiles.estimate import estimate, evaluate
from mailtailor.profiles.estimates import DAYS, Estimate
from mailtailor.segments.columns import evaluation
from mailtailor.segments.engine import Engine
from tests.unit.profiles.world import segment
from tests.unit.segments.people import NOW, definition

if TYPE_CHECKING:
    import pytest
    from duckdb import DuckDBPyConnection

ALLOWED = {purpose.value: True for purpose in Purpose}


def event(person: int, event_type: str, at: int, **fields: Any) -> Event:
    return Event.model_validate(
        {
            "id": f"{person}-{event_type}-{at}",
            "type": event_type,
            "source": "test",
            "profile_id": f"{person:022}",
            "occurred_at": at,
            "received_at": at,
            **fields,
        }
    )


def archived(folder: Path, events: list[Event]) -> tuple[DuckDBPyConnection, list[str]]:
    connection = archive.connect(memory="256MiB", threads=2, folder=folder / "duckdb")
    for part in archive.parts({"m": events}):
        if not part.mail:
            (folder / part.key).parent.mkdir(parents=True, exist_ok=True)
            (folder / part.key).write_bytes(part.parquet(connection))
    return connection, sorted(map(str, folder.glob("events/*/*/*.parquet")))


def estimated(folder: Path, events: list[Event], rule: dict[str, Any]) -> Estimate:
    return estimate(*archived(folder, events), [definition(rule)], NOW).segments["s"]


def told(person: int, **consent: bool) -> Event:
    return event(person, "identified", NOW - 60 * DAY, consent={**ALLOWED, **consent})


def test_members_are_counted_with_the_day_on_which_they_leave(tmp_path: Path) -> None:
    # given: purchases of a day, of three days and of eight days ago, and one of somebody who allows nothing
    ages = (DAY, 3 * DAY + HOUR, 8 * DAY)
    events = [
        one for person, age in enumerate(ages) for one in (told(person), event(person, "order_completed", NOW - age))
    ]
    events += [told(9, personalization=False), event(9, "order_completed", NOW - HOUR)]
    # when
    found = estimated(tmp_path, events, {"event": "order_completed", "within": "7d"})
    # then: the first leaves in exactly six days, which is the seventh
    assert found == Estimate(members=2, entering=[0] * DAYS, leaving=[0, 0, 0, 1, 0, 0, 1])


def test_who_enters_by_time_alone_is_counted_by_day(tmp_path: Path) -> None:
    # given
    events = [told(1), event(1, "order_completed", NOW - HOUR), told(2), told(3)]
    # when
    found = estimated(tmp_path, events, {"event": "order_completed", "older_than": "25h"})
    # then
    assert found == Estimate(members=0, entering=[0, 1, 0, 0, 0, 0, 0], leaving=[0] * DAYS)


def test_who_did_nothing_may_be_a_member(tmp_path: Path) -> None:
    found = estimated(tmp_path, [told(1), told(2)], {"not": {"event": "order_completed"}})
    assert found.members == 2


def test_who_does_not_fit_into_memory_at_once_is_told_of_in_parts_the_more_of_them_the_more_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(evaluation, "ROWS_AT_ONCE", 20)
    events = [one for person in range(60) for one in (told(person), event(person, "order_completed", NOW - HOUR))]
    connection, files = archived(tmp_path, events)
    few = [segment("s", {"event": "order_completed", "within": "7d"})]
    many = few + [segment(f"s{n}", {"event": f"event_{n}", "within": "7d"}) for n in range(30)]
    # when
    parts = [list(evaluate(connection, files, Engine(some), NOW)) for some in (few, many)]
    # then
    assert len({file.split("/bucket=")[1][:2] for file in files}) == len(parts[0]) < len(parts[1])
    for some in (few, many):
        found = estimate(connection, files, some, NOW)
        assert (found.people, found.segments["s"].members) == (60, 60)
