"""`make bench`: measures what is promised, prints a table and writes bench.json. Exits with 1 if a budget is missed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

from rich.console import Console
from rich.table import Table

os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "Mailtailor")
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "bench")
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")

OUTPUT = Path("bench.json")
CROWD = int(os.environ.get("CROWD", "2000"))
"""People who are due in the same second; 100,000 take half an hour on a local system of two cores."""
PEOPLE = 5_000
"""Of the population that segments are measured on; the busiest thousandth decides what is remembered at most."""

ARCHIVED = 20_000
"""Of the population whose archive is made; `tests.bench.everybody` does it for any number."""


@dataclass(frozen=True)
class Figure:
    """One measured figure; a budget is what it must not exceed, or reach if more is better."""

    what: str
    value: float
    unit: str
    budget: float | None = None
    more_is_better: bool = False

    @property
    def kept(self) -> bool:
        """Whether the budget is kept."""
        if self.budget is None:
            return True
        return self.value >= self.budget if self.more_is_better else self.value <= self.budget


def handlers() -> Iterator[Figure]:
    """Warm handlers of the recipient's path."""
    from tests.bench.handlers import click, percentiles, pixel  # noqa: PLC0415 - after the environment is set

    for name, call in (("open_pixel", pixel()), ("click_redirect", click())):
        with contextlib.redirect_stdout(io.StringIO()):
            p50, p99 = percentiles(call, runs=5_000)
        yield Figure(f"{name}, warm, without network, p50", p50, "ms", 0.15)
        yield Figure(f"{name}, warm, without network, p99", p99, "ms")


def content() -> Iterator[Figure]:
    """Content: rendering, the warm handler, the first answer of a cold one."""
    from mailtailor.aws.direct import Host  # noqa: PLC0415
    from tests.bench.content import first_answer, renders, warm  # noqa: PLC0415
    from tests.bench.handlers import percentiles  # noqa: PLC0415

    yield Figure(
        "blocks of 12 products chosen and rendered, a core", renders(seconds=2), "/s", 1_000, more_is_better=True
    )
    with tempfile.TemporaryDirectory() as name:
        yield Figure("first answer of dynamic_content, fresh process", first_answer(Path(name), runs=7), "x boto3", 2)
    # The handler is told its settings as Lambda would; other parts must not find them.
    with tempfile.TemporaryDirectory() as name, mock.patch.dict(os.environ), mock.patch.object(Host, "ask"):
        call, asked = warm(Path(name))
        asked.clear()
        with contextlib.redirect_stdout(io.StringIO()):
            p50, p99 = percentiles(call, runs=2_000)
        yield Figure("dynamic_content, 12 products, warm, without network, p50", p50, "ms")
        yield Figure("dynamic_content, 12 products, warm, without network, p99", p99, "ms", 25)
        reads, writes = (asked.count(operation) / 2_000 for operation in ("BatchGetItem", "UpdateItem"))
        yield Figure("requests of a first fetch for a message: reads", reads, "", 1)
        yield Figure("requests of a first fetch for a message: conditional writes", writes, "", 1)
        yield Figure("requests of a first fetch for a message: all others", len(asked) / 2_000 - reads - writes, "", 0)


def images() -> Iterator[Figure]:
    """Images drawn when a mail is opened."""
    from tests.bench.handlers import countdown, percentiles  # noqa: PLC0415

    call = countdown()
    p50, p99 = percentiles(call, runs=200)
    yield Figure("countdown, 480 pixels wide, 60 pictures, p50", p50, "ms")
    yield Figure("countdown, 480 pixels wide, 60 pictures, p99", p99, "ms")
    yield Figure("countdown, 480 pixels wide, 60 pictures", len(call()) / 1_000, "KB", 60)


def mails() -> Iterator[Figure]:
    """Instrumenting."""
    from tests.bench.mails import instrumenting  # noqa: PLC0415

    yield Figure("a mail of 40 KB instrumented", instrumenting(runs=200), "ms", 2.0)


def imports() -> Iterator[Figure]:
    """Imports of all functions."""
    from tests.bench.imports import FUNCTIONS, ratio  # noqa: PLC0415

    for function in FUNCTIONS:
        budget = 1.2 if function == "open_pixel" else None
        yield Figure(f"import of {function}", ratio(function, runs=7), "x boto3", budget)


