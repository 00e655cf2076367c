"""Bursts: what no person could have clicked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.errors import BadInput
from mailtailor.tracking.bursts import OPEN, Burst, BurstSettings, Hit, machine_ids, parse_bursts

SETTINGS = BurstSettings(bursts=(Burst(3, 1_000), Burst(6, 10_000)), honeypot_within=10_000)


def clicks(*places: tuple[int, int], message: int = 1) -> list[Hit]:
    return [Hit(f"{message}-{number}", at, message, link) for number, (at, link) in enumerate(places)]


def test_three_links_within_a_second_are_a_machine_s() -> None:
    # given a scanner that comes two minutes after the mail, and a person an hour later
    scanner, person = clicks((120_000, 1), (120_400, 2), (121_000, 3)), Hit("person", 3_600_000, 1, 2)
    # when / then
    assert machine_ids([*scanner, person], SETTINGS) == {hit.id: "burst" for hit in scanner}


@pytest.mark.parametrize(
    "hits",
    [
        clicks((0, 1), (500, 1), (900, 1)),
        clicks((0, 1), (500, 2), (1_001, 3)),
        clicks((0, 1), (3_000, 2), (6_000, 3), (9_000, 4)),
        [*clicks((0, 1), (100, 2)), *clicks((200, 3), message=2)],
    ],
    ids=["one link, clicked again and again", "a little slower", "reading on", "another message"],
)
def test_what_a_person_can_do_is_a_person_s(hits: list[Hit]) -> None:
    assert machine_ids(hits, SETTINGS) == {}


def test_a_slow_crawl_of_many_links_is_a_machine_s() -> None:
    # given one link each 1.5 seconds
    crawl = clicks(*((1_500 * link, link) for link in range(1, 8)))
    # when / then
    assert set(machine_ids(crawl, SETTINGS)) == {hit.id for hit in crawl}


def test_an_open_in_the_midst_of_a_burst_is_the_scanner_s_and_one_before_it_is_not() -> None:
    # given
    burst = clicks((10_000, 1), (10_300, 2), (10_600, 3))
    within, before = Hit("within", 10_200, 1, OPEN), Hit("before", 4_000, 1, OPEN)
    # when
    found = machine_ids([*burst, within, before], SETTINGS)
    # then
    assert found.keys() == {hit.id for hit in burst} | {"within"}


def test_the_invisible_link_betrays_what_its_message_got_around_it() -> None:
    # given
    hits = [*clicks((20_000, 0), (25_000, 4), (40_000, 5)), *clicks((20_000, 1), message=2)]
    # when / then
    assert machine_ids(hits, SETTINGS) == {"1-0": "honeypot", "1-1": "honeypot"}


def test_bursts_are_written_as_links_and_milliseconds() -> None:
    assert parse_bursts("3/1000 6/10000") == (Burst(3, 1_000), Burst(6, 10_000))


@pytest.mark.parametrize("text", ["", "3", "3/", "0/1000", "3/1000,6/10000", "3/1s"])
def test_anything_else_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(BadInput, match="links/milliseconds"):
        parse_bursts(text)


HITS = st.lists(
    st.builds(
        lambda number, at, message, link: (number, at, message, link),
        st.integers(0, 999),
        st.integers(0, 40).map(lambda step: step * 250),
        st.integers(1, 2),
        st.integers(OPEN, 6),
    ),
    max_size=25,
    unique_by=lambda hit: hit[0],
).map(lambda rows: [Hit(str(number), at, message, link) for number, at, message, link in rows])


@given(HITS)
def test_found_is_what_every_span_of_time_tried_by_itself_gives(hits: list[Hit]) -> None:
    expected = set()
    for one in hits:
        for other in hits:
            span = [hit for hit in hits if hit.message == one.message and one.at <= hit.at <= other.at]
            links = {hit.position for hit in span if hit.position != OPEN}
            ends_are_clicks = OPEN not in {one.position, other.position} and one.message == other.message
            if ends_are_clicks and any(
                len(links) >= burst.links and other.at - one.at <= burst.within for burst in SETTINGS.bursts
            ):
                expected |= {hit.id for hit in span}
        if one.position == 0:
            expected |= {hit.id for hit in hits if hit.message == one.message and abs(hit.at - one.at) <= 10_000}
    # then
    assert machine_ids(hits, SETTINGS).keys() == expected


@given(HITS, HITS)
def test_more_hits_never_make_a_machine_s_hit_a_person_s(some: list[Hit], more: list[Hit]) -> None:
    assert machine_ids(some, SETTINGS).keys() <= machine_ids([*some, *more], SETTINGS).keys()
