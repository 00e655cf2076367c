"""Opens and clicks of machines: labelled, corrected when it shows later, and never in the place of a person's."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR, MINUTE, SECOND
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.tracking.bursts import OPEN, BurstSettings, Hit, machine_ids
from tests.unit.profiles.memory_store import MemoryStore
from tests.unit.profiles.world import ANNA, NOW, World, consented, event, segment

THREE_CLICKS = segment("three_clicks", {"event": "email_link_clicked", "at_least": 3, "within": "30d"})
A_CLICK = segment("a_click", {"event": "email_link_clicked", "within": "30d"})
ANY_CLICK = segment("any_click", {"event": "email_link_clicked", "within": "30d", "include_machine": True})
READS_ALL = segment("reads_all", {"opened_share": 1, "within": "30d"})
READS_ALL_OR_ITS_SCANNER = segment("any_reader", {"opened_share": 1, "within": "30d", "include_machine": True})
SEGMENTS = [THREE_CLICKS, A_CLICK, ANY_CLICK, READS_ALL, READS_ALL_OR_ITS_SCANNER]
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36"


def click(position: int, at: int, campaign: str = "autumn", **properties: Any) -> Event:
    properties = {"campaign": campaign, "position": position, "user_agent": BROWSER, **properties}
    return event("email_link_clicked", id=f"click-{campaign}-{position}-{at}", at=at, properties=properties)


def opened(at: int, campaign: str = "autumn", user_agent: str = BROWSER) -> Event:
    properties = {"campaign": campaign, "user_agent": user_agent}
    return event("email_opened", id=f"open-{campaign}-{at}", at=at, properties=properties)


def delivered(at: int, campaign: str = "autumn") -> Event:
    return event("email_delivered", id=f"delivery-{campaign}", at=at, properties={"campaign": campaign})


def world(*segments: SegmentDefinition) -> World:
    made = World(segments=segments or SEGMENTS)
    assert not made.process(consented())
    return made


def corrected(world: World) -> dict[str, Any]:
    said = [one.properties for one in world.archived if one.type == "event_corrected"]
    return {str(one["corrects"]): one["machine"] for one in said}


def test_a_click_counts_at_once() -> None:
    # given
    anna = world()
    # when
    anna.process(click(1, NOW))
    # then
    assert anna.members() == {"a_click", "any_click"}


def test_clicks_that_others_show_to_be_a_scanner_s_stop_counting_and_the_archive_is_told() -> None:
    # given two clicks that could be a person's
    anna = world()
    anna.process(click(1, NOW))
    anna.process(click(2, NOW + 300))
    assert "a_click" in anna.members()
    # when the third comes
    anna.now += SECOND
    anna.process(click(3, NOW + 600))
    # then
    assert anna.members() == {"any_click"}
    assert corrected(anna) == {f"click-autumn-{link}-{NOW + (link - 1) * 300}": "burst" for link in (1, 2, 3)}
    assert {one.profile_id for one in anna.archived} == {ANNA}
    (left,) = [flip for _, _, flip in anna.store.published if not flip.entered and flip.segment == "a_click"]
    assert left.reason.startswith("event:correction:")


def test_three_scanner_clicks_never_push_three_human_ones_out_of_memory() -> None:
    # given somebody who clicked three times in a month
    anna = world()
    for day in (20, 10, 5):
        anna.process(click(1, NOW - day * DAY, campaign=f"mail-{day}"))
    anna.now += 2 * HOUR
    assert "three_clicks" in anna.members()
    # when a scanner follows three links of another mail, one message each, and hours pass
    for link in (1, 2, 3):
        anna.process(click(link, anna.now + link * 200, campaign="scanned"))
    anna.now += 3 * HOUR
    anna.process(event("email_delivered", at=anna.now, properties={"campaign": "next"}))
    # then the three human ones count, as long as they are in the window
    assert "three_clicks" in anna.members()
    assert "three_clicks" in anna.members(at=NOW + 10 * DAY - 1)
    assert "three_clicks" not in anna.members(at=NOW + 10 * DAY)


def test_what_the_click_showed_leaves_the_viewed_products_with_it() -> None:
    # given
    anna = world()
    anna.process(event("product_viewed", at=NOW - MINUTE, properties={"product_id": "seen"}))
    anna.process(click(1, NOW, product_id="scanned"))
    profile = anna.store.profile(ANNA)
    assert anna.engine.memory.recent(profile.streams, "viewed") == ("scanned", "seen")
    # when
    anna.process(click(2, NOW + 1), click(3, NOW + 2))
    # then
    assert anna.engine.memory.recent(anna.store.profile(ANNA).streams, "viewed") == ("seen",)


def test_a_settled_click_still_shows_what_was_viewed() -> None:
    # given
    anna = world()
    anna.process(click(1, NOW, product_id="clicked"))
    # when
    anna.now += 2 * HOUR
    anna.process(delivered(anna.now))
    # then
    assert anna.engine.memory.recent(anna.store.profile(ANNA).streams, "viewed") == ("clicked",)


def test_an_open_of_a_scanner_reads_nothing_and_a_later_one_of_the_person_does() -> None:
    # given
    anna = world()
    anna.process(delivered(NOW - MINUTE))
    anna.process(opened(NOW))
    assert "reads_all" in anna.members()
    # when
    anna.process(*(click(link, NOW - 100 + link) for link in (1, 2)), click(3, NOW + 5))
    # then
    assert anna.members() & {"reads_all", "any_reader"} == {"any_reader"}
    # when
    anna.process(opened(NOW + HOUR))
    anna.now = NOW + HOUR
    # then
    assert "reads_all" in anna.members()


def test_a_hit_that_shows_it_by_itself_is_labelled_and_kept() -> None:
    # given
    anna = world()
    anna.process(delivered(NOW - MINUTE))
    # when Apple's proxy loads the image
    anna.process(opened(NOW, user_agent="Mozilla/5.0"))
    # then
    assert "reads_all" not in anna.members()
    assert [one.properties.get("machine") for one in anna.archived if one.type == "email_opened"] == ["apple_mpp"]
    assert corrected(anna) == {}


def test_the_invisible_link_betrays_the_click_before_it() -> None:
    # given
    anna = world()
    anna.process(click(1, NOW))
    # when
    anna.process(click(0, NOW + 2 * SECOND))
    # then
    assert "a_click" not in anna.members()
    assert corrected(anna) == {f"click-autumn-1-{NOW}": "honeypot"}


def test_a_correction_from_outside_that_leaves_too_little_asks_for_a_rebuild() -> None:
    # given a segment that needs one click, of which the first of two was pruned
    anna = world(A_CLICK)
    for minute in (0, 1):
        anna.process(click(1, NOW + minute * MINUTE, campaign=f"c{minute}"))
    anna.now += 3 * HOUR
    anna.process(delivered(anna.now))
    assert not anna.store.profile(ANNA).incomplete
    # when the ESP says days later that the second was a bot's
    said = event(
        "event_corrected",
        at=NOW + MINUTE,
        properties={"corrects": f"click-c1-1-{NOW + MINUTE}", "machine": "esp"},
    )
    anna.process(said)
    # then
    assert anna.store.profile(ANNA).incomplete
    assert anna.rebuilds == [ANNA]


def test_a_correction_that_overtakes_its_click_holds() -> None:
    # given
    anna = world()
    late = click(1, NOW)
    anna.process(event("event_corrected", at=NOW, properties={"corrects": late.id, "machine": "esp"}))
    # when
    anna.process(late)
    # then
    assert "a_click" not in anna.members()


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("overtaking", [True, False])
def test_a_corrected_click_betrays_the_others_whether_the_correction_comes_before_or_after_it(
    position: int, overtaking: bool
) -> None:
    # given a click on the invisible link, or the first of a burst
    anna = world()
    first = click(position, NOW)
    said = event("event_corrected", at=NOW, properties={"corrects": first.id, "machine": "esp"})
    for one in [said, first] if overtaking else [first, said]:
        anna.process(one)
    # when
    anna.now += SECOND
    anna.process(click(2, NOW + 1), click(3, NOW + 2))
    # then
    assert anna.members() == {"any_click"}
    assert corrected(anna).keys() >= {f"click-autumn-2-{NOW + 1}", f"click-autumn-3-{NOW + 2}"}


def test_a_correction_of_a_settled_click_that_came_again_holds() -> None:
    # given
    anna = world(A_CLICK)
    anna.process(click(1, NOW))
    anna.now += 2 * HOUR
    anna.process(delivered(anna.now), click(1, NOW))
    assert anna.members() == {"a_click"}
    # when
    anna.process(event("event_corrected", at=NOW, properties={"corrects": f"click-autumn-1-{NOW}"}))
    # then
    assert anna.members() == set()


@pytest.mark.parametrize("more", [{"campaign": "autumn"}, {}])
def test_a_correction_that_names_its_own_instant_has_the_archive_asked_what_it_corrects(more: dict[str, Any]) -> None:
    # given an open that has been settled
    anna = world(READS_ALL)
    anna.process(delivered(NOW - MINUTE), opened(NOW))
    anna.now += 2 * HOUR
    anna.process(consented(at=NOW))
    assert anna.members() == {"reads_all"}
    # when
    anna.process(event("event_corrected", at=anna.now, properties={"corrects": f"open-autumn-{NOW}", **more}))
    # then
    assert anna.rebuilds == [ANNA]


def test_a_position_that_is_no_number_is_not_the_invisible_link_s() -> None:
    # given
    anna = world()
    # when
    anna.process(click(False, NOW, url="https://shop.example/"))
    # then
    assert "a_click" in anna.members()


@pytest.mark.parametrize("corrects", ["x" * 201, "", 7, None, ["a"]])
def test_a_correction_of_what_no_event_is_called_is_not_remembered(corrects: object) -> None:
    # given
    anna = world()
    anna.process(consented())
    # when a sender names sixty of them, each as long as an event may be
    for number in range(60):
        anna.process(event("event_corrected", id=f"said-{number}", properties={"corrects": corrects}))
    # then
    assert not anna.store.profile(ANNA).streams


def test_a_correction_that_names_an_order_takes_no_purchase_away() -> None:
    # given
    anna = World()
    order = event("order_completed", id="shopify:order:1001")
    anna.process(consented(), order)
    # when
    anna.process(event("event_corrected", properties={"corrects": order.id, "machine": "esp"}))
    # then
    assert anna.members() == {"recent_purchasers"}
    assert anna.rebuilds == []


def test_a_click_redelivered_when_its_burst_is_forgotten_is_left_to_the_archive() -> None:
    # given a profile written hours after
    anna = world()
    first, *others = [click(link, NOW + link) for link in (1, 2, 3)]
    anna.process(*others)
    anna.now += 5 * HOUR
    anna.process(delivered(anna.now))
    # when
    anna.process(first)
    # then
    assert anna.rebuilds == [ANNA]


def test_a_click_on_the_invisible_link_that_comes_when_others_are_settled_has_the_archive_asked() -> None:
    # given
    anna = world()
    anna.process(click(1, NOW))
    anna.now += 2 * HOUR
    anna.process(delivered(anna.now))
    # when
    anna.process(click(0, NOW + SECOND))
    # then
    assert anna.rebuilds == [ANNA]


def test_a_backlog_of_hours_needs_no_archive() -> None:
    # given
    anna = world()
    anna.now += 5 * HOUR
    # when two clicks and a third arrive late, in batches of their own
    for link in (1, 2, 3):
        anna.process(click(link, NOW + link * 100))
    # then
    assert anna.rebuilds == []
    assert "a_click" not in anna.members()


def test_asking_for_the_rebuild_that_fails_is_repeated_with_the_message() -> None:
    # given
    failing = ["rebuild"]

    def before(operation: str) -> None:
        if operation in failing:
            raise ConnectionError

    anna = World(MemoryStore(before), segments=[A_CLICK])
    anna.process(consented(), click(1, NOW))
    anna.now += 3 * HOUR
    anna.process(delivered(anna.now))
    said = event("event_corrected", at=NOW, properties={"corrects": f"click-autumn-1-{NOW}"})
    # when
    assert anna.process(said)
    failing.clear()
    assert not anna.process(said)
    # then
    assert anna.rebuilds == [ANNA]


def test_two_profiles_of_one_person_make_one_burst() -> None:
    # given a profile known by mail, and one by its browser
    anna = world()
    theirs: dict[str, Any] = {"identities": [{"kind": "anonymous_id", "id": "B" * 22}]}
    anna.process(consented(**theirs))
    anna.process(click(1, NOW), click(2, NOW + 1))
    third = click(3, NOW + 2).model_copy(update={"profile_id": None})
    third = Event.model_validate({**third.model_dump(), **theirs})
    anna.process(third)
    # when it shows that they are one
    anna.process(
        event(
            "identified",
            identities=[{"kind": "user_id", "id": ANNA}, {"kind": "anonymous_id", "id": "B" * 22}],
        )
    )
    # then
    assert "a_click" not in anna.members()
    assert len(corrected(anna)) == 3


class Crash(Exception):
    """The function was killed."""


class Deliveries:
    """Hits of a few messages, delivered in any order, repeated, with crashes; all within the provisional time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.troubled = True
        self.world = World(MemoryStore(self.trouble), segments=SEGMENTS)
        self.events = [consented(at=NOW - DAY)]
        self.known: dict[str, Event] = {}
        for number in range(self.random.randint(1, 4)):
            self.mail(f"mail-{number}")

    def trouble(self, _operation: str) -> None:
        if self.troubled and self.random.random() < 0.05:
            raise Crash

    def mail(self, campaign: str) -> None:
        at = NOW + self.random.randint(0, 20 * MINUTE)
        self.events.append(delivered(at, campaign))
        if self.random.random() < 0.6:
            step = self.random.choice([100, 400, 700, 1_600])
            start = at + self.random.randint(SECOND, 5 * MINUTE)
            links = self.random.randint(2, 7)
            self.events += [click(link, start + link * step, campaign) for link in range(1, links + 1)]
            self.events += [opened(start + self.random.randint(0, links * step), campaign)]
        for _ in range(self.random.randint(0, 3)):
            later = at + self.random.randint(0, 20 * MINUTE)
            self.events.append(click(self.random.randint(0 if self.random.random() < 0.1 else 1, 5), later, campaign))
        if self.random.random() < 0.5:
            self.events.append(opened(at + self.random.randint(0, 20 * MINUTE), campaign))

    def play(self) -> None:
        consent, *rest = self.events
        rest += self.random.choices(rest, k=len(rest) // 3)
        self.random.shuffle(rest)
        queue = [consent, *rest]
        self.world.now = NOW + 40 * MINUTE
        while queue:
            size = self.random.randint(1, 4)
            batch, queue = queue[:size], queue[size:]
            self.deliver(batch)
            self.world.now += self.random.randint(0, 5 * SECOND)
        self.troubled = False
        self.world.now += 3 * HOUR
        self.deliver([delivered(self.world.now, "after")])

    def deliver(self, batch: list[Event]) -> None:
        while self.world.process(*batch):
            self.world.processor = self.world.fresh()
        self.known |= {one.id: one for one in batch}
        self.check()

    def check(self) -> None:
        known = self.known
        hits = [
            Hit(
                one.id,
                one.occurred_at,
                hash(one.properties["campaign"]),
                int(str(one.properties.get("position", OPEN))),
            )
            for one in known.values()
            if one.type in {"email_opened", "email_link_clicked"}
        ]
        found = machine_ids(hits, BurstSettings())
        honeypots = {hit.id for hit in hits if hit.position == 0}
        people = [one for one in known.values() if one.id not in found and one.id not in honeypots]
        clicks = [one for one in people if one.type == "email_link_clicked"]
        mails = {one.properties["campaign"] for one in known.values() if one.type == "email_delivered"}
        read = {one.properties["campaign"] for one in people if one.type == "email_opened"}
        expected = {
            name
            for name, holds in {
                "three_clicks": len(clicks) >= 3,
                "a_click": bool(clicks),
                "any_click": any(one.type == "email_link_clicked" for one in known.values()),
                "reads_all": bool(mails) and mails <= read,
                "any_reader": bool(mails)
                and mails <= {one.properties["campaign"] for one in known.values() if one.type == "email_opened"},
            }.items()
            if holds
        }
        profile = self.world.store.profile(ANNA)
        assert set(self.world.engine.memberships(profile, self.world.now)) == expected
        assert corrected(self.world).keys() | honeypots == found.keys() | honeypots
        assert not profile.incomplete


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_whatever_the_order_people_count_machines_do_not_and_the_archive_knows(first: int) -> None:
    for seed in range(first, first + 50):
        Deliveries(seed).play()
