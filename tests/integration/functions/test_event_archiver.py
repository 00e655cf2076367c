from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from functions.event_archiver import handler
from functions.event_archiver.handler import Dependencies, store
from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.aws.archive_history import ArchiveHistory
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.event_queue import LargeEvents
from mailtailor.aws.startup import prepared
from mailtailor.events import archive, mail_counts
from mailtailor.events.envelope import MAX_INLINE_BYTES, nowhere, pack
from mailtailor.events.event import Event
from tests.integration.functions.intake_engine import Context

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NOON = 1_700_049_600_000
CALLS = 4
"""Requests to S3 that archive `batch()`: two of its five profiles share a bucket."""


class Queues:
    """The edge of SQS: keeps the pauses that the function asked for, by message."""

    class Meta:
        endpoint_url = "https://sqs.eu-central-1.amazonaws.com"

    meta = Meta()

    def __init__(self) -> None:
        self.pauses: dict[str, int] = {}

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: ARG002, N803
        self.pauses.update({entry["ReceiptHandle"]: entry["VisibilityTimeout"] for entry in Entries})
        return {}


class FlakyS3:
    """S3 that fails at the calls named: before it stored, or after, so that the answer is lost."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.fail_before: set[int] = set()
        self.fail_after: set[int] = set()
        self.die_at = 0
        self.calls = 0

    def put_object(self, **request: Any) -> Any:
        self.calls += 1
        if self.calls == self.die_at:
            raise SystemExit
        if self.calls in self.fail_before:
            raise ConnectionError
        answer = self._client.put_object(**request)
        if self.calls in self.fail_after:
            raise ConnectionError
        return answer


class Bench:
    def __init__(self, folder: Path, duckdb: DuckDBPyConnection) -> None:
        self.folder = folder
        self.duckdb = duckdb
        self.s3 = boto3.client("s3", region_name="eu-central-1")
        for name in ("archive", "intake"):
            self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        self.large = LargeEvents(self.s3, "intake")
        self.flaky = FlakyS3(self.s3)
        self.queues = Queues()

    def run(self, *records: dict[str, Any]) -> list[str]:
        given = Dependencies(
            bucket=ArchiveBucket(client=self.flaky, bucket="archive"),  # type: ignore[arg-type]
            duckdb=self.duckdb,
            sqs=self.queues,  # type: ignore[arg-type]
            fetch=self.large.fetch,
        )
        answer = store(records, given)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def stored(self) -> list[str]:
        return [stored["Key"] for stored in self.s3.list_objects_v2(Bucket="archive").get("Contents", [])]

    def download(self) -> None:
        for key in self.stored():
            file = self.folder / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.s3.get_object(Bucket="archive", Key=key)["Body"].read())

    def ids(self) -> list[str]:
        """Download everything and read it as the documents tell."""
        self.download()
        rows = self.duckdb.execute(archive.READ_SQL, {"files": f"{self.folder}/events/*/*/*.parquet"}).fetchall()
        return sorted(row[0] for row in rows)


@pytest.fixture(scope="module")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> DuckDBPyConnection:
    return archive.connect(memory="256MiB", threads=1, folder=tmp_path_factory.mktemp("duckdb"))


@pytest.fixture
def bench(tmp_path: Path, duckdb: DuckDBPyConnection) -> Iterator[Bench]:
    with mock_aws():
        yield Bench(tmp_path, duckdb)


def event(number: int) -> Event:
    return Event(
        id=f"event-{number:03}",
        type="order_completed",
        source="shopify",
        profile_id=f"{number // 20:022}",
        occurred_at=NOON - number,
        received_at=NOON,
        properties={"products": [{"product_id": "22086", "price": 2.95}]},
    )


def message(name: str, body: str) -> dict[str, Any]:
    return {
        "messageId": name,
        "receiptHandle": name,
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1"},
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:archive",
    }


def batch(count: int = 100, *, per_message: int = 10) -> list[dict[str, Any]]:
    return [
        message(
            f"m{start}",
            "".join(pack((event(number).model_dump_json() for number in range(start, start + per_message)), nowhere)),
        )
        for start in range(0, count, per_message)
    ]


ALL = [event(number).id for number in range(100)]


def test_every_event_of_a_batch_is_stored_once(bench: Bench) -> None:
    assert bench.run(*batch()) == []
    assert bench.ids() == ALL
    assert len(bench.stored()) == CALLS


def test_a_batch_that_comes_again_overwrites_what_it_wrote(bench: Bench) -> None:
    # given
    bench.run(*batch())
    before = bench.stored()

    # when
    bench.run(*reversed(batch()))

    # then
    assert bench.stored() == before


def test_a_batch_that_comes_again_in_other_company_makes_doubles_that_readers_remove(bench: Bench) -> None:
    # given
    bench.run(*batch()[:6])

    # when
    bench.run(*batch()[4:])

    # then
    assert bench.ids() == ALL


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_whichever_call_to_s3_fails_nothing_is_done_before_it_is_stored(bench: Bench, lost: str) -> None:
    for number in range(1, CALLS + 1):
        # given
        bench.flaky.calls = 0
        (bench.flaky.fail_before if lost == "request" else bench.flaky.fail_after).add(number)

        # when: what failed comes again, alone
        failed = set(bench.run(*batch()))
        done = [one for one in batch() if one["messageId"] not in failed]
        stored_at_once = set(bench.ids())
        bench.flaky.fail_before.clear()
        bench.flaky.fail_after.clear()
        again = bench.run(*(one for one in batch() if one["messageId"] in failed))

        # then
        assert stored_at_once >= {entry["id"] for one in done for entry in json.loads(one["body"])["events"]}
        assert again == []
        assert bench.ids() == ALL
        for key in bench.stored():
            bench.s3.delete_object(Bucket="archive", Key=key)
            (bench.folder / key).unlink()


def test_a_function_that_dies_between_two_calls_leaves_nothing_that_its_successor_does_not_overwrite(
    bench: Bench,
) -> None:
    # given
    bench.flaky.die_at = 3
    with pytest.raises(SystemExit):
        bench.run(*batch())
    assert len(bench.stored()) == 2

    # when
    bench.run(*batch())

    # then
    assert bench.ids() == ALL
    assert len(bench.stored()) == CALLS


def opened(number: int) -> Event:
    return event(number).model_copy(update={"type": "email_opened", "properties": {"campaign": "spring"}})


def opens(count: int = 40) -> list[dict[str, Any]]:
    return [
        message(f"open-{number}", "".join(pack([opened(number).model_dump_json()], nowhere))) for number in range(count)
    ]


def counted_opens(bench: Bench) -> int:
    bench.download()
    files = [str(file) for file in bench.folder.glob("mail/*/*/*.parquet")]
    return mail_counts.counts(bench.duckdb, files, "spring").totals.human_opens


def test_what_happens_to_mails_is_stored_a_second_time_for_counting(bench: Bench) -> None:
    # when
    failed = bench.run(*opens(), *batch())
    # then
    assert failed == []
    assert len([key for key in bench.stored() if key.startswith("mail/received=2023-11-15/hour=12/")]) == 1
    assert bench.ids() == ALL
    assert counted_opens(bench) == 40


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_a_message_is_done_only_when_both_of_its_files_are_stored(bench: Bench, lost: str) -> None:
    calls = 3  # two buckets of profiles and the hour's rows
    for number in range(1, calls + 1):
        # given
        bench.flaky.calls = 0
        (bench.flaky.fail_before if lost == "request" else bench.flaky.fail_after).add(number)

        # when
        failed = set(bench.run(*opens()))
        bench.flaky.fail_before.clear()
        bench.flaky.fail_after.clear()
        done = 40 - len(failed)

        # then
        assert failed
        assert len(bench.ids()) >= done
        assert counted_opens(bench) >= done
        assert bench.run(*(one for one in opens() if one["messageId"] in failed)) == []
        assert len(bench.ids()) == counted_opens(bench) == 40
        for key in bench.stored():
            bench.s3.delete_object(Bucket="archive", Key=key)
            (bench.folder / key).unlink()


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_function_that_dies_between_the_two_files_of_an_event_counts_it_once_in_the_end(
    bench: Bench, call: int
) -> None:
    # given
    bench.flaky.die_at = call
    with pytest.raises(SystemExit):
        bench.run(*opens())

    # when: its messages come again, some in other company
    bench.run(*opens()[:25])
    bench.run(*opens()[15:])

    # then
    assert len(bench.ids()) == counted_opens(bench) == 40


def everything(bench: Bench) -> tuple[list[str], list[Event], mail_counts.Report]:
    """Return all that readers see: the documents' query, people's history, and a campaign's counts."""
    bucket = ArchiveBucket(client=bench.s3, bucket="archive")
    erased = ErasedProfiles(client=bench.s3, bucket="archive")
    people = sorted({event(number).profile_id or "" for number in range(100)})
    history = ArchiveHistory(bucket=bucket, duckdb=bench.duckdb, erased=erased)(people, 0)
    mail = bucket.download(bucket.files(["mail/"]), bench.folder / "counted")
    return bench.ids(), history, mail_counts.counts(bench.duckdb, mail, "spring", by="hour")


