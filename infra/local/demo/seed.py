"""Imports the demonstration's data through the same ingestion as live events."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

from infra.local.demo.invented import CURRENCY, Person, invent, stores
from infra.local.demo.sample import Sample, load
from infra.local.system import System
from mailtailor.errors import MailtailorError
from mailtailor.instant import HOUR, Instant

if TYPE_CHECKING:
    from rich.progress import Progress

STATE_FILE: Final = "imported.json"
STALE_AFTER: Final = 12 * HOUR
MAX_BATCH_BYTES: Final = 240_000
"""Half of what the tracking API takes in one request: the progress moves more often."""
MAX_BATCH_EVENTS: Final = 2_000
PARALLEL: Final = 2
ATTEMPTS: Final = 12
LONGEST_PAUSE: Final = 10.0
POLL_SECONDS: Final = 0.5
DRAIN_SECONDS: Final = 600


class ImportFailed(MailtailorError):
    """The import cannot go on; starting again continues it."""


class Stopped(Exception):
    """The system is being stopped."""


@dataclass(frozen=True, slots=True)
class ImportState:
    """How far the import is.

    Attributes
    ----------
    imported_at
        The instant that stands for the sample's last order.
    phase
        `starting`, `people`, `events`, `settling` or `done`.
    sent, total
        Events that the API took, and all.
    waiting
        Messages in the events queue, seen last.
    seconds
        How long it took, once it is done.
    """

    imported_at: Instant
    phase: str = "starting"
    sent: int = 0
    total: int = 0
    waiting: int = 0
    seconds: float | None = None

    @property
    def complete(self) -> bool:
        """Whether every event was sent and processed."""
        return self.phase == "done"


def read_state(state_dir: Path) -> ImportState | None:
    """Return how far the import into the state in `state_dir` is, None if it never began."""
    try:
        return ImportState(**json.loads((state_dir / STATE_FILE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def is_stale(state_dir: Path, now: Instant) -> bool:
    """Return whether what was imported is too old to show: its last order is long ago by the system's clock."""
    state = read_state(state_dir)
    return state is not None and now - state.imported_at > STALE_AFTER


def _write_state(state_dir: Path, state: ImportState) -> None:
    # The pages read it at any moment, so it is replaced whole, never half written.
    state_dir.mkdir(parents=True, exist_ok=True)
    fresh = state_dir / f"{STATE_FILE}.new"
    fresh.write_text(json.dumps(asdict(state)))
    fresh.replace(state_dir / STATE_FILE)


def seed(
    system: System,
    progress: Progress | None = None,
    *,
    stop: threading.Event | None = None,
    transport: httpx.BaseTransport | None = None,
) -> ImportState:
    """Upload the catalog and import all customers, unless that was done before; return how far it came.

    An import that was interrupted is repeated with the same times and message ids, which changes nothing that is
    there already.

    Parameters
    ----------
    system
        Where to.
    progress
        Shows how far it is.
    stop
        Ends it early when set.
    transport
        Reaches the system; the network if not given.

    Raises
    ------
    ImportFailed
        If the system refuses the data or does not process it.
    """
    sample = load()
    upload_catalog(system, sample)
    known = read_state(system.state_dir)
    if known is not None and known.complete:
        return known
    imported_at = known.imported_at if known is not None else system.now()
    people = invent(sample)
    with _Import(system, ImportState(imported_at), progress, stop or threading.Event(), transport) as run:
        with contextlib.suppress(Stopped):
            run.all(people, shift=imported_at - sample.last_order)
        return run.state


def catalog(sample: Sample, base_url: str) -> dict[str, Any]:
    """Return the catalog document that content blocks are filled from."""
    return {
        "shop_url": f"{base_url}/shop",
        "products": [
            {
                "id": product.id,
                "name": product.name,
                "price": product.price,
                "currency": CURRENCY,
                "url": f"/{product.id}",
                "category": product.category,
                "rank": product.rank,
            }
            for product in sample.products.values()
        ],
        "stores": stores(),
    }


def upload_catalog(system: System, sample: Sample) -> None:
    """Put the catalog where the content function reads it; its links follow the address of this start."""
    document = json.dumps(catalog(sample, system.base_url), ensure_ascii=False, separators=(",", ":"))
    system.client("s3").put_object(
        Bucket=system.outputs["CatalogBucket"],
        Key="catalog.json",
        Body=document.encode(),
        ContentType="application/json",
    )


