"""What ESPs say of a mail meets what our own pixel says of it: one message delivered, and that message opened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailtailor.events import capture
from mailtailor.events.event import Event
from mailtailor.instant import MINUTE
from mailtailor.tracking.tokens import MailingToken, Purpose, RecipientToken
from tests.senders import NOW, sender, taken
from tests.unit.profiles.world import CONSENT, World, event, segment

READERS = segment("readers", {"opened_share": 0.7, "within": "30d"})
MAILINGS = {
    "braze": MailingToken("11ae5b4b-2445-4440-a04f-bf537764c9ad", "8c1d8e6f2b3a4c5d"),
    "customerio": MailingToken("7", "RPILAgUBcRhIBqSfeiIwdIYJKxTY"),
    "klaviyo": MailingToken("01HQ5SPRING"),
    "mailgun": MailingToken("spring"),
    "postmark": MailingToken("spring", "2026-11"),
    "sendgrid": MailingToken("spring", "2026-11"),
    "ses": MailingToken("spring", "2026-11"),
    "sfmc": MailingToken("spring", "4711"),
}
"""What the mails of the samples were instrumented with: the ESP's own ids where it passes on no other."""
ASKED = ("braze", "customerio", "sfmc")
"""Those that tell sends apart by an id of theirs, if their address asks for it."""


def delivered(name: str, *, apart: bool = True) -> Event:
    playing = sender(name)
    sample = replace(playing.samples[0], query={"instance": "esp"} if apart else {})
    events = taken(playing.delivery(sample), name).events
    return next(event for event in events if event.type == "email_delivered")


def is_reader(delivery: Event, mailing: MailingToken) -> bool:
    """Return whether who got `delivery` and opened a mail of `mailing` has opened most of what was delivered."""
    world, person = World(segments=[READERS]), delivery.identities[0].id
    world.now = NOW
    recipient = RecipientToken(person, Purpose.TRACK)
    opened = capture.opened(event_id="o", mailing=mailing, recipient=recipient, at=delivery.occurred_at + MINUTE)
    stated = event("consent_changed", at=0, profile_id=person, consent=CONSENT)
    assert world.process(stated, delivery, Event.model_validate_json(opened)) == {}
    return world.members(person) == {"readers"}


@pytest.mark.parametrize("name", MAILINGS)
def test_a_delivery_that_the_esp_reports_is_the_message_that_our_pixel_saw_opened(name: str) -> None:
    assert is_reader(delivered(name), MAILINGS[name])


@pytest.mark.parametrize("name", MAILINGS)
def test_an_open_of_another_mailing_or_send_is_no_open_of_it(name: str) -> None:
    for other in (MailingToken("another", MAILINGS[name].instance), MailingToken(MAILINGS[name].campaign, "another")):
        assert not is_reader(delivered(name), other)


@pytest.mark.parametrize("name", ASKED)
def test_unless_asked_for_all_sends_of_a_mailing_are_one_message(name: str) -> None:
    assert is_reader(delivered(name, apart=False), MailingToken(MAILINGS[name].campaign))
