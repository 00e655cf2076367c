"""Streams are sets that grow by union."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from mailtailor.segments.streams import (
    MAX_MESSAGES,
    MAX_PROVISIONAL,
    SLACK,
    Messages,
    Occurrences,
    Provisional,
    ProvisionalHit,
    Recents,
)

NOW = 1_790_000_000_000
instants = st.integers(min_value=1, max_value=1 << 45)
ids = st.integers(min_value=0, max_value=(1 << 48) - 1)


def occurrences(entries: list[tuple[int, int]], keep: int) -> Occurrences:
    stream = Occurrences()
    for at, event in entries:
        stream.add(at, event, keep=keep)
    return stream


@given(st.lists(st.tuples(instants, ids), max_size=30), st.integers(1, 10), st.randoms())
def test_order_and_repetition_of_events_change_nothing(
    entries: list[tuple[int, int]], keep: int, shuffler: random.Random
) -> None:
    # given events whose ids differ
    entries = list({event: (at, event) for at, event in entries}.values())
    # when they arrive in any order, some of them twice and some again after they were pruned
    repeated = entries + entries[::2]
    shuffler.shuffle(repeated)
    repeated += entries
    # then the stream is the last `keep` of them
    assert occurrences(repeated, keep).entries == sorted(entries)[-keep:]


def test_a_repeated_id_keeps_its_least_instant() -> None:
    assert occurrences([(50, 7), (40, 7), (60, 7)], keep=5).entries == [(40, 7)]


def test_a_message_opened_before_its_delivery_is_known_counts_when_the_delivery_arrives() -> None:
    # given
    stream = Messages()
    # when
    stream.add(1, hit=30)
    stream.add(1, delivered=10)
    stream.add(1, hit=20)
    # then
    assert stream.entries == {1: (10, 30)}
    assert stream.timeline().hits == [0, 1]


def test_a_message_delivered_again_is_not_opened_by_what_came_before() -> None:
    # given a campaign that is sent again, and an open of its first delivery
    stream = Messages()
    stream.add(1, delivered=NOW)
    stream.add(1, hit=NOW + 1)
    # when, then clocks differ by less than a day
    stream.add(1, delivered=NOW + 1 + SLACK)
    assert stream.timeline().hits == [0, 1]
    stream.add(1, delivered=NOW + 2 + SLACK)
    assert stream.timeline().hits == [0, 0]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4).map(lambda days: days * SLACK), st.booleans()), max_size=30)
)
def test_the_timeline_that_is_kept_up_to_date_is_the_one_made_anew(told: list[tuple[int, int, bool]]) -> None:
    stream = Messages()
    for message, at, is_delivery in told:
        stream.add(message, delivered=NOW + at if is_delivery else 0, hit=0 if is_delivery else NOW + at)
        kept, anew = stream.timeline(), Messages(dict(stream.entries)).timeline()
        assert kept.delivered == anew.delivered
        # Where it parts messages of one instant, nobody looks.
        ends = [
            n
            for n in range(len(anew.hits))
            if n in {0, len(anew.delivered)} or anew.delivered[n - 1] < anew.delivered[n]
        ]
        assert [kept.hits[n] for n in ends] == [anew.hits[n] for n in ends]
        assert kept.oldest <= anew.oldest


def test_of_endless_messages_those_delivered_last_are_kept() -> None:
    # given
    stream = Messages()
    stream.add(0, delivered=1)
    # when opens of nothing that was delivered never end
    for message in range(1, 2 * MAX_MESSAGES):
        stream.add(message, hit=message)
    # then
    assert len(stream.entries) == MAX_MESSAGES
    assert stream.entries[0] == (1, 0)
    # when deliveries never end
    for message in range(2 * MAX_MESSAGES, 3 * MAX_MESSAGES + 1):
        stream.add(message, delivered=message)
    # then
    assert min(stream.entries) == 2 * MAX_MESSAGES + 1


def test_messages_are_forgotten_only_when_nothing_about_them_is_recent() -> None:
    # given
    stream = Messages({1: (NOW + 10, 0), 2: (NOW + 10, NOW + 95), 3: (NOW + 99, 0)})
    # when
    stream.prune(NOW + 90 + SLACK)
    # then
    assert stream.entries == {2: (NOW + 10, NOW + 95), 3: (NOW + 99, 0)}


@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), instants), max_size=20), st.randoms())
def test_recent_values_do_not_depend_on_the_order_of_arrival(
    entries: list[tuple[str, int]], shuffler: random.Random
) -> None:
    # given
    newest: dict[str, int] = {}
    for value, at in entries:
        newest[value] = max(at, newest.get(value, 0))
    # when
    shuffler.shuffle(entries)
    stream = Recents()
    for value, at in entries:
        stream.add(value, at, keep=4)
    # then
    assert stream.newest_first() == tuple(sorted(newest, key=lambda one: (newest[one], one), reverse=True)[:4])


def test_of_more_hits_than_a_person_makes_the_oldest_are_settled() -> None:
    # given
    hit = ProvisionalHit(1_000, 1_000, 1, 1)
    stream = Provisional({f"e{n}": hit._replace(at=1_000 + n, seen=1_000 + n) for n in range(MAX_PROVISIONAL + 2)})
    # when
    taken = stream.take(seen_until=0)
    # then
    assert [event for event, _ in taken] == ["e0", "e1"]
    assert stream.settled_to == 0
