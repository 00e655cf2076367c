"""What segments would be like is told from the archive: members, and who enters and leaves by time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mailtailor.consent.policy import Purpose
from mailtailor.events import archive
from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR
from mailtailor.profiles.estimate import estimate
from mailtailor.profiles.estimates import DAYS, Estimate
from tests.unit.segments.people import NOW, definition

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


def estimated(folder: Path, events: list[Event], rule: dict[str, Any]) -> Estimate:
    connection = archive.connect(memory="256MiB", threads=2, folder=folder / "duckdb")
    for part in archive.parts({"m": events}):
        if not part.mail:
            (folder / part.key).parent.mkdir(parents=True, exist_ok=True)
            (folder / part.key).write_bytes(part.parquet(connection))
    files = sorted(map(str, folder.glob("events/*/*/*.parquet")))
    return estimate(connection, files, [definition(rule)], NOW).segments["s"]


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
