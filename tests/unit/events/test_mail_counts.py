from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtailor.events import archive
from mailtailor.events.event import Event
from mailtailor.events.mail_counts import Campaign, Counts, HourRow, LinkRow, campaigns, counts
from mailtailor.instant import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NOON = 1_700_049_600_000
"""2023-11-15T12:00:00Z."""
SINCE = NOON - 6 * HOUR
TYPES = ("email_delivered", "email_opened", "email_link_clicked")


def mail(number: int, kind: str = "email_opened", **fields: Any) -> Event:
    """Return a mail event of its own profile, unless told otherwise."""
    properties = {"campaign": "spring", **fields.pop("properties", {})}
    base = {"id": f"event-{number}", "type": kind, "source": "mailtailor", "profile_id": f"{number:022}"}
    return Event(**{**base, "occurred_at": NOON, "received_at": NOON, "properties": properties, **fields})


def click(number: int, position: int | None, **fields: Any) -> Event:
    link = {"url": f"https://shop.example/{position}", **({} if position is None else {"position": position})}
    return mail(number, "email_link_clicked", **{**fields, "properties": {**link, **fields.get("properties", {})}})


def correction(of: str, **fields: Any) -> Event:
    properties = {"corrects": of, "machine": "burst"}
    return mail(0, "event_corrected", **{"id": f"correction:{of}", **fields}).model_copy(
        update={"properties": properties}
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Draw mail events of a few people and campaigns, with doubles at other times and corrections of some."""
    events = []
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(TYPES))
        properties: dict[str, Any] = {"campaign": draw(st.sampled_from(["spring", "summer"]))}
        if instance := draw(st.sampled_from(["", "a", "b"])):
            properties["instance"] = instance
        if kind == "email_link_clicked":
            properties["url"] = draw(st.sampled_from(["https://a.example/", "https://b.example/"]))
            position = draw(st.sampled_from([None, 0, 1, 2]))
            properties |= {} if position is None else {"position": position}
        profile = f"{draw(st.integers(0, 2)):022}"
        for _ in range(draw(st.integers(1, 3))):
            occurred = NOON - draw(st.integers(0, 9 * HOUR))
            label = draw(st.sampled_from([{}, {}, {"machine": "apple_mpp"}]))
            one = mail(number, kind, profile_id=profile, occurred_at=occurred, properties={**properties, **label})
            events.append(one.model_copy(update={"received_at": occurred + draw(st.integers(0, 3 * DAY))}))
        if draw(st.booleans()):
            events.append(correction(f"event-{draw(st.integers(0, number))}"))
    return events


def counted(events: Iterable[Event]) -> Counts:
    """Count in plain Python what is there once each, given whether `machine` is set."""
    numbers: defaultdict[str, int] = defaultdict(int)
    messages: defaultdict[str, set[tuple[object, ...]]] = defaultdict(set)
    for event in events:
        maker = "machine" if event.properties.get("machine") else "human"
        message = (event.properties.get("instance", ""), event.profile_id)
        if event.type == "email_delivered":
            messages["delivered"].add(message)
            continue
        what = "opens" if event.type == "email_opened" else "clicks"
        numbers[f"{maker}_{what}"] += 1
        messages[f"{maker}_unique_{what}"].add(message)
    return Counts(**numbers, **{name: len(found) for name, found in messages.items()})


def true_events(events: list[Event]) -> list[Event]:
    """Return what counts for the campaign: each event once, at its least time, with the final verdict."""
    corrected = {event.properties.get("corrects") for event in events}
    once: dict[str, Event] = {}
    for event in sorted(events, key=lambda one: one.occurred_at, reverse=True):
        if event.type in TYPES and event.properties["campaign"] == "spring":
            before = once.get(event.id, event).properties
            verdict = before.get("machine") or event.properties.get("machine") or event.id in corrected
            honeypot = event.properties.get("position") == 0
            properties = {**event.properties, "machine": "yes" if verdict or honeypot else ""}
            once[event.id] = event.model_copy(update={"properties": properties})
    return [event for event in once.values() if event.occurred_at >= SINCE]


@pytest.fixture(scope="module")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> DuckDBPyConnection:
    return archive.connect(memory="256MiB", threads=1, folder=tmp_path_factory.mktemp("duckdb"))


def store(folder: Path, duckdb: DuckDBPyConnection, *batches: list[Event]) -> list[str]:
    """Archive batches and return the mail files."""
    for batch in batches:
        for part in archive.parts({"m": batch}):
            file = folder / part.key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(part.parquet(duckdb))
    return [str(file) for file in sorted(folder.glob("mail/*/*/*.parquet"))]


@settings(max_examples=60, deadline=None)
@given(events=histories(), cuts=st.lists(st.integers(0, 30), max_size=3))
def test_counts_are_those_of_plain_counting_however_events_came(
    events: list[Event], cuts: list[int], duckdb: DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # given: the history in some files, and all of it once more in another
    edges = [0, *sorted(cuts), len(events)]
    batches = [events[start:end] for start, end in pairwise(edges)]
    files = store(tmp_path_factory.mktemp("archive"), duckdb, *batches, events)
    truth = true_events(events)

    # when
    by_link = counts(duckdb, files, "spring", since=SINCE, by="link")
    by_hour = counts(duckdb, files, "spring", since=SINCE, by="hour")

    # then
    assert by_link.totals == by_hour.totals == counted(truth)
    hours: defaultdict[int, list[Event]] = defaultdict(list)
    links: defaultdict[tuple[Any, str], list[Event]] = defaultdict(list)
    for event in truth:
        hours[event.occurred_at // HOUR * HOUR].append(event)
        if event.type == "email_link_clicked":
            position = event.properties.get("position")
            links[position, "" if position is not None else str(event.properties["url"])].append(event)
    assert by_hour.rows == tuple(HourRow(hour, counted(found)) for hour, found in sorted(hours.items()))
    found_links = {
        (row.position, "" if row.position is not None else row.url): row.counts
        for row in by_link.rows
        if isinstance(row, LinkRow)
    }
    assert found_links == {key: counted(found) for key, found in links.items()}


def test_a_correction_of_a_later_day_makes_an_open_a_machines(duckdb: DuckDBPyConnection, tmp_path: Path) -> None:
    # given
    opens = [mail(1), mail(2)]
    files = store(tmp_path, duckdb, opens)
    assert counts(duckdb, files, "spring").totals.human_opens == 2

    # when: it names no campaign, as it need not
    files = store(tmp_path, duckdb, [correction("event-1", received_at=NOON + 2 * DAY)])

    # then
    totals = counts(duckdb, files, "spring").totals
    assert (totals.human_opens, totals.machine_opens) == (1, 1)


def test_the_invisible_link_is_never_a_persons(duckdb: DuckDBPyConnection, tmp_path: Path) -> None:
    files = store(tmp_path, duckdb, [click(1, 0), click(2, 1)])
    report = counts(duckdb, files, "spring")
    assert [(row.position, row.counts.human_clicks) for row in report.rows if isinstance(row, LinkRow)] == [
        (0, 0),
        (1, 1),
    ]


def test_links_without_a_position_are_told_apart_by_address(duckdb: DuckDBPyConnection, tmp_path: Path) -> None:
    # given: one link whose address differs by recipient, and two as an ESP reports them
    clicks = [
        click(1, 1, properties={"url": "https://a.example/"}),
        click(2, 1, properties={"url": "https://b.example/"}),
        click(3, None, properties={"url": "https://a.example/"}),
        click(4, None, properties={"url": "https://b.example/"}),
    ]
    # when
    report = counts(duckdb, store(tmp_path, duckdb, clicks), "spring")
    # then
    assert [(row.position, row.url, row.counts.human_clicks) for row in report.rows if isinstance(row, LinkRow)] == [
        (1, "https://b.example/", 2),
        (None, "https://a.example/", 1),
        (None, "https://b.example/", 1),
    ]


def test_rates_are_shares_of_messages_and_unknown_without_a_denominator() -> None:
    # given
    known = Counts(delivered=8, human_opens=9, human_unique_opens=4, human_clicks=3, human_unique_clicks=1)
    # then
    assert (known.open_rate, known.click_rate, known.click_to_open_rate) == (0.5, 0.125, 0.25)
    assert (Counts().open_rate, Counts().click_rate, Counts().click_to_open_rate) == (None, None, None)
    assert known.payload().keys() == {*asdict(known), "open_rate", "click_rate", "click_to_open_rate"}


@pytest.mark.parametrize("campaign", ["x' OR 1=1 --", "$files", "%s", "", "spring\0"])
def test_a_campaigns_name_is_a_value_and_nothing_else(
    campaign: str, duckdb: DuckDBPyConnection, tmp_path: Path
) -> None:
    # given
    named = [mail(1, properties={"campaign": campaign})] if campaign else []
    # when
    files = store(tmp_path, duckdb, [mail(2), *named])
    # then
    assert counts(duckdb, files, campaign).totals.human_opens == len(named)


def test_of_no_files_there_is_nothing_to_count(duckdb: DuckDBPyConnection) -> None:
    assert counts(duckdb, [], "spring").totals == Counts()
    assert campaigns(duckdb, []) == []


def test_campaigns_are_listed_with_the_latest_first(duckdb: DuckDBPyConnection, tmp_path: Path) -> None:
    # given
    earlier = mail(1, occurred_at=NOON - HOUR, properties={"campaign": "summer"})
    events = [mail(2, occurred_at=NOON - MINUTE), mail(3), earlier, correction("event-3")]
    # when
    found = campaigns(duckdb, store(tmp_path, duckdb, events, events[:1]))
    # then
    assert found == [
        Campaign("spring", NOON - MINUTE, NOON, 2),
        Campaign("summer", NOON - HOUR, NOON - HOUR, 1),
    ]
    assert campaigns(duckdb, store(tmp_path, duckdb), since=NOON - MINUTE, most=1) == found[:1]


def test_rows_payloads_are_json_with_times_in_utc() -> None:
    hour = json.loads(json.dumps(HourRow(NOON, Counts(delivered=1)).payload()))
    assert hour["hour"] == "2023-11-15T12:00:00.000Z"
    assert hour["delivered"] == 1
    assert LinkRow(3, "https://a.example/", Counts(human_clicks=2)).payload() == {
        "position": 3,
        "url": "https://a.example/",
        "human_clicks": 2,
        "human_unique_clicks": 0,
        "machine_clicks": 0,
        "machine_unique_clicks": 0,
    }


def test_mail_events_alone_are_there_a_second_time_by_the_hour_of_receipt() -> None:
    # given
    order = mail(1, "order_completed")
    late = mail(2, occurred_at=NOON - 9 * DAY, received_at=NOON + 59 * MINUTE)
    # when
    keys = [part.key for part in archive.parts({"m": [order, late]}) if part.mail]
    # then
    assert len(keys) == 1
    assert re.fullmatch(r"mail/received=2023-11-15/hour=12/[0-9a-f]{32}\.parquet", keys[0])


def test_mail_events_of_no_campaign_and_corrections_of_nothing_are_in_no_report() -> None:
    nameless = mail(1).model_copy(update={"properties": {"campaign": 7}})
    aimless = mail(2, "event_corrected")
    assert not [part for part in archive.parts({"m": [nameless, aimless]}) if part.mail]


@pytest.mark.parametrize(
    "properties",
    [
        {"position": -1},
        {"position": True},
        {"position": 1 << 31},
        {"position": "1"},
        {"instance": ["a"], "url": None, "machine": {}},
        {"url": "https://a.example/\ud800", "instance": "\udc00", "machine": ""},
    ],
)
def test_whatever_stands_in_properties_the_file_can_be_written_and_counted(
    properties: dict[str, Any], duckdb: DuckDBPyConnection, tmp_path: Path
) -> None:
    files = store(tmp_path, duckdb, [mail(1, "email_link_clicked", properties=properties), click(2, 1)])
    assert counts(duckdb, files, "spring").totals.human_clicks == 2
