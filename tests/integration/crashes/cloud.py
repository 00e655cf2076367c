"""All functions between an event and the ESP, with what starts them, in a time that the test moves.

Tables and buckets are moto's, queues are `queues`, for they have to follow the test's time. What starts a function does
what AWS does when it fails or dies: a queue hands a message out again when its visibility time-out is over, a stream
hands out the same records again, half of them at first, and a schedule has its next turn.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import botocore.session
import pytest
import urllib3
from moto import mock_aws
from urllib3.exceptions import ReadTimeoutError

from functions.esp_sync import handler as esp_sync
from functions.event_archiver import handler as event_archiver
from functions.event_processor import handler as event_processor
from functions.flip_archiver import handler as flip_archiver
from functions.membership_publisher import handler as membership_publisher
from functions.profile_rebuilder import handler as profile_rebuilder
from functions.segment_clock import handler as segment_clock
from functions.segment_recompute import handler as segment_recompute
from functions.segment_rollout import handler as segment_rollout
from functions.wake_processor import handler as wake_processor
from mailtailor.aws import archive_bucket, clients, definitions, due_index
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.definition_versions import DefinitionVersions
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.aws.rollout_driver import SETTLE
from mailtailor.events import histories
from mailtailor.instant import HOUR, MINUTE, SECOND
from mailtailor.profiles import sweep
from mailtailor.profiles.profile import NEAR, Profile
from mailtailor.profiles.sweep import Place
from mailtailor.segments.definition import SegmentDefinition
from tests.integration.crashes.queues import Message, Queue, Queues
from tests.integration.crashes.wire import Fault, Killed, Wire
from tests.integration.dynamodb import create_tables

SWEEP: Final = 15 * MINUTE
"""Between two turns of the clock, as if it were down in between: each turn asks many partitions."""
ROLLOUT: Final = 5 * MINUTE
"""Between two looks at a change of definitions."""
PROVISIONAL: Final = 10 * MINUTE
WORK: Final = 10
"""Milliseconds that an invocation takes."""
BATCH_OF_STREAM: Final = 100
MOST_INVOCATIONS: Final = 3_000
LOCATION: Final[Any] = {"LocationConstraint": "eu-west-1"}


class Source(NamedTuple):
    """A queue, and the function that works it off.

    Attributes
    ----------
    delay, visibility
        Seconds. Waiting for a batch to fill is a delay.
    """

    queue: str
    function: str
    visibility: int
    delay: int = 0
    max_receives: int = 5
    batch: int = 10


QUEUES: Final = (
    Source("events", "event_processor", visibility=360),
    Source("wake_ups", "wake_processor", visibility=360, max_receives=12),
    Source("archive", "event_archiver", visibility=420, delay=60, batch=1_000),
    Source("trail", "flip_archiver", visibility=420, delay=60, batch=100),
    Source("rebuilds", "profile_rebuilder", visibility=1_800, delay=540, batch=1),
    Source("recompute", "segment_recompute", visibility=1_800, batch=1),
    Source("esp", "esp_sync", visibility=360, max_receives=30),
)
"""As the stacks have them; `tests.infra` compares."""
FUNCTIONS: Final[Mapping[str, ModuleType]] = {
    "event_processor": event_processor,
    "wake_processor": wake_processor,
    "event_archiver": event_archiver,
    "flip_archiver": flip_archiver,
    "profile_rebuilder": profile_rebuilder,
    "segment_recompute": segment_recompute,
    "esp_sync": esp_sync,
    "membership_publisher": membership_publisher,
    "segment_clock": segment_clock,
    "segment_rollout": segment_rollout,
}
PERIODS: Final = {"segment_clock": SWEEP, "segment_rollout": ROLLOUT}


@dataclass(frozen=True)
class Context:
    """What Lambda tells of an invocation; often so little time is left that recomputing does one chunk of people."""

    number: int
    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:function"
    aws_request_id: str = "request"

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds that are left."""
        return segment_recompute.RESERVE - self.number % 2


