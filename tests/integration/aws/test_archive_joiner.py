"""Joining in the bucket: killed at every request, run twice at once, beside readers, archivers and erasures."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from mailtailor.aws import archive_joiner
from mailtailor.aws.archive_bucket import ArchiveBucket, NotDeleted, StoredFile, UnreadableFile
from mailtailor.aws.archive_history import ArchiveHistory
from mailtailor.aws.archive_joiner import ArchiveJoiner, Changing, Done, Unreadable, due
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.events import archive, mail_counts
from mailtailor.events.event import Event
from mailtailor.events.joining import is_joined

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from mypy_boto3_s3 import S3Client

NOON = 1_700_049_600_000
"""2023-11-15T12:00:00Z."""
ANNA = "0000000000000000000001"
BOB = next(one for number in range(2, 1_000) if archive.bucket(one := f"{number:022}") == archive.bucket(ANNA))
"""Whose events are in the same files."""


class Killed(BaseException):
    """The function's end, in the middle of everything."""


class EdgeOfS3:
    """S3, at which a function can be killed before or after any request, or something else can happen."""

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self.calls: list[str] = []
        self.die_before = 0
        self.die_after = 0
        self.meanwhile: dict[int, Callable[[], object]] = {}

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name == "get_paginator":
            return self._paginator
        if name not in {"put_object", "get_object", "delete_objects"}:
            return call
        return lambda **request: self._count(name, lambda: call(**request))

    def _paginator(self, name: str) -> Any:
        edge, pages = self, self._client.get_paginator(name)  # type: ignore[call-overload]

        class Counted:
            def paginate(self, **request: Any) -> list[Any]:
                answer: list[Any] = edge._count(name, lambda: list(pages.paginate(**request)))
                return answer

        return Counted()

    def _count(self, name: str, call: Callable[[], Any]) -> Any:
        self.calls.append(name)
        number = len(self.calls)
        if number == self.die_before:
            raise Killed
        if other := self.meanwhile.pop(number, None):
            other()
        answer = call()
        if number == self.die_after:
            raise Killed
        return answer


def event(number: int, *, profile_id: str = ANNA, **fields: Any) -> Event:
    return Event.model_validate(
        {
            "id": f"event-{number:02}",
            "type": "email_opened",
            "source": "mailtailor",
            "profile_id": profile_id,
            "occurred_at": NOON,
            "received_at": NOON,
            "properties": {"campaign": "spring"},
            **fields,
        }
    )


class World:
    """An archive on moto."""

    def __init__(self, duckdb: DuckDBPyConnection, folder: Path) -> None:
        self.s3 = boto3.client("s3", region_name="eu-central-1")
        self.duckdb = duckdb
        self.folder = folder
        self._written: dict[str, bytes] = {}
        self.empty()

    def empty(self) -> None:
        name = f"archive-{random.getrandbits(60)}"
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        self.name = name
        self.bucket = ArchiveBucket(client=self.s3, bucket=name)
        self.erased = ErasedProfiles(client=self.s3, bucket=name)

    def archive(self, *events: Event) -> None:
        for part in archive.parts({"m": list(events)}):
            if part.key not in self._written:
                self._written[part.key] = part.parquet(self.duckdb)
            self.bucket.put(part.key, self._written[part.key])

    def joiner(self, client: Any = None) -> ArchiveJoiner:
        client = client or self.s3
        return ArchiveJoiner(
            bucket=ArchiveBucket(client=client, bucket=self.name),
            duckdb=self.duckdb,
            erased=ErasedProfiles(client=client, bucket=self.name),
        )

    def folders(self) -> list[tuple[str, list[StoredFile]]]:
        return [found for prefix in ("events/", "mail/") for found in self.bucket.by_folder(prefix)]

    def join_all(self, client: Any = None) -> None:
        joiner = self.joiner(client)
        for folder, files in self.folders():
            for share in due(files):
                joiner.join(folder, share)

    def erase(self, profile_id: str, client: Any = None) -> None:
        edge = client or self.s3
        ErasedProfiles(client=edge, bucket=self.name).add([profile_id], NOON + 1)
        for prefix in ("events/", "mail/"):
            for folder, files in ArchiveBucket(client=edge, bucket=self.name).by_folder(prefix):
                self.joiner(edge).rewrite(folder, files)

    def keys(self) -> list[str]:
        return [file.key for _, files in self.folders() for file in files]

    def seen(self) -> Any:
        """Return all that readers see: the documents' query, a person's history, and a campaign's counts."""
        copy = self.folder / self.name / str(random.getrandbits(60))
        files = [file for _, found in self.folders() for file in found]
        paths = self.bucket.download(files, copy)
        events = [path for path in paths if "/events/" in path]
        rows = sorted(self.duckdb.execute(archive.READ_SQL, {"files": events}).fetchall()) if events else []
        history = ArchiveHistory(bucket=self.bucket, duckdb=self.duckdb, erased=self.erased)([ANNA, BOB], 0)
        counts = mail_counts.counts(self.duckdb, [path for path in paths if "/mail/" in path], "spring", by="hour")
        return [row[:-2] for row in rows], history, counts