@pytest.mark.parametrize("call", range(1, CALLS + 2))
def test_whichever_request_it_dies_at_all_readers_see_in_the_end_what_was_sent_once(bench: Bench, call: int) -> None:
    # given: 60 opens and 40 orders, which become four files of profiles and one of mail
    sent = [
        message(f"m{number}", "".join(pack([one.model_dump_json()], nowhere)))
        for number in range(100)
        for one in [opened(number) if number < 60 else event(number)]
    ]
    bench.flaky.die_at = call
    with pytest.raises(SystemExit):
        bench.run(*sent)

    # when: what was not answered comes again, in other company
    assert bench.run(*sent[:70]) == []
    assert bench.run(*sent[50:]) == []

    # then
    ids, history, report = everything(bench)
    assert ids == ALL
    assert history == sorted(history, key=lambda one: (one.occurred_at, one.id))
    assert sorted(one.id for one in history) == ALL
    assert report.totals.human_opens == 60


def test_a_malformed_message_is_poison_and_everything_else_is_kept(bench: Bench) -> None:
    # given: messages that are none of ours, and one with a bad event between good ones
    good, bad = event(1).model_dump_json(), '{"id":"x"}'
    records = [
        message("none", "not json"),
        message("deep", "[" * 100_000),
        message("mixed", f'{{"v":1,"events":[{good},{bad},{event(2).model_dump_json()}]}}'),
        message("good", "".join(pack([event(3).model_dump_json()], nowhere))),
        message(
            "year 12000",
            f'{{"v":1,"events":[{event(4).model_copy(update={"received_at": 1 << 48}).model_dump_json()}]}}',
        ),
    ]

    # when
    failed = bench.run(*records)

    # then
    assert sorted(failed) == ["deep", "mixed", "none", "year 12000"]
    assert bench.queues.pauses == dict.fromkeys(failed, 0)
    assert bench.ids() == [event(1).id, event(2).id, event(3).id]


