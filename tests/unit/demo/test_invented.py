"""The demonstration's invented data."""

from __future__ import annotations

import uuid
from collections import Counter

from infra.local.demo.campaigns import CAMPAIGNS
from infra.local.demo.demonstration import SEGMENTS
from infra.local.demo.inbox import CASTING, LETTERS_SHOWN, cast
from infra.local.demo.invented import HOME, Person, invent
from infra.local.demo.sample import Sample
from infra.local.demo.seed import MAX_BATCH_EVENTS, batches, behaviour, introductions
from mailtailor.events.sources import segment
from mailtailor.events.untrusted import parse
from mailtailor.instant import to_iso
from mailtailor.profiles.identity import Pseudonymizer
from mailtailor.profiles.profile import Profile
from mailtailor.profiles.projection import apply
from mailtailor.segments.engine import Engine
from mailtailor.segments.files import load_segments

NOW = 1_790_000_000_000
RECEPTION = segment.Reception(received_at=NOW, pseudonymizer=Pseudonymizer(b"pepper"), new_id=lambda: str(uuid.uuid4()))


def test_the_same_is_invented_every_time(sample: Sample, people: list[Person]) -> None:
    again = invent(sample)
    assert [(one.first_name, one.region, one.calls) for one in again] == [
        (one.first_name, one.region, one.calls) for one in people
    ]


def test_the_last_order_is_now_once_shifted(sample: Sample, people: list[Person]) -> None:
    # given
    shift = NOW - sample.last_order
    # when
    calls = list(behaviour(people, shift))
    # then
    orders = [call for call in calls if call.get("event") == "Order Completed"]
    assert max(call["timestamp"] for call in orders) == to_iso(NOW)
    assert max(call["timestamp"] for call in calls) <= to_iso(NOW)


def test_each_call_is_accepted_by_the_ingestion_of_live_events(sample: Sample, people: list[Person]) -> None:
    shift = NOW - sample.last_order
    taken = 0
    for calls in (introductions(people, shift), behaviour(people, shift)):
        for batch in batches(calls):
            body = f'{{"batch":[{",".join(batch)}]}}'.encode()
            # when
            result = segment.receive("batch", parse(body), len(body), RECEPTION)
            # then
            assert result.rejected == []
            taken += len(result.events)
    assert taken == sum(len(one.calls) for one in people)


def test_batches_stay_within_the_limits_of_the_tracking_api(people: list[Person]) -> None:
    for batch in batches(behaviour(people, 0)):
        assert len(batch) <= MAX_BATCH_EVENTS <= segment.MAX_BATCH_EVENTS
        assert len(f'{{"batch":[{",".join(batch)}]}}'.encode()) <= segment.MAX_BATCH_BYTES


def test_message_ids_are_unique(people: list[Person]) -> None:
    ids = [call.id for one in people for call in one.calls]
    assert len(ids) == len(set(ids))


def test_consent_comes_before_everything_else(people: list[Person]) -> None:
    for one in people:
        first, *others = one.calls
        assert first.type == "identify"
        assert all(call.at > first.at for call in others)


def test_most_allow_everything_and_some_do_not(people: list[Person]) -> None:
    share = Counter((one.tracking, one.personalization) for one in people)
    assert 0.84 < share[True, True] / len(people) < 0.92
    assert min(share[True, False], share[False, True], share[False, False]) > 0


def test_only_the_united_kingdom_has_regions(people: list[Person]) -> None:
    for one in people:
        assert (one.region is not None) == (one.customer.country == HOME)


def test_nobody_opens_a_mail_before_it_is_delivered(people: list[Person]) -> None:
    for one in people:
        delivered = {p["campaign"]: at for name, at, p in one.events if name == "Email Delivered"}
        for name, at, properties in one.events:
            if name in {"Email Opened", "Email Link Clicked"}:
                assert at > delivered[properties["campaign"]]
        assert len(delivered) <= len(CAMPAIGNS)


def test_every_segment_has_members_and_is_not_everybody(sample: Sample, people: list[Person]) -> None:
    # given
    engine = Engine(load_segments(SEGMENTS))
    shift = NOW - sample.last_order
    members: Counter[str] = Counter()
    for one in people:
        payload = {"batch": [call.payload(one.id, shift) for call in one.calls]}
        profile = Profile(one.id)
        # when
        apply(profile, segment.receive("batch", payload, 0, RECEPTION).events, engine=engine, now=NOW)
        members.update(engine.memberships(profile, NOW))
    # then
    for name in engine.segments:
        assert 20 <= members[name] <= 0.6 * len(people), name


def test_the_inbox_has_a_recipient_for_each_part_of_the_story(sample: Sample, people: list[Person]) -> None:
    recipients = cast(people, sample.last_order)
    assert [one.title for one in recipients] == [title for title, _, _ in CASTING]
    assert [one.number for one in recipients] == list(range(1, len(CASTING) + 1))
    assert all(len(one.letters) == LETTERS_SHOWN for one in recipients)
    assert {one.person.id for one in recipients if not one.person.consented}
