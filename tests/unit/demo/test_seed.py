"""The import: through the tracking API, in order, repeatable, and patient."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from infra.local.demo import seed as seeding
from infra.local.demo.invented import HOME, REGIONS
from infra.local.demo.sample import load
from infra.local.demo.seed import ImportFailed, batches, catalog, is_stale, read_state, seed
from infra.local.system import System
from mailtailor.content.catalog import parse
from mailtailor.content.stores import nearest
from mailtailor.instant import HOUR


class TrackingApi(httpx.MockTransport):
    """Takes batches, or answers what it is told to."""

    def __init__(self, *refusals: int) -> None:
        super().__init__(self._answer)
        self.calls: list[dict[str, Any]] = []
        self.requests: list[httpx.Request] = []
        self.when_asked: Callable[[], None] = lambda: None
        self._refusals = list(refusals)
        self._lock = threading.Lock()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.when_asked()
        with self._lock:
            self.requests.append(request)
            if self._refusals:
                return httpx.Response(self._refusals.pop(), headers={"retry-after": "0"})
            self.calls += json.loads(request.content)["batch"]
        return httpx.Response(200, json={"success": True})


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeding, "POLL_SECONDS", 0.0)


def test_everybody_is_introduced_before_anybody_does_something(system: System) -> None:
    # given
    api = TrackingApi()
    # when
    state = seed(system, transport=api)
    # then
    kinds = [call["type"] for call in api.calls]
    people = kinds.count("identify")
    assert people >= 500
    assert set(kinds[:people]) == {"identify"}
    assert state.complete
    assert state.sent == state.total == len(api.calls)
    assert read_state(system.state_dir) == state


def test_requests_carry_the_write_key_and_stay_small(system: System) -> None:
    api = TrackingApi()
    seed(system, transport=api)
    for request in api.requests:
        assert request.url.path == "/v1/batch"
        assert request.headers["authorization"].startswith("Basic ")
        assert len(request.content) <= 500_000


def test_an_import_that_is_complete_is_not_repeated(system: System) -> None:
    seed(system, transport=TrackingApi())
    again = TrackingApi()
    seed(system, transport=again)
    assert again.requests == []


def test_an_interrupted_import_is_repeated_with_the_same_ids_and_times(system: System) -> None:
    # given
    stopped, whole = TrackingApi(), TrackingApi()
    stop = threading.Event()
    stopped.when_asked = stop.set
    seed(system, transport=stopped, stop=stop)
    first = read_state(system.state_dir)
    assert first is not None
    assert not first.complete
    # when
    seed(system, transport=whole)
    # then
    known = {call["messageId"]: call["timestamp"] for call in whole.calls}
    assert stopped.calls
    assert all(known[call["messageId"]] == call["timestamp"] for call in stopped.calls)


def test_a_busy_system_is_waited_for(system: System) -> None:
    api = TrackingApi(503, 429, 502)
    state = seed(system, transport=api)
    assert state.sent == len(api.calls)


def test_a_refusal_ends_the_import_with_a_sentence(system: System) -> None:
    with pytest.raises(ImportFailed, match="refused"):
        seed(system, transport=TrackingApi(400, 400))


def test_the_catalog_can_be_read_by_the_content_blocks(system: System) -> None:
    seed(system, transport=TrackingApi())
    body = system.client("s3").get_object(Bucket="catalog", Key="catalog.json")["Body"].read()
    parsed = parse(body)
    assert parsed.refused == 0
    assert len(parsed.catalog) > 2_000
    best = parsed.catalog.bestsellers[0]
    assert (best.rank, best.url) == (1, f"{system.base_url}/shop/{best.id}")


def test_what_was_imported_half_a_day_ago_is_stale(system: System) -> None:
    state = seed(system, transport=TrackingApi())
    assert not is_stale(system.state_dir, state.imported_at + 12 * HOUR)
    assert is_stale(system.state_dir, state.imported_at + 12 * HOUR + 1)


def test_nothing_is_stale_before_the_first_import(system: System) -> None:
    assert not is_stale(system.state_dir, 0)


def test_batches_keep_the_order_and_lose_nothing() -> None:
    calls = [{"n": number, "text": "ä" * 1_000} for number in range(2_500)]
    assert [json.loads(text)["n"] for batch in batches(calls) for text in batch] == list(range(2_500))


def test_the_catalog_holds_a_store_near_everybody_at_home_and_says_that_it_is_invented() -> None:
    # when
    parsed = parse(json.dumps(catalog(load(), "http://127.0.0.1:8080")).encode())

    # then
    assert parsed.refused == 0
    near = {region: nearest(parsed.catalog.stores, {"country": HOME, "region": region}) for region in REGIONS}
    assert all(near.values())
    assert all("(invented)" in found.store.street for one in near.values() for found in one)