@pytest.fixture(scope="module")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> DuckDBPyConnection:
    return archive.connect(memory="256MiB", threads=1, folder=tmp_path_factory.mktemp("duckdb"))


@pytest.fixture
def world(duckdb: DuckDBPyConnection, tmp_path: Path) -> Iterator[World]:
    with mock_aws():
        yield World(duckdb, tmp_path)


def small_files(world: World) -> None:
    """Archive four events of two people, with doubles, in three files of each of two folders."""
    correction = event(4, type="event_corrected", properties={"corrects": "event-03", "campaign": "spring"})
    world.archive(event(1), event(2, profile_id=BOB))
    world.archive(event(2, profile_id=BOB), event(3), correction)
    world.archive(event(1, occurred_at=NOON - 5))


def test_the_files_of_a_folder_become_one_that_reads_the_same(world: World) -> None:
    # given
    small_files(world)
    before = world.seen()
    assert len(world.keys()) == 6
    # when
    world.join_all()
    # then
    assert world.seen() == before
    assert len(world.keys()) == len(world.folders()) == 2
    assert all(map(is_joined, world.keys()))


def test_what_is_joined_is_left_alone_until_something_comes_late(world: World) -> None:
    # given
    small_files(world)
    world.join_all()
    settled = world.keys()
    # when
    edge = EdgeOfS3(world.s3)
    world.join_all(edge)
    # then
    assert edge.calls == []
    # when: an event that was a dead letter for days
    world.archive(event(9))
    world.join_all()
    # then
    assert len(world.keys()) == len(settled)
    assert not set(world.keys()) & set(settled)
    assert len(world.seen()[0]) == 5


def requests(world: World, run: Callable[[EdgeOfS3], None]) -> int:
    """Return how many requests an undisturbed run makes."""
    small_files(world)
    edge = EdgeOfS3(world.s3)
    run(edge)
    world.empty()
    return len(edge.calls)


def test_joining_that_is_killed_after_any_request_loses_and_doubles_nothing(world: World) -> None:
    for number in range(1, requests(world, world.join_all) + 1):
        # given
        small_files(world)
        expected = world.seen()
        edge = EdgeOfS3(world.s3)
        edge.die_after = number
        # when
        with pytest.raises(Killed):
            world.join_all(edge)
        # then: readers see it all, and the next run leaves what an undisturbed one would have
        assert world.seen() == expected, edge.calls
        world.join_all()
        assert world.seen() == expected, edge.calls
        assert len(world.keys()) == len(world.folders()) == 2
        world.empty()


@pytest.mark.parametrize("other", ["joins all", "archives more", "joins all, then more comes"])
def test_whatever_another_does_between_any_two_requests_nothing_is_lost(world: World, other: str) -> None:
    for number in range(1, requests(world, world.join_all) + 1):
        # given
        small_files(world)
        if "more" in other:
            world.archive(event(8))
        expected = world.seen()
        world.empty()
        small_files(world)
        edge = EdgeOfS3(world.s3)

        def meanwhile() -> None:
            if "joins" in other:
                world.join_all()
            if "more" in other:
                world.archive(event(8))

        edge.meanwhile[number] = meanwhile
        # when
        with contextlib.suppress(Changing):
            world.join_all(edge)
        # then
        assert world.seen() == expected, edge.calls
        world.join_all()
        assert world.seen() == expected
        assert len(world.keys()) == len(world.folders())
        world.empty()


