"""Flips in Parquet: what is written is what is read, whatever is joined and whoever is erased."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtailor.events import archive, flip_files, joining
from mailtailor.events.flips import PastFlip, once_each
from mailtailor.events.joining import Erasure
from mailtailor.instant import DAY
from tests.unit.events.test_archive import write

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NOON = 1_700_049_600_000
"""2023-11-15T12:00:00Z."""
ANNA = "0000000000000000000001"
BOB = next(one for n in range(2, 1_000) if archive.bucket(one := f"{n:022}") == archive.bucket(ANNA))
"""Whose flips are in the same files."""
FLIPS = st.builds(
    PastFlip,
    profile_id=st.sampled_from([ANNA, BOB]),
    segment=st.sampled_from(["buyers", "viewers"]),
    entered=st.booleans(),
    at=st.integers(NOON - 2, NOON),
    reason=st.sampled_from(["time", "event:o1"]),
    version=st.integers(1, 3),
    valid_until=st.none() | st.integers(NOON, NOON + DAY),
    published_at=st.integers(NOON, NOON + 2),
    definitions=st.sampled_from(["", "f1"]),
)
FLIP = PastFlip(ANNA, "buyers", True, NOON - 5, "event:o1", 7, NOON + DAY, NOON, "f1")


@pytest.fixture(scope="module")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> DuckDBPyConnection:
    return archive.connect(memory="256MiB", threads=1, folder=tmp_path_factory.mktemp("duckdb"))


def read(folder: Path, duckdb: DuckDBPyConnection, *profiles: str, segment: str = "buyers") -> list[PastFlip]:
    files = sorted(map(str, folder.glob("flips/*/*/*.parquet")))
    return once_each(flip_files.read(duckdb, files, profiles or (ANNA, BOB), segment))


def join(
    folder: Path, duckdb: DuckDBPyConnection, files: Sequence[Path], erasures: Collection[Erasure] = ()
) -> joining.Joined:
    target = folder / "joined.parquet"
    keys = [str(file.relative_to(folder)) for file in files]
    where = keys[0].rpartition("/")[0] + "/"
    made = joining.join(duckdb, list(map(str, files)), target, folder=where, erasures=erasures)
    if made.rows:
        target.rename(folder / joining.joined_key(keys, target.read_bytes()))
    for file in files:
        file.unlink()
    return made


@settings(max_examples=15, deadline=None)
@given(flips=st.lists(FLIPS, min_size=1, max_size=8, unique_by=lambda one: one.key))
def test_what_is_archived_is_what_is_read(
    flips: list[PastFlip], duckdb: DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # given
    folder = tmp_path_factory.mktemp("archive")
    # when
    write(folder, flip_files.parts({"m1": flips}), duckdb)
    # then
    for segment in ("buyers", "viewers"):
        assert read(folder, duckdb, segment=segment) == once_each(one for one in flips if one.segment == segment)


def test_a_file_lies_at_the_day_of_publication_and_the_bucket_of_its_profile() -> None:
    # given: it happened the day before
    [part] = flip_files.parts({"m1": [replace(FLIP, at=NOON - DAY)]})
    # then
    folder = f"flips/received=2023-11-15/bucket={archive.bucket(ANNA):02}/"
    assert part.key.startswith(folder)
    assert archive.span(folder) == (NOON - DAY // 2, NOON + DAY // 2)


@pytest.mark.parametrize("folder", ["flips/received=2023-11-15/hour=07/", "mail/received=2023-11-15/bucket=07/"])
def test_folders_of_another_form_are_not_of_the_archive(folder: str) -> None:
    with pytest.raises(ValueError, match="not a folder"):
        archive.span(folder)


def test_a_batch_that_comes_again_overwrites_its_file() -> None:
    first = flip_files.parts({"m1": [FLIP], "m2": [FLIP]})
    again = flip_files.parts({"m3": [FLIP]})
    assert [part.key for part in first] == [part.key for part in again]
    assert [part.messages for part in first] == [{"m1", "m2"}]


@settings(max_examples=15, deadline=None)
@given(
    batches=st.lists(st.lists(FLIPS, min_size=1, max_size=6), min_size=1, max_size=5),
    chance=st.randoms(use_true_random=False),
)
def test_however_flips_are_repeated_and_joined_they_read_the_same(
    batches: list[list[PastFlip]],
    chance: random.Random,
    duckdb: DuckDBPyConnection,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # given
    folder = tmp_path_factory.mktemp("archive")
    for batch in batches:
        write(folder, flip_files.parts({"m": batch}), duckdb)
    before = {
        (one.key, one.published_at) for name in ("buyers", "viewers") for one in read(folder, duckdb, segment=name)
    }
    # when
    for _ in range(3):
        files = sorted(folder.glob("flips/*/*/*.parquet"))
        join(folder, duckdb, chance.sample(files, chance.randint(1, len(files))))
    # then
    after = {
        (one.key, one.published_at) for name in ("buyers", "viewers") for one in read(folder, duckdb, segment=name)
    }
    assert after == before


def test_who_is_erased_loses_the_flips_of_before_and_keeps_those_of_after(
    duckdb: DuckDBPyConnection, tmp_path: Path
) -> None:
    # given: one that happened before the erasure was still on its way; one happened afterwards; and Bob's
    erased_at = NOON
    late = replace(FLIP, version=8, published_at=NOON + 9)
    after = replace(FLIP, version=9, at=NOON + 1, published_at=NOON + 9)
    bobs = replace(FLIP, profile_id=BOB)
    write(tmp_path, flip_files.parts({"m": [FLIP, late, after, bobs]}), duckdb)
    [file] = tmp_path.glob("flips/*/*/*.parquet")
    folder = f"{file.parent.relative_to(tmp_path)}/"
    erasures = [Erasure(ANNA, erased_at)]
    # then
    assert joining.erasable(duckdb, str(file), folder=folder, erasures=erasures) == 2
    # when
    made = join(tmp_path, duckdb, [file], erasures)
    # then
    assert (made.rows, made.erased) == (2, 2)
    assert set(read(tmp_path, duckdb)) == {after, bobs}