class Esp:
    """The destination of flips, which drops what it has already, by the version (docs/delivery.md)."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.ids: dict[tuple[str, str, int], set[str]] = {}
        self.applied: dict[tuple[str, str], list[tuple[int, bool]]] = {}

    def take(self, webhook_id: str, body: bytes) -> None:
        """Take a flip, and act on it unless it or a newer one has been acted on."""
        message = json.loads(body)
        told = message["data"]
        self.received.append(message)
        self.ids.setdefault((told["profile_id"], told["segment"], told["version"]), set()).add(webhook_id)
        applied = self.applied.setdefault((told["profile_id"], told["segment"]), [])
        if not applied or told["version"] > applied[-1][0]:
            applied.append((told["version"], message["type"] == "segment.entered"))


class Pool(urllib3.PoolManager):
    """Connections to the ESP, over the wire."""

    def __init__(self, wire: Wire, esp: Esp) -> None:
        super().__init__()
        self._wire, self._esp = wire, esp

    def request(self, method: str, url: str, *_args: Any, **given: Any) -> Any:
        """Bring a flip."""

        def answer(status: int) -> urllib3.HTTPResponse:
            return urllib3.HTTPResponse(BytesIO(b""), status=status, preload_content=False)

        def send() -> urllib3.HTTPResponse:
            self._esp.take(given["headers"]["webhook-id"], given["body"])
            return answer(200)

        lost = ReadTimeoutError(urllib3.HTTPConnectionPool("esp"), url, "no answer")
        return self._wire.request(f"{method} esp", send, refused=lambda: answer(503), lost=lost, call=object())


class Cloud:
    """Everything; see the module.

    Parameters
    ----------
    patch
        Puts the test's time, wire and definitions where the system's are.
    start
        The first instant.
    fault
        What goes wrong, and where; nothing if not given.
    """

    def __init__(self, patch: pytest.MonkeyPatch, *, start: int, fault: Fault | None = None) -> None:
        self.now = start
        queues = [Queue(one.queue, one.visibility, one.delay, one.max_receives, one.batch) for one in QUEUES]
        self.queues = Queues(queues, lambda: self.now)
        self.wire = Wire(fault, lambda: self.now, self.queues, self._wrote)
        self.esp = Esp()
        self.published: list[dict[str, Any]] = []
        """The images of all writes that flipped, in their order."""
        self.invocations = 0
        self._armed: dict[str, int] = {}
        self._walked: dict[tuple[str, str], Place] = {}
        self._stream: list[dict[str, Any]] = []
        self._batch = BATCH_OF_STREAM
        self._turns = {"segment_clock": start + SWEEP, "segment_rollout": start + ROLLOUT}
        self._patch = patch
        self._connect()

    def _connect(self) -> None:
        patch = self._patch
        patch.setattr(time, "time_ns", lambda: self.now * 1_000_000)
        patch.setattr(time, "sleep", lambda _seconds: None)
        # Several threads would make the points' order a matter of chance.
        patch.setattr(esp_sync, "THREADS", 1)
        patch.setattr(archive_bucket, "CONNECTIONS", 1)
        patch.setattr(segment_clock, "DUE_SHARDS", 1)
        # Chunks of one person are chunks enough.
        patch.setattr(histories, "PROFILES_AT_ONCE", 1)
        # Partitions are asked one like the other, so a few are as good as many.
        patch.setattr(due_index, "DUE_SHARDS", 2)
        patch.setattr(sweep, "DEEP_REACH", 3 * HOUR)
        patch.setattr(esp_sync, "new_pool", lambda _connections: Pool(self.wire, self.esp))
        self.wire.connect(patch)
        self.dynamodb, self.s3 = clients.dynamodb(), clients.s3()
        create_tables(self.dynamodb, profiles="profiles", keyed=("clock", "deliveries", "definitions"))
        for bucket in ("archive", "intake"):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=LOCATION)
        clients.secrets_manager().create_secret(Name="esp_keys", SecretString='{"signing_key": "a key of tests"}')

    def deploy(self, *segments: SegmentDefinition) -> None:
        """Deploy definitions, and with them new functions."""
        self._patch.setattr(definitions, "segments", lambda: segments)
        for function in FUNCTIONS.values():
            self._start(function)

    def _start(self, function: Any) -> None:
        """Let the function's next invocation start in a process of its own."""
        self._patch.setattr(function, "dependencies", cache(function.connect))

    def _wrote(self, operation: str, asked: Any) -> None:
        """Look at what was written: no effect may come before another that a death in between would lose."""
        puts = [one["Put"] for one in asked["TransactItems"]] if operation == "TransactWriteItems" else [asked]
        for put in puts if operation in {"PutItem", "TransactWriteItems"} else ():
            if put["TableName"] == "profiles":
                self._wrote_profile(put["Item"])
            elif put["TableName"] == "clock" and put["Item"]["id"]["S"].startswith(("sweep#", "stragglers#")):
                self._moved_cursor(put["Item"])

    def _wrote_profile(self, item: Any) -> None:
        """Put it into the table's stream if it flipped, which the event source looks for."""
        who, due_at = item["id"]["S"], int(item["due_at"]["N"]) if "due_at" in item else None
        if due_at is not None and due_at != self._armed.get(who) and due_at - self.now <= NEAR:
            assert self._wakes(who), "a wake-up that is near was not sent before the write that arms it"
        self._armed.pop(who, None)
        if due_at is not None:
            self._armed[who] = due_at
        if "flipped" in item:
            self.published.append(item)
            number = str(len(self.published))
            self._stream.append({"dynamodb": {"SequenceNumber": number, "NewImage": item}})

    def _moved_cursor(self, item: Any) -> None:
        walk, shard = item["id"]["S"].split("#")
        reached = Place(int(item["due_at"]["N"]), item["profile_id"]["S"])
        anew = Place(self.now - sweep.STRAGGLER_REACH)
        before = self._walked.get((walk, shard), anew)
        back = self._walked.get(("stragglers", shard), sweep.AT_REST)
        # Those between these two are found by the walk back.
        begins, ends = anew if back == sweep.AT_REST else back, Place(self.now - sweep.STRAGGLER_AGE)
        for who, due_at in self._armed.items():
            place = Place(due_at, who)
            mine = due_index.due_bucket(who, due_at).endswith(f"#{shard}")
            # Where it names somebody, they have been sent, and others of that instant not.
            passed = mine and before < place and (place <= reached or due_at < reached.due_at)
            if walk == "sweep" and passed and not begins < place < ends:
                assert self._wakes(who), "the cursor moved past somebody who was not sent"
        self._walked[walk, shard] = reached

    def _wakes(self, who: str) -> bool:
        return any(f'"{who}"' in one.body for one in self.queues.by_name["wake_ups"].waiting)

    # What starts functions.

    def pass_time(self, until: int) -> None:
        """Let everything happen that happens up to an instant."""
        while True:
            self._work()
            upcoming = min(
                (one for one in (*self._seen_next(), *self._turns.values()) if one > self.now), default=until
            )
            if upcoming > until:
                break
            self.now = upcoming
        self.now = max(self.now, until)

    def _seen_next(self) -> Iterator[int]:
        return (one.next for one in self.queues.by_name.values() if one.next is not None)

    def _work(self) -> None:
        """Work until there is nothing to do at this instant."""
        while self._turn() or self._follow() or any(self._poll(one.queue, one.function) for one in QUEUES):
            assert self.invocations < MOST_INVOCATIONS, "it never comes to rest"

    def _turn(self) -> bool:
        """Let what a schedule starts have its turn."""
        for name, at in self._turns.items():
            if at <= self.now and (name != "segment_rollout" or self._rolling()):
                self._turns[name] = at + PERIODS[name]
                self._invoke(name, {})
                return True
            self._turns[name] = at if at > self.now else at + PERIODS[name]
        return False

    def _rolling(self) -> bool:
        """Tell what the archive's watermark would, and return whether definitions are being changed.

        Only then the rollout's turns are played; at others it looks and does nothing.
        """
        waiting = [*self.queues.by_name["events"].waiting, *self.queues.by_name["archive"].waiting]
        ArchiveWatermark(client=self.dynamodb, table="clock").advance(
            min([self.now, *(one.sent_at for one in waiting)])
        )
        rollout = DefinitionVersions(client=self.dynamodb, table="definitions").rollout()
        return rollout is not None and rollout.under_way

    def _follow(self) -> bool:
        """Hand records of the stream to the publisher; of those it failed at, half come again first."""
        records = self._stream[: self._batch]
        if not records:
            return False
        answer = self._invoke("membership_publisher", {"Records": records})
        if answer is None:
            self._batch = max(1, len(records) // 2)
            return True
        assert answer == {"batchItemFailures": []}
        self._batch = BATCH_OF_STREAM
        del self._stream[: len(records)]
        return True

    def _poll(self, name: str, function: str) -> bool:
        queue = self.queues.by_name[name]
        if not (messages := queue.receive(self.now)):
            return False

        def done(answer: Any) -> None:
            failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
            queue.delete({one.id for one in messages} - failed)

        answer = self._invoke(function, {"Records": [_record(name, one) for one in messages]}, done)
        if answer is not None:
            done(answer)
        return True

    def _invoke(self, name: str, event: Any, done: Callable[[Any], None] = lambda _answer: None) -> Any:
        """Return a function's answer, None if it failed or died; `done` is told the answer of a rival's."""
        function: Any = FUNCTIONS[name]

        def rival() -> None:
            mine = function.dependencies
            self._start(function)
            done(function.handler(event, Context(self.invocations)))
            self._patch.setattr(function, "dependencies", mine)

        self.invocations += 1
        try:
            with self.wire.working(name, rival):
                return function.handler(event, Context(self.invocations))
        except Killed:
            self._start(function)
            return None
        except Exception:
            # Lambda reports any error as the function's, and what started it tries again. Without a fault it is one.
            if self.wire.fault is None:
                raise
            return None
        finally:
            self.now += WORK

    def stand_still(self, until: int) -> None:
        """Let time pass in which nothing at all works."""
        self.now = until
        self._turns = dict.fromkeys(self._turns, until)

    # What a test looks at.

    @property
    def resting(self) -> bool:
        """Whether nothing is under way."""
        return not self._stream and not any(one.waiting for one in self.queues.by_name.values()) and not self._rolling()

    def profiles(self) -> dict[str, Profile]:
        """Return all profiles as they are stored."""
        table = ProfileTable(client=self.dynamodb, table="profiles")
        return {one.profile.id: one.profile for one in table.scan()}

    def archived(self, dataset: str, folder: Path) -> list[str]:
        """Copy the files of a data set of the archive into a folder, and return their paths."""
        paths = []
        for number, one in enumerate(self.s3.list_objects_v2(Bucket="archive", Prefix=dataset).get("Contents", [])):
            path = folder / f"{number}.parquet"
            path.write_bytes(self.s3.get_object(Bucket="archive", Key=one["Key"])["Body"].read())
            paths.append(str(path))
        return paths


def _record(queue: str, message: Message) -> dict[str, Any]:
    return {
        "messageId": message.id,
        "receiptHandle": message.id,
        "body": message.body,
        "attributes": {"ApproximateReceiveCount": str(message.receives)},
        "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{queue}",
    }


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


@contextmanager
def cloud(*, start: int, fault: Fault | None, segments: Sequence[SegmentDefinition]) -> Iterator[Cloud]:
    """Yield a cloud of its own, in which one thing goes wrong."""
    random.seed(0)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as directory, mock_aws():
        environment = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "PROFILES_TABLE": "profiles",
            "CLOCK_TABLE": "clock",
            "DELIVERIES_TABLE": "deliveries",
            "DEFINITIONS_TABLE": "definitions",
            "ARCHIVE_BUCKET": "archive",
            "INTAKE_BUCKET": "intake",
            "ESP_SECRET_ID": "esp_keys",
            "ESP_WEBHOOK_URL": "https://esp.example.com/hook",
            "SETTLE_SECONDS": str(SETTLE // SECOND),
            "PROVISIONAL_SECONDS": str(PROVISIONAL // SECOND),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(tempfile, "tempdir", directory)
        # One for all runs, for it keeps what it read of services.
        patch.setattr(clients, "_session", _session)
        made = Cloud(patch, start=start, fault=fault)
        for name in made.queues.by_name:
            patch.setenv(f"{name.upper()}_QUEUE_URL", made.queues.url(name))
        made.deploy(*segments)
        yield made
