"""Whatever is joined, in whatever shares and order, reads the same."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtailor.events import archive, joining, mail_counts
from mailtailor.events.archive import READ_SQL, parts
from mailtailor.events.event import Event
from mailtailor.events.joining import Erasure, is_joined, join, joined_key, unreadable, without_erased
from mailtailor.instant import HOUR, SECOND
from tests.unit.events.test_archive import OLD, write, write_old

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NOON = 1_700_049_600_000
"""2023-11-15T12:00:00Z."""
ANNA = "0000000000000000000001"
BOB = next(one for number in range(2, 1_000) if archive.bucket(one := f"{number:022}") == archive.bucket(ANNA))
"""Whose events are in the same files."""
HIT = "email_opened"

EVENTS = st.builds(
    Event,
    id=st.sampled_from([f"event-{number}" for number in range(6)]),
    type=st.sampled_from([HIT, "email_link_clicked", "email_delivered", "order_completed"]),
    source=st.sampled_from(["mailtailor", "sendgrid"]),
    profile_id=st.sampled_from([ANNA, BOB]),
    occurred_at=st.integers(NOON - 3, NOON),
    received_at=st.integers(NOON, NOON + 2),
    properties=st.fixed_dictionaries(
        {"campaign": st.just("spring")}, optional={"machine": st.sampled_from(["", "apple_mpp", "burst"])}
    ),
    context=st.sampled_from([{}, {"ip": "192.0.2.1"}]),
) | st.builds(
    lambda number: Event(
        id=f"correction:event-{number}",
        type="event_corrected",
        source="mailtailor",
        profile_id=ANNA,
        occurred_at=NOON,
        received_at=NOON,
        properties={"corrects": f"event-{number}", "machine": "burst", "campaign": "spring"},
    ),
    st.integers(0, 5),
)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> DuckDBPyConnection:
    return archive.connect(memory="256MiB", threads=1, folder=tmp_path_factory.mktemp("duckdb"))


def event(number: int = 1, **fields: Any) -> Event:
    return Event.model_validate(
        {
            "id": f"event-{number}",
            "type": HIT,
            "source": "mailtailor",
            "profile_id": ANNA,
            "occurred_at": NOON,
            "received_at": NOON,
            "properties": {"campaign": "spring"},
            **fields,
        }
    )


def rows(folder: Path, connection: DuckDBPyConnection) -> list[Any]:
    pattern = f"{folder}/events/*/*/*.parquet"
    if not list(folder.glob("events/*/*/*.parquet")):
        return []
    return sorted(connection.execute(READ_SQL, {"files": pattern}).fetchall())


def counted(folder: Path, connection: DuckDBPyConnection) -> Any:
    files = sorted(map(str, folder.glob("mail/*/*/*.parquet")))
    by_hour = mail_counts.counts(connection, files, "spring", by="hour")
    return by_hour, mail_counts.campaigns(connection, files)


def known(connection: DuckDBPyConnection, folder: Path) -> list[Event]:
    files = sorted(map(str, folder.glob("events/*/*/*.parquet")))
    return archive.once_each(archive.read(connection, files, [ANNA, BOB]))


def join_some(
    folder: Path, connection: DuckDBPyConnection, files: list[Path], erasures: list[Erasure] | None = None
) -> joining.Joined:
    """Join files of one folder as the bucket's joiner does, and return what was made of them."""
    target = folder / "joined.parquet"
    keys = [str(file.relative_to(folder)) for file in files]
    where = keys[0].rpartition("/")[0] + "/"
    made = join(connection, list(map(str, files)), target, folder=where, erasures=erasures or [])
    if made.rows:
        target.rename(folder / joined_key(keys, target.read_bytes()))
    for file in files:
        file.unlink()
    return made


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.lists(EVENTS, min_size=1, max_size=6), min_size=1, max_size=5),
    chance=st.randoms(use_true_random=False),
)
def test_however_events_are_split_repeated_and_joined_they_read_the_same(
    batches: list[list[Event]],
    chance: random.Random,
    connection: DuckDBPyConnection,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # given
    folder = tmp_path_factory.mktemp("archive")
    for batch in batches:
        write(folder, parts({"m": batch}), connection)
    everything = [event for batch in batches for event in batch]
    before = rows(folder, connection), known(connection, folder)
    # Doubles that differ in more than time and machine are no doubles; counting takes any of them.
    alike = len({(one.id, one.type, one.profile_id) for one in everything}) == len({one.id for one in everything})
    reported = counted(folder, connection)

    # when: some files of some folders are joined, a few times over
    for _ in range(chance.randint(1, 4)):
        where = chance.choice(sorted({file.parent for file in folder.glob("*/*/*/*.parquet")}))
        files = sorted(where.glob("*.parquet"))
        join_some(folder, connection, chance.sample(files, chance.randint(1, len(files))))
        if chance.random() < 0.3:
            write(folder, parts({"again": chance.choice(batches)}), connection)

    # then
    assert (rows(folder, connection), known(connection, folder)) == before
    assert not alike or counted(folder, connection) == reported


def test_a_folder_that_is_joined_whole_has_one_file_with_each_event_once(
    connection: DuckDBPyConnection, tmp_path: Path
) -> None:
    # given
    for batch in ([event(1), event(2)], [event(2), event(3, occurred_at=NOON - 5)], [event(3)]):
        write(tmp_path, parts({"m": batch}), connection)
    # when
    for where in {file.parent for file in tmp_path.glob("*/*/*/*.parquet")}:
        assert join_some(tmp_path, connection, sorted(where.glob("*.parquet"))) == joining.Joined(3, 0)
    # then
    files = list(tmp_path.glob("*/*/*/*.parquet"))
    assert len(files) == 2
    for file in files:
        found = connection.execute(f"SELECT id, epoch_ms(occurred_at) FROM '{file}' ORDER BY id").fetchall()
        assert found == [("event-1", NOON), ("event-2", NOON), ("event-3", NOON - 5)]


def test_of_mail_the_machine_and_every_correction_stay_known(connection: DuckDBPyConnection, tmp_path: Path) -> None:
    # given: a person's open that came once more as a machine's, and one that a correction names
    machine = event(1, occurred_at=NOON - 1, properties={"campaign": "spring", "machine": "apple_mpp"})
    named = event(9, type="event_corrected", properties={"corrects": "event-2", "campaign": "spring"})
    for batch in ([event(1), event(2)], [machine], [named], [event(3)]):
        write(tmp_path, parts({"m": batch}), connection)
    before = counted(tmp_path, connection)
    # when
    join_some(tmp_path, connection, sorted(tmp_path.glob("mail/*/*/*.parquet")))
    # then
    assert counted(tmp_path, connection) == before
    assert (before[0].totals.machine_opens, before[0].totals.human_opens) == (2, 1)


def test_files_of_the_old_form_are_joined_with_new_ones_and_become_new(
    connection: DuckDBPyConnection, tmp_path: Path
) -> None:
    # given
    new = event(2, type="product_viewed", received_at=OLD.received_at, context={"ip": "192.0.2.1"})
    write_old(tmp_path, OLD, connection)
    write(tmp_path, parts({"m": [new]}), connection)
    # when
    join_some(tmp_path, connection, sorted(tmp_path.glob("events/*/*/*.parquet")))
    # then
    assert known(connection, tmp_path) == sorted([OLD, new], key=lambda one: (one.occurred_at, one.id))
    (file,) = tmp_path.glob("events/*/*/*.parquet")
    found = connection.execute(f"SELECT id, context, basis, version FROM '{file}' ORDER BY id").fetchall()
    assert found == [("event-1", "{}", "", 1), ("event-2", '{"ip":"192.0.2.1"}', "", 1)]


def test_a_column_of_a_later_form_is_kept(connection: DuckDBPyConnection, tmp_path: Path) -> None:
    # given: a file that a newer version wrote, while an older one joins
    write(tmp_path, parts({"m": [event(1, type="product_viewed")]}), connection)
    (old,) = tmp_path.glob("events/*/*/*.parquet")
    later = old.with_name("f" * 32 + ".parquet")
    connection.execute(f"COPY (SELECT * REPLACE ('event-2' AS id), 7 AS weight FROM '{old}') TO '{later}'")
    # when
    join_some(tmp_path, connection, [old, later])
    # then
    (file,) = tmp_path.glob("events/*/*/*.parquet")
    assert connection.execute(f"SELECT id, weight FROM '{file}' ORDER BY id").fetchall() == [
        ("event-1", None),
        ("event-2", 7),
    ]


def test_properties_asked_of_nearly_every_row_become_columns(connection: DuckDBPyConnection, tmp_path: Path) -> None:
    # given: one event that has them, one longer than is parsed, and one that is no JSON to DuckDB
    said = {"campaign": "été", "position": 0, "machine": True}
    long, half = {"campaign": "x" * joining.MAX_PROPERTIES}, {"campaign": "\ud83d"}
    some = [event(number, properties=told) for number, told in enumerate((said, long, half))]
    write(tmp_path, [part for part in parts({"m": some}) if not part.mail], connection)
    files = sorted(tmp_path.glob("events/*/*/*.parquet"))
    # when: once, and what came of that once more
    for _ in range(2):
        join_some(tmp_path, connection, files)
        files = sorted(tmp_path.glob("events/*/*/*.parquet"))
    # then
    found = connection.execute(
        """SELECT id_number = md5_number_lower(id), profile_number = md5_number_lower(profile_id), property_campaign,
            property_position, property_machine, property_category FROM read_parquet($file) ORDER BY id""",
        {"file": str(files[0])},
    ).fetchall()
    assert found == [
        (True, True, '"été"', "0", "true", None),
        (None, True, None, None, None, None),
        (None, True, None, None, None, None),
    ]


def test_erased_rows_go_and_nobody_elses(connection: DuckDBPyConnection, tmp_path: Path) -> None:
    # given: what Anna did before she asked to be forgotten and after, and what Bob did
    asked = NOON + 30 * SECOND
    before = event(1)
    correction = event(2, type="event_corrected", properties={"corrects": "event-1", "campaign": "spring"})
    after = event(3, occurred_at=asked + 1, received_at=asked + 1)
    bob = event(4, profile_id=BOB)
    write(tmp_path, parts({"m": [before, correction, after, bob]}), connection)

    # when
    gone = {
        where.parts[-3]: join_some(tmp_path, connection, list(where.glob("*.parquet")), [Erasure(ANNA, asked)]).erased
        for where in {file.parent for file in tmp_path.glob("*/*/*/*.parquet")}
    }

    # then
    assert gone == {"events": 2, "mail": 2}
    assert [one.id for one in known(connection, tmp_path)] == ["event-4", "event-3"]
    found = connection.execute(f"SELECT id FROM '{tmp_path}/mail/*/*/*.parquet' ORDER BY id").fetchall()
    assert found == [("event-3",), ("event-4",)]


def test_of_mail_of_a_later_hour_nothing_goes(connection: DuckDBPyConnection, tmp_path: Path) -> None:
    # given: what a shop told anew after the erasure, of a time before it
    write(tmp_path, parts({"m": [event(1, received_at=NOON + HOUR)]}), connection)
    # then
    for file in list(tmp_path.glob("*/*/*/*.parquet")):
        assert join_some(tmp_path, connection, [file], [Erasure(ANNA, NOON + 1)]).erased == 0


def test_a_file_of_which_all_rows_go_is_not_written(connection: DuckDBPyConnection, tmp_path: Path) -> None:
    # given
    write(tmp_path, parts({"m": [event(1)]}), connection)
    # when
    for file in list(tmp_path.glob("*/*/*/*.parquet")):
        assert join_some(tmp_path, connection, [file], [Erasure(ANNA, NOON + 1)]) == joining.Joined(0, 1)
    # then
    assert not list(tmp_path.rglob("*.parquet"))


def test_copies_without_erased_rows_say_all_the_rest_and_those_without_any_stay(
    connection: DuckDBPyConnection, tmp_path: Path
) -> None:
    # given: files of Anna's alone, of Anna's and Bob's, and of Bob's alone
    for batch in ([event(1)], [event(2), event(3, profile_id=BOB)], [event(4, profile_id=BOB)]):
        write(tmp_path, parts({"m": batch}), connection)
    files = sorted(map(str, tmp_path.glob("events/*/*/*.parquet")))
    before = {file: Path(file).read_bytes() for file in files}
    # when
    kept = without_erased(connection, files, erasures=[Erasure(ANNA, NOON + 1), Erasure(BOB, NOON)])
    # then
    assert sorted(one.id for one in archive.read(connection, kept, [ANNA, BOB])) == ["event-3", "event-4"]
    assert len(kept) == 3
    assert {str(Path(file).parent) for file in kept} == {str(Path(file).parent) for file in files}
    assert {file: Path(file).read_bytes() for file in files} == before
    # and if nobody is erased, or there are no files, there is nothing to do
    assert without_erased(connection, files, erasures=[]) == files
    assert without_erased(connection, [], erasures=[Erasure(ANNA, NOON)]) == []


def test_a_joined_file_sorts_after_all_that_it_was_made_of() -> None:
    # given
    folder = "events/received=2023-11-15/bucket=01"
    written = [f"{folder}/{digit * 32}.parquet" for digit in "0f"]
    # when
    first = joined_key(written, b"one")
    second = joined_key([first, written[0]], b"two")
    third = joined_key([second], b"")
    # then
    assert [*written, first, second, third] == sorted([third, second, first, *written])
    assert [is_joined(key) for key in (*written, first, second)] == [False, False, True, True]
    assert joined_key(written, b"one") == first


def test_what_cannot_be_read_is_found_among_what_can(connection: DuckDBPyConnection, tmp_path: Path) -> None:
    # given: a file that was cut short, one that is empty, and one whose middle is damaged
    write(tmp_path, parts({"m": [event(number, id=f"{number}" * 99) for number in range(9)]}), connection)
    good = next(tmp_path.glob("events/*/*/*.parquet"))
    names = ("cut", "empty", "damaged")
    cut, empty, damaged = (Path(shutil.copy(good, tmp_path / f"{name}.parquet")) for name in names)
    content = good.read_bytes()
    cut.write_bytes(content[:-20])
    empty.write_bytes(b"")
    damaged.write_bytes(content[:8] + b"\xff" * 60 + content[68:])
    # then
    files = list(map(str, (cut, good, empty, damaged)))
    assert unreadable(connection, files) == list(map(str, (cut, empty, damaged)))
    with pytest.raises(duckdb.Error):
        join(connection, files, tmp_path / "target", folder="events/", erasures=[])
