from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtailor.consent.policy import Basis, Purpose
from mailtailor.events import archive
from mailtailor.events.archive import READ_SQL, Part, bucket, parts, prefix
from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NOON = 1_700_049_600_000
"""2023-11-15T12:00:00Z."""
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 53), 1 << 53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
EVENTS = st.builds(
    Event,
    id=TEXT,
    type=st.sampled_from(["product_viewed", "order_completed"]),
    source=TEXT,
    profile_id=st.text("abcXYZ019_-", min_size=22, max_size=22),
    occurred_at=st.integers(0, NOON),
    received_at=st.integers(NOON, NOON + 3 * DAY),
    properties=st.dictionaries(TEXT, JSON, max_size=3),
    attributes=st.dictionaries(TEXT, JSON, max_size=3),
    consent=st.dictionaries(st.sampled_from(Purpose), st.booleans()),
    context=st.dictionaries(TEXT, JSON, max_size=3),
    basis=st.none() | st.sampled_from(Basis),
)


def event(number: int = 1, **fields: Any) -> Event:
    return Event(
        **{
            "id": f"event-{number}",
            "type": "product_viewed",
            "source": "web",
            "profile_id": f"{number:022}",
            "occurred_at": NOON,
            "received_at": NOON,
            **fields,
        }
    )


@pytest.fixture(scope="module")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> DuckDBPyConnection:
    return archive.connect(memory="256MiB", threads=1, folder=tmp_path_factory.mktemp("duckdb"))


def write(folder: Path, made: list[Part], duckdb: DuckDBPyConnection) -> None:
    for part in made:
        file = folder / part.key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(part.parquet(duckdb))


def read(folder: Path, duckdb: DuckDBPyConnection) -> list[Event]:
    """Read as the documents tell, and turn rows into events again."""
    rows = duckdb.execute(
        "SELECT * REPLACE (epoch_ms(occurred_at) AS occurred_at, epoch_ms(received_at) AS received_at) "
        f"FROM ({READ_SQL})",
        {"files": f"{folder}/events/*/*/*.parquet"},
    )
    names = [column[0] for column in rows.description or ()]
    parsed = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    for row in parsed:
        row.update({name: json.loads(row[name]) for name in ("properties", "attributes", "consent", "context")})
        row["basis"] = row["basis"] or None
    return [Event.model_validate(row) for row in parsed]


