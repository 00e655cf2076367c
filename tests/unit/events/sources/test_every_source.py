"""What holds for every webhook source, whoever sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailtailor.errors import MailtailorError, NotFound, Unauthorized
from mailtailor.events.event import Event
from mailtailor.events.sources.registry import NAMES, webhook_source
from mailtailor.events.sources.webhook import Received, Reply
from mailtailor.instant import MINUTE
from tests.senders import NOW, Sample, Sender, Servers, senders, take, taken

SENDERS = senders()
SAMPLES = [(sender, sample) for sender in SENDERS for sample in sender.samples]
of_every_sender = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
of_every_sample = pytest.mark.parametrize(
    ("sender", "sample"),
    SAMPLES,
    ids=[f"{sender.name}-{number}-{sample.file}" for number, (sender, sample) in enumerate(SAMPLES)],
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=10,
)


def test_every_source_has_a_sender_in_the_tests_and_a_module() -> None:
    assert [webhook_source(name).name for name in NAMES] == list(NAMES)
    assert [sender.name for sender in SENDERS] == list(NAMES)
    # Blanks part the entries of the ingest secret.
    assert not [sender.name for sender in SENDERS if any(" " in secret for secret in sender.secrets)]


@pytest.mark.parametrize("name", ["", "nosuch", "Shopify", "webhook", "segment", "../shopify"])
def test_no_other_name_is_a_source(name: str) -> None:
    with pytest.raises(NotFound, match="Known: "):
        webhook_source(name)


@of_every_sample
def test_a_sample_of_the_vendor_becomes_events(sender: Sender, sample: Sample) -> None:
    # when
    received = taken(sender.delivery(sample), sender.name)
    # then
    assert [rejection.error.message for rejection in received.rejected] == []
    assert tuple(event.type for event in received.events) == sample.events
    assert {event.source for event in received.events} <= {sender.name}
    assert all(event.received_at == NOW for event in received.events)
    assert all(event.identities and not event.consent for event in received.events)


@of_every_sample
def test_a_redelivery_names_its_events_as_before(sender: Sender, sample: Sample) -> None:
    # when: the same is sent again a week later, signed anew
    first = taken(sender.delivery(sample), sender.name)
    again = taken(sender.delivery(sample, at=NOW + 7 * 24 * 60 * MINUTE), sender.name)
    # then
    ids = [event.id for event in first.events]
    assert [event.id for event in again.events] == ids
    assert len(set(ids)) == len(ids)


@of_every_sample
def test_nothing_personal_is_kept(sender: Sender, sample: Sample) -> None:
    # when
    kept = "".join(event.model_dump_json() for event in taken(sender.delivery(sample), sender.name).events)
    # then
    assert [text for text in sender.personal if text in kept] == []


@of_every_sender
def test_what_is_not_signed_is_refused(sender: Sender) -> None:
    # given
    signed = sender.delivery(sender.samples[0])
    unsigned = type(signed)({}, sender.samples[0].body, NOW, query={}, urls=signed.urls)
    # then
    with pytest.raises(Unauthorized):
        take(unsigned, sender.name)


@of_every_sender
def test_what_is_signed_with_another_secret_is_refused(sender: Sender) -> None:
    # given
    delivery = sender.delivery(sender.samples[0])
    others = tuple(f"{secret[:-4]}{'aaaa' if secret[-4:] != 'aaaa' else 'bbbb'}" for secret in sender.secrets)
    # then
    with pytest.raises(Unauthorized):
        take(delivery, sender.name, secrets=others)


@pytest.mark.parametrize("sender", [one for one in SENDERS if one.goes_stale], ids=lambda sender: sender.name)
@pytest.mark.parametrize("minutes", [-6, 6])
def test_what_was_signed_too_long_ago_or_ahead_is_refused(sender: Sender, minutes: int) -> None:
    # given
    signed = sender.delivery(sender.samples[0], at=NOW + minutes * MINUTE)
    late = type(signed)(signed.headers, signed.body, NOW, query=signed.query, urls=signed.urls)
    # then
    with pytest.raises(Unauthorized):
        take(late, sender.name)


@of_every_sender
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=JSON, change=st.data())
def test_whatever_is_signed_is_events_or_a_sentence(sender: Sender, payload: Any, change: st.DataObject) -> None:
    # given: any JSON at all, or a sample with any of its fields changed
    sample = change.draw(st.sampled_from(sender.samples))
    bodies = [json.dumps(payload).encode()]
    try:
        read = json.loads(sample.body)
    except ValueError:
        read = None
    target = read[0] if isinstance(read, list) and read else read
    if isinstance(target, dict) and target:
        target |= change.draw(st.dictionaries(st.sampled_from(sorted(target)), JSON, max_size=4))
        bodies.append(json.dumps(read).encode())
    for body in bodies:
        # when
        try:
            received = take(sender.delivery(sample, body=body), sender.name, servers=Servers(sender.servers))
        except MailtailorError:
            continue
        # then
        assert isinstance(received, Received | Reply)
        if isinstance(received, Received):
            assert all(rejection.error.message for rejection in received.rejected)
            assert all(Event.model_validate_json(event.model_dump_json()) == event for event in received.events)