def batches(calls: Iterable[dict[str, Any]]) -> Iterator[list[str]]:
    """Yield calls as JSON, in order, in batches that the tracking API takes."""
    batch: list[str] = []
    size = 0
    for call in calls:
        text = json.dumps(call, ensure_ascii=False, separators=(",", ":"))
        length = len(text.encode()) + 1
        if batch and (size + length > MAX_BATCH_BYTES or len(batch) == MAX_BATCH_EVENTS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch


def introductions(people: Sequence[Person], shift: int) -> Iterator[dict[str, Any]]:
    """Yield the call that says who each person is and what they allow."""
    for person in people:
        yield person.calls[0].payload(person.id, shift)


def behaviour(people: Sequence[Person], shift: int) -> Iterator[dict[str, Any]]:
    """Yield all that people did, each person's calls together, so that they become few writes."""
    for person in people:
        for call in person.calls[1:]:
            yield call.payload(person.id, shift)


class _Import:
    """One run of the import."""

    def __init__(
        self,
        system: System,
        state: ImportState,
        progress: Progress | None,
        stop: threading.Event,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self._system = system
        self.state = state
        self._progress = progress
        self._stop = stop
        self._task = progress.add_task("Importing the demonstration", total=None) if progress else None
        self._started = time.monotonic()
        self._http = httpx.Client(
            base_url=system.base_url,
            timeout=60,
            transport=transport,
            headers={
                "authorization": f"Basic {base64.b64encode(f'{system.write_key}:'.encode()).decode()}",
                "content-type": "application/json",
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def all(self, people: Sequence[Person], *, shift: int) -> None:
        total = sum(len(person.calls) for person in people)
        self._now(phase="people", total=total)
        self._send_all(batches(introductions(people, shift)))
        # SQS keeps no order, and behaviour that overtakes its consent is dropped.
        self._drain()
        self._now(phase="events")
        self._send_all(batches(behaviour(people, shift)))
        self._now(phase="settling")
        self._drain()
        self._now(phase="done", waiting=0, seconds=round(time.monotonic() - self._started, 1))

    def _now(self, **changes: Any) -> None:  # noqa: ANN401 - fields of ImportState
        self.state = replace(self.state, **changes)
        _write_state(self._system.state_dir, self.state)
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self.state.sent, total=self.state.total or None)

    def _send_all(self, prepared: Iterator[list[str]]) -> None:
        with ThreadPoolExecutor(PARALLEL) as pool:
            running: dict[Future[None], int] = {}
            for batch in prepared:
                running[pool.submit(self._send, batch)] = len(batch)
                if len(running) >= PARALLEL:
                    self._collect(running)
            while running:
                self._collect(running)

    def _collect(self, running: dict[Future[None], int]) -> None:
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            count = running.pop(future)
            future.result()
            self._now(sent=self.state.sent + count)

    def _send(self, batch: Sequence[str]) -> None:
        body = f'{{"batch":[{",".join(batch)}]}}'.encode()
        reason = ""
        for attempt in range(ATTEMPTS):
            self._check_stopped()
            try:
                answer = self._http.post("/v1/batch", content=body)
            except httpx.TransportError as error:
                reason, pause = type(error).__name__, min(0.5 * 2**attempt, LONGEST_PAUSE)
            else:
                if answer.is_success:
                    return _check_taken(answer)
                reason = f"status {answer.status_code}"
                if answer.status_code not in {429, 502, 503, 504}:
                    raise ImportFailed(f"The tracking API refused the demonstration's data: {reason}.")
                pause = _pause(answer, attempt)
            self._stop.wait(pause)
        raise ImportFailed(f"The tracking API did not take the demonstration's data ({reason}).", "Start it again.")

    def _drain(self) -> None:
        """Wait until the events queue is empty, twice in a row, for its counts are approximate."""
        deadline, empty = time.monotonic() + DRAIN_SECONDS, 0
        while empty < 2:
            self._check_stopped()
            if time.monotonic() > deadline:
                raise ImportFailed("The events queue does not become empty.", "Start it again.")
            waiting = queue_length(self._system)
            empty = empty + 1 if waiting == 0 else 0
            if waiting != self.state.waiting:
                self._now(waiting=waiting)
            self._stop.wait(POLL_SECONDS)

    def _check_stopped(self) -> None:
        if self._stop.is_set():
            raise Stopped


def queue_length(system: System) -> int:
    """Return how many messages of events wait or are being processed."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = system.client("sqs").get_queue_attributes(QueueUrl=system.outputs["EventsQueueUrl"], AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)


def _pause(answer: httpx.Response, attempt: int) -> float:
    try:
        return min(float(answer.headers["retry-after"]), LONGEST_PAUSE)
    except (KeyError, ValueError):
        return min(0.5 * 2.0**attempt, LONGEST_PAUSE)


def _check_taken(answer: httpx.Response) -> None:
    rejected = answer.json().get("rejected")
    if rejected:
        raise ImportFailed(f"The tracking API rejected events of the demonstration: {json.dumps(rejected)[:300]}")