def events() -> Iterator[Figure]:
    """Webhooks and the processor."""
    from tests.bench.events import processor_rate, webhook_rates  # noqa: PLC0415

    rates = webhook_rates(seconds=1)
    whole = len(rates) / sum(1 / rate for rate in rates.values())
    yield Figure(
        "webhook events verified and normalized, a core, all sources alike", whole, "/s", 3_000, more_is_better=True
    )
    for name, rate in sorted(rates.items(), key=lambda entry: entry[1]):
        yield Figure(f"webhook events verified and normalized, a core, {name}", rate, "/s")
    yield Figure("events applied to profiles, a core", processor_rate(), "/s", 1_000, more_is_better=True)


def capacity() -> Iterator[Figure]:
    """DynamoDB units on the demonstration's mix, computed from item sizes."""
    from tests.bench.replay import replay  # noqa: PLC0415

    result = replay()
    events, woken = result.by_events, result.by_wake_ups
    yield Figure("events replayed", result.events, "")
    yield Figure("profile item, p50", result.sizes[len(result.sizes) // 2], "bytes")
    yield Figure("profile item, p99", result.sizes[len(result.sizes) * 99 // 100], "bytes", 1_024)
    yield Figure("read units an event: base", events.base_reads / result.events, "", 1.0)
    yield Figure("read units an event: identity", events.identity_reads / result.events, "")
    yield Figure("write units an event: base", events.base_writes / result.events, "", 1.0)
    yield Figure("write units an event: due index", events.index_writes / result.events, "")
    yield Figure("write units an event: identity", events.identity_writes / result.events, "")
    yield Figure("write units an event: all", events.writes / result.events, "", 1.3)
    yield Figure("wake-ups an event", result.wake_ups / result.events, "")
    yield Figure("write units of wake-ups, an event", woken.writes / result.events, "")
    yield Figure("read units of wake-ups, an event", woken.base_reads / result.events, "")
    yield Figure("read units a content fetch, warm", 1.0 if result.sizes[-1] <= 4_096 else 2.0, "", 1.0)


def segments() -> Iterator[Figure]:
    """What segments cost, on a population that behaves like a shop's."""
    from tests.bench.population import write  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(PEOPLE, folder)
        yield from _segments_an_event(folder)
        yield from _segments_in_time(folder)


def _segments_an_event(folder: Path) -> Iterator[Figure]:
    from tests.bench.segments import busy, calibration, compiling, event_cost  # noqa: PLC0415

    yield Figure("a fixed loop of Python, to compare machines by", calibration(), "ms")
    person = busy(folder, PEOPLE)
    for number, seeds, budget in ((10, 20, 10), (100, 4, 60), (1_000, 1, 500)):
        cost = event_cost(person, number, seeds=seeds, runs=9)
        of = f"an event, {number} segments"
        yield Figure(f"{of}: remembered, evaluated, next wake-up found", cost.engine, "µs", budget)
        yield Figure(f"{of}: as stored, with memberships and pruning", cost.stored, "µs")
        yield Figure(f"{of}: segments that it affects", cost.affected, "")
        yield Figure(f"{of}: faster than a plain interpreter", cost.plain / cost.engine, "x")
    compiled, validated = compiling(1_000)
    yield Figure("1,000 segments compiled", compiled, "ms", 50)
    yield Figure("1,000 segments read from JSON and validated before", validated, "ms")


def _segments_in_time(folder: Path) -> Iterator[Figure]:
    from mailtailor.segments.engine import Engine  # noqa: PLC0415
    from mailtailor.segments.files import load_segments  # noqa: PLC0415
    from tests.bench.invented import definitions  # noqa: PLC0415
    from tests.bench.segments import at_share, live, of_one_category, state_sizes  # noqa: PLC0415
    from tests.demonstration import SEGMENTS  # noqa: PLC0415

    every = load_segments(SEGMENTS)
    for what, some in (("all categories browsed", every), ("one category browsed", of_one_category(every))):
        lives = live(Engine(some), folder, PEOPLE // 2)
        yield Figure(
            f"people's lives, {what}: an event as stored, with wake-ups", lives.each(lives.seconds) * 1e6, "µs"
        )
        yield Figure(f"wake-ups an event, {what}", lives.each(lives.wake_ups), "", 0.1)
        yield Figure(f"wake-ups an event, {what}: that change a membership", lives.each(lives.useful), "")
        yield Figure(f"wake-ups an event, {what}: too early, for re-arming costs", lives.each(lives.early), "")
        yield Figure(f"flips an event, {what}: by events", lives.each(lives.flips_by_event), "")
        yield Figure(f"flips an event, {what}: by time", lives.each(lives.flips_by_time), "")
    for what, segments in (("the repository's segments", Engine(every)), ("100 segments", Engine(definitions(100)))):
        sizes = state_sizes(segments, folder, PEOPLE)
        for share, budget in ((0.5, None), (0.99, None), (0.999, 1_024)):
            figure = f"what a profile remembers, {what}, p{share * 100:g}"
            yield Figure(figure, at_share(sizes, share), "bytes", budget)


def recomputing() -> Iterator[Figure]:
    """Everybody evaluated anew from the archive."""
    from tests.bench.recompute import passes  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        for what, done in zip(("all change", "none changes"), passes(PEOPLE, Path(name)), strict=True):
            seconds = done.reading + done.evaluating
            of = f"recomputed on a core, {what}"
            yield Figure(f"{of}: people", done.tally.profiles / seconds, "/s", more_is_better=True)
            yield Figure(f"{of}: their events", done.tally.events / seconds, "/s", more_is_better=True)
            yield Figure(f"{of}: share of the time that reading takes", done.reading / seconds, "")


def everybody() -> Iterator[Figure]:
    """Everybody evaluated at once, by columns."""
    from tests.bench.everybody import measure  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        done = measure(ARCHIVED, Path(name))
    of = "evaluated by columns, with next turn, two cores"
    yield Figure(f"{of}: people", done.people / (done.work / 2), "/s", more_is_better=True)
    yield Figure(f"{of}: their events", done.events / (done.work / 2), "/s", more_is_better=True)
    yield Figure(f"{of}: work of SQL that tells truth alone", done.work / done.sql_work, "x")


def path() -> Iterator[Figure]:
    """The whole path on a local system."""
    from tests.bench.path import click_to_content  # noqa: PLC0415

    seconds = click_to_content(runs=20)
    yield Figure("click to changed content, local, p50", seconds[len(seconds) // 2], "s")
    yield Figure("click to changed content, local, max", seconds[-1], "s")


def clock() -> Iterator[Figure]:
    """Who leaves by time, one by one and in a crowd, on a local system."""
    from tests.bench.clock import drain, exits, rate, system  # noqa: PLC0415
    from tests.bench.segments import at_share  # noqa: PLC0415

    yield Figure("people who leave by time evaluated, a core, without the table", rate(5_000), "/s")
    with system() as running:
        late = exits(running, people=100, seconds=50)
        for share, budget in ((0.5, None), (0.99, 2.0)):
            yield Figure(f"an exit told after its instant, local, p{share * 100:g}", at_share(late, share), "s", budget)
        yield Figure("an exit told after its instant, local, max", late[-1], "s")
        crowd = drain(running, people=CROWD, clicks=100)
        of = f"{CROWD} due in one second, local"
        yield Figure(f"{of}: evaluated", CROWD / crowd.seconds, "/s")
        for what, seconds in (("before", crowd.idle), ("meanwhile", crowd.meanwhile)):
            for share in (0.5, 0.99):
                figure = f"{of}: click to changed content {what}, p{share * 100:g}"
                yield Figure(figure, at_share(seconds, share), "s")
        ratio = at_share(crowd.meanwhile, 0.99) / at_share(crowd.idle, 0.99)
        yield Figure(f"{of}: click to changed content, p99 meanwhile to before", ratio, "x", 2)


def sending() -> Iterator[Figure]:
    """A small send on a local system; `python -m tests.bench.sending --recipients 20000` is a large one."""
    from tests.bench.sending import send  # noqa: PLC0415

    sent = send(100, clients=4)
    yield Figure("a send, local: answers other than 200", len(sent.milliseconds) - sent.statuses[200], "", 0)
    yield Figure("a send, local: decisions stored a message", sent.decisions[0] / sent.recipients, "", 1)
    for share, name in ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (1.0, "max")):
        yield Figure(f"a send, local: a fetch, {name}", sent.at(share), "ms")


def main() -> int:
    """Measure, print and write."""
    console = Console()
    figures: list[Figure] = []
    for part in (
        handlers,
        content,
        mails,
        images,
        imports,
        events,
        segments,
        recomputing,
        everybody,
        capacity,
        path,
        sending,
        clock,
    ):
        with console.status(f"{(part.__doc__ or '').splitlines()[0].rstrip('.')} ..."):
            figures += part()
    table = Table("what", "figure", "unit", "budget", "")
    for figure in figures:
        budget = "" if figure.budget is None else f"{figure.budget:g}"
        table.add_row(
            figure.what,
            f"{figure.value:.3g}" if figure.value < 1_000 else f"{figure.value:.0f}",
            figure.unit,
            budget,
            "" if figure.budget is None else "kept" if figure.kept else "MISSED",
        )
    console.print(table)
    OUTPUT.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
    console.print(f"Written to {OUTPUT}.")
    return 0 if all(figure.kept for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