@settings(max_examples=40, deadline=None)
@given(events=st.lists(EVENTS, min_size=1, max_size=8, unique_by=lambda one: one.id))
def test_what_is_archived_is_what_is_read(
    events: list[Event], duckdb: DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # given
    folder = tmp_path_factory.mktemp("archive")

    # when
    write(folder, parts({"m1": events}), duckdb)

    # then
    assert sorted(read(folder, duckdb), key=lambda one: one.id) == sorted(events, key=lambda one: one.id)


def test_a_file_lies_at_the_day_of_receipt_and_the_bucket_of_its_profile() -> None:
    # given: an order of years ago, imported today
    old = event(1, occurred_at=NOON - 3_000 * DAY)

    # then
    assert prefix(old) == f"events/received=2023-11-15/bucket={bucket(old.profile_id or ''):02}"
    assert re.fullmatch(rf"{prefix(old)}/[0-9a-f]{{32}}\.parquet", parts({"m1": [old]})[0].key)


def test_profiles_spread_over_all_buckets_and_each_stays_in_its_own() -> None:
    # given
    names = [f"{number:022}" for number in range(500)]

    # then
    assert {bucket(name) for name in names} == set(range(16))
    assert bucket("0000000000000000000001") == 1, "stored files depend on it"


def test_an_import_of_years_makes_as_many_files_as_there_are_buckets() -> None:
    events = [event(number, occurred_at=NOON - number * DAY) for number in range(1_000)]
    assert len(parts({"m1": events})) == 16


def test_the_same_events_make_the_same_file_in_any_order_and_however_often_they_come() -> None:
    # given
    one, two = event(1), event(2, profile_id=event(1).profile_id)

    # when
    (first,), (second,) = parts({"m1": [one, two]}), parts({"m2": [two], "m3": [one, two]})

    # then
    assert first.key == second.key
    assert second.messages == {"m2", "m3"}
    assert len(second.rows) == 2


def test_of_doubles_the_one_that_occurred_first_is_read_in_whatever_order_they_were_written(
    duckdb: DuckDBPyConnection, tmp_path: Path
) -> None:
    # given: the same id with another time, in files of its own, a day later or the same day
    late, early = event(1, occurred_at=NOON - 5), event(1, occurred_at=NOON - 9)
    again = event(1, occurred_at=NOON - 7, received_at=NOON + DAY)

    # when
    for one in (early, late, again, early):
        write(tmp_path, parts({"m1": [one]}), duckdb)

    # then
    assert len(list(tmp_path.rglob("*.parquet"))) == 3
    assert read(tmp_path, duckdb) == [early]


def test_any_reader_of_parquet_sees_times_as_times(duckdb: DuckDBPyConnection, tmp_path: Path) -> None:
    # given
    write(tmp_path, parts({"m1": [event(1, occurred_at=NOON - 877)]}), duckdb)
    (file,) = tmp_path.rglob("*.parquet")

    # then
    columns = dict(
        duckdb.execute(
            "SELECT name, coalesce(logical_type, '') FROM parquet_schema($file)", {"file": str(file)}
        ).fetchall()
    )
    assert "MILLIS" in columns["occurred_at"]
    assert duckdb.execute("SELECT occurred_at::VARCHAR FROM read_parquet($file)", {"file": str(file)}).fetchone() == (
        "2023-11-15 11:59:59.123",
    )
    codecs = duckdb.execute("SELECT DISTINCT compression FROM parquet_metadata($file)", {"file": str(file)}).fetchall()
    assert codecs == [("ZSTD",)]


@pytest.mark.parametrize("received_at", [1 << 48, 1 << 62, 10**30])
def test_an_event_of_no_possible_day_belongs_nowhere(received_at: int) -> None:
    with pytest.raises(ValueError, match=r".+"):
        prefix(event(1, received_at=received_at))


def test_an_event_of_nobody_belongs_nowhere() -> None:
    with pytest.raises(ValueError, match="names its profile"):
        prefix(event(1).model_copy(update={"profile_id": None}))


def test_a_locked_down_duckdb_has_all_it_needs_and_fetches_nothing(duckdb: DuckDBPyConnection) -> None:
    # then
    built_in = duckdb.execute(
        "SELECT extension_name FROM duckdb_extensions() WHERE loaded AND install_mode = 'STATICALLY_LINKED'"
    ).fetchall()
    assert {("json",), ("parquet",)} <= set(built_in)
    assert duckdb.execute(
        "SELECT current_setting('autoinstall_known_extensions'), current_setting('autoload_known_extensions')"
    ).fetchone() == (False, False)


def test_files_can_be_written_by_several_threads_of_one_connection(duckdb: DuckDBPyConnection) -> None:
    # given
    made = parts({"m1": [event(number) for number in range(200)]})
    files: dict[str, bytes] = {}

    # when
    threads = [
        threading.Thread(target=lambda part=part: files.__setitem__(part.key, part.parquet(duckdb.cursor())))
        for part in made
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # then
    assert all(files[part.key].startswith(b"PAR1") for part in made)


OLD_FORM_SQL = """\
COPY (
    SELECT $id AS id, 'product_viewed' AS type, 'web' AS source, $profile AS profile_id,
           make_timestamp_ms($at)::TIMESTAMP_MS AS occurred_at, make_timestamp_ms($at)::TIMESTAMP_MS AS received_at,
           '{"sku":"1"}' AS properties, '{}' AS attributes, '{"tracking":true}' AS consent
) TO '%s' (FORMAT parquet, COMPRESSION zstd)
"""
"""A file as it was written before events had context, basis and version."""


def write_old(folder: Path, one: Event, duckdb: DuckDBPyConnection) -> str:
    file = folder / prefix(one) / "0123456789abcdef0123456789abcdef.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    duckdb.execute(OLD_FORM_SQL % file, {"id": one.id, "profile": one.profile_id, "at": one.occurred_at})
    return str(file)


OLD = event(1, properties={"sku": "1"}, consent={Purpose.TRACKING: True})


def test_files_of_the_old_form_are_read_alone_and_beside_new_ones(duckdb: DuckDBPyConnection, tmp_path: Path) -> None:
    # given
    new = event(2, context={"page": {"path": "/lamp"}}, basis=Basis.CONSENT)
    old_file = write_old(tmp_path, OLD, duckdb)

    # then
    assert read(tmp_path, duckdb) == [OLD]
    assert archive.read(duckdb, [old_file], [OLD.profile_id or ""]) == [OLD]

    # when
    write(tmp_path, parts({"m1": [new]}), duckdb)

    # then
    files = [str(file) for file in tmp_path.rglob("*.parquet")]
    profiles = [one.profile_id or "" for one in (OLD, new)]
    assert sorted(read(tmp_path, duckdb), key=lambda one: one.id) == [OLD, new]
    assert sorted(archive.read(duckdb, files, profiles), key=lambda one: one.id) == [OLD, new]


def test_whatever_reads_takes_the_same_one_of_doubles_of_the_same_times(
    duckdb: DuckDBPyConnection, tmp_path: Path
) -> None:
    # given: an event that came again when its profile had been merged into another
    before, after = event(1), event(1, profile_id=event(2).profile_id)

    # when
    for one in (after, before):
        write(tmp_path, parts({"m1": [one]}), duckdb)

    # then
    assert read(tmp_path, duckdb) == [before] == archive.once_each([after, before])


@pytest.mark.parametrize(
    ("folder", "hours"),
    [("events/received=2023-11-15/bucket=07/", (0, 24)), ("mail/received=2023-11-15/hour=13/", (13, 14))],
)
def test_a_folder_tells_when_what_is_in_it_was_received(folder: str, hours: tuple[int, int]) -> None:
    midnight = NOON - 12 * HOUR
    assert archive.span(folder) == tuple(midnight + hour * HOUR for hour in hours)


@pytest.mark.parametrize(
    "folder",
    [
        "events/",
        "events/received=2023-11-15/",
        "events/received=2023-11-15/hour=07/",
        "mail/received=2023-11-15/bucket=07/",
        "mail/received=2023-11-15/hour=24/",
        "mail/received=2023-02-30/hour=01/",
        "other/received=2023-11-15/bucket=07/",
    ],
)
def test_what_is_no_folder_of_the_archive_is_refused(folder: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        archive.span(folder)