def of_bob_alone(world: World) -> Any:
    world.archive(event(2, profile_id=BOB))
    seen = world.seen()
    world.empty()
    return seen


def erased_for_good(world: World) -> bool:
    """Return whether no row of Anna's is in any file."""
    paths = world.bucket.download([f for _, found in world.folders() for f in found], world.folder / "all")
    return not any(world.duckdb.execute(f"FROM '{path}' WHERE profile_id = '{ANNA}'").fetchall() for path in paths)


@pytest.mark.parametrize("joined", [False, True], ids=["as archived", "as joined"])
def test_erasing_that_is_killed_after_any_request_and_repeated_erases_all_and_nobody_else(
    world: World, *, joined: bool
) -> None:
    def prepare() -> None:
        small_files(world)
        if joined:
            world.join_all()

    expected = of_bob_alone(world)
    prepare()
    counting = EdgeOfS3(world.s3)
    world.erase(ANNA, counting)
    for number in range(1, len(counting.calls) + 1):
        # given
        world.empty()
        prepare()
        edge = EdgeOfS3(world.s3)
        edge.die_after = number
        # when
        with pytest.raises(Killed):
            world.erase(ANNA, edge)
        # then
        assert world.seen()[1] == expected[1], "a person's history has it as soon as it is noted"
        world.erase(ANNA)
        assert world.seen() == expected, edge.calls
        assert erased_for_good(world)


def test_who_is_erased_between_any_two_requests_of_a_joining_stays_erased(world: World) -> None:
    expected = of_bob_alone(world)
    for number in range(1, requests(world, world.join_all) + 1):
        # given
        small_files(world)
        edge = EdgeOfS3(world.s3)
        edge.meanwhile[number] = lambda: world.erase(ANNA)
        # when
        with contextlib.suppress(Changing):
            world.join_all(edge)
        # then
        assert erased_for_good(world), edge.calls
        assert world.seen() == expected
        world.empty()


def test_a_joining_that_is_killed_while_somebody_is_erased_is_put_right_by_the_next(world: World) -> None:
    def prepare() -> None:
        world.empty()
        world.archive(event(1, type="order_completed"), event(2, type="order_completed", profile_id=BOB))
        world.archive(event(3, type="order_completed"))

    prepare()
    counting = EdgeOfS3(world.s3)
    world.join_all(counting)
    for erased_at in range(1, len(counting.calls)):
        for killed_at in range(erased_at + 1, len(counting.calls) + 1):
            # given
            prepare()
            edge = EdgeOfS3(world.s3)
            edge.meanwhile[erased_at] = lambda: world.erase(ANNA)
            edge.die_before = killed_at
            # when
            with contextlib.suppress(Changing, Killed):
                world.join_all(edge)
            world.join_all()
            # then
            assert erased_for_good(world), (erased_at, killed_at)
            assert [row[0] for row in world.seen()[0]] == ["event-02"]


def test_what_comes_late_of_somebody_erased_goes_with_the_next_joining(world: World) -> None:
    # given
    small_files(world)
    world.join_all()
    world.erase(ANNA)
    # when: what was in flight, and what she did when she came back
    world.archive(event(7), event(8, occurred_at=NOON + 1, received_at=NOON + 1))
    # then
    assert [one.id for one in world.seen()[1]] == ["event-02", "event-08"]
    world.join_all()
    assert [row[0] for row in world.seen()[0]] == ["event-02", "event-08"]


def test_nothing_is_rewritten_that_has_nothing_to_erase(world: World) -> None:
    # given
    world.archive(event(2, profile_id=BOB))
    world.archive(event(3))
    before = set(world.keys())
    # when
    world.erase(ANNA)
    # then
    assert len(before & set(world.keys())) == len(before) - 2
    assert world.joiner().rewrite("events/", []) == Done()