def test_an_event_larger_than_a_message_reaches_the_archive_by_its_place(bench: Bench) -> None:
    # given
    large = event(1).model_copy(update={"properties": {"note": "x" * (MAX_INLINE_BYTES + 1)}})
    (pointing,) = pack([large.model_dump_json()], bench.large.store)
    assert len(pointing) < 200

    # when
    failed = bench.run(message("large", pointing), *batch())

    # then
    assert failed == []
    bench.download()
    files = [str(file) for file in bench.folder.glob("events/*/*/*.parquet")]
    assert large in archive.read(bench.duckdb, files, [large.profile_id or ""])


def test_an_event_whose_place_cannot_be_read_now_comes_again_and_keeps_no_other_up(bench: Bench) -> None:
    # given
    missing = message("missing", '{"v":1,"stored":"large/none.json"}')
    foreign = message("foreign", '{"v":1,"stored":"secrets/all.json"}')

    # when
    failed = bench.run(missing, foreign, *batch())

    # then
    assert sorted(failed) == ["foreign", "missing"]
    assert bench.queues.pauses["foreign"] == 0
    assert bench.queues.pauses["missing"] > 0
    assert bench.ids() == ALL


def test_an_empty_message_is_done(bench: Bench) -> None:
    assert bench.run(message("empty", '{"v":1,"events":[]}')) == []
    assert bench.stored() == []


def test_the_function_composes_itself_from_its_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setenv("ARCHIVE_BUCKET", "archive")
    monkeypatch.setenv("INTAKE_BUCKET", "intake")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
    # Lambda's user has no home to keep extensions in.
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(handler, "dependencies", prepared(handler.connect))

    # when
    answer = handler.handler({"Records": batch()}, Context())

    # then
    assert answer == {"batchItemFailures": []}
    assert bench.ids() == ALL