@pytest.mark.parametrize("content", [b"", b"PAR1 no more", None], ids=["empty", "corrupt", "withheld"])
def test_a_file_that_cannot_be_read_is_named_and_stays_and_so_does_all_beside_it(
    world: World, content: bytes | None
) -> None:
    # given
    small_files(world)
    (folder, files), *_ = world.folders()
    bad = f"{folder}{'7' * 32}.parquet"
    storage: Any = {"StorageClass": "GLACIER"} if content is None else {}
    world.s3.put_object(Bucket=world.name, Key=bad, Body=content or b"", **storage)
    before = world.keys()
    # when
    (_, files), *_ = world.folders()
    with pytest.raises(Unreadable) as refused:
        world.joiner().join(folder, files)
    # then
    assert refused.value.keys == [bad]
    assert world.keys() == before


def test_a_file_that_is_gone_when_it_is_fetched_is_for_the_next_run(world: World) -> None:
    # given
    small_files(world)
    (folder, files), *_ = world.folders()
    world.bucket.delete([files[0].key])
    # then
    with pytest.raises(Changing):
        world.joiner().join(folder, files)


def test_files_that_s3_does_not_delete_are_no_loss(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    small_files(world)
    expected = world.seen()
    edge = EdgeOfS3(world.s3)
    monkeypatch.setattr(edge, "delete_objects", lambda **_: {"Errors": [{"Code": "InternalError"}]}, raising=False)
    # when
    with pytest.raises(NotDeleted, match="InternalError"):
        world.join_all(edge)
    # then
    assert world.seen() == expected


def test_a_large_folder_is_joined_in_shares_and_comes_to_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(archive_joiner, "FILES_AT_ONCE", 4)
    for number in range(30):
        world.archive(event(number, type="order_completed"))
    # when
    runs = 0
    while any(due(files) for _, files in world.folders()):
        world.join_all()
        runs += 1
    # then
    assert runs <= 4
    assert len(world.keys()) == 1
    assert len(world.seen()[0]) == 30


def test_a_joined_file_that_is_large_is_not_joined_again() -> None:
    # given
    large = StoredFile(f"events/received=2023-11-15/bucket=01/joined-000001-{'a' * 32}.parquet", archive_joiner.LARGE)
    small = StoredFile(large.key.replace("000001", "000002"), 10)
    late = StoredFile(f"{large.folder}{'b' * 32}.parquet", 10)
    # then
    assert due([large]) == due([large, small]) == due([]) == []
    assert due([late, large]) == [[late]]
    assert due([late, large, small]) == [[late, small]]


def test_more_than_memory_holds_is_joined_in_halves(world: World, tmp_path: Path) -> None:
    # given: some 60 MB of text in a DuckDB of 80 MB
    text = random.Random(1)
    for number in range(6):
        world.archive(
            *(
                event(
                    number * 1_000 + n,
                    type="order_completed",
                    properties={"note": f"{text.getrandbits(40_000):x}"},
                )
                for n in range(1_000)
            )
        )
    world.duckdb = archive.connect(memory="80MiB", threads=1, folder=tmp_path / "small")
    world.duckdb.execute("SET max_temp_directory_size = '1MiB'")
    ((folder, files),) = world.folders()
    # when
    done = world.joiner().join(folder, files)
    # then
    assert (done.files, done.rows) == (6, 6_000)
    assert len(world.keys()) > 1
    # when: what could not be joined more is tried again
    settled = world.keys()
    world.join_all()
    # then
    assert world.keys() == settled


def test_readers_list_again_what_is_joined_meanwhile_but_not_for_ever(world: World) -> None:
    # given
    small_files(world)
    tries = []

    def listed() -> list[StoredFile]:
        tries.append(1)
        return [StoredFile("mail/received=2023-11-15/hour=12/gone.parquet", 1)]

    # then
    with pytest.raises(UnreadableFile, match="gone"):
        world.bucket.whole(listed, lambda files: world.bucket.download(files, world.folder))
    assert len(tries) == 5


def test_folders_are_listed_in_the_order_of_their_names_and_from_where_one_left_off(world: World) -> None:
    # given
    small_files(world)
    world.archive(event(5, received_at=NOON + 86_400_000))
    folders = [folder for folder, _ in world.bucket.by_folder("events/")]
    # then
    assert folders == sorted(folders)
    assert len(folders) > 1
    assert [folder for folder, _ in world.bucket.by_folder("events/", after=folders[0])] == folders[1:]
    assert not list(world.bucket.by_folder("events/", after=folders[-1]))
