from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from mailtailor.events import capture
from mailtailor.events.capture import Facts
from mailtailor.events.event import Event
from mailtailor.tracking.tokens import LinkToken, MailingToken, Purpose, RecipientToken

RECIPIENT = RecipientToken("AAECAwQFBgcICQoLDA0ODw", Purpose.TRACK)
AT = 1_764_000_000_000


@given(st.text() | st.text(st.characters(categories=["Cs"])))
def test_an_open_is_an_event_whatever_the_user_agent(user_agent: str) -> None:
    # when
    text = capture.opened(
        event_id="e1", mailing=MailingToken("spring", "7"), recipient=RECIPIENT, at=AT, facts=Facts(user_agent)
    )
    event = Event.model_validate_json(text)
    # then
    assert (event.id, event.type, event.source) == ("e1", "email_opened", "mailtailor")
    assert (event.profile_id, event.occurred_at, event.received_at) == (RECIPIENT.profile_id, AT, AT)
    assert (event.properties["campaign"], event.properties["instance"]) == ("spring", "7")
    assert len(str(event.properties.get("user_agent", ""))) <= capture.MAX_USER_AGENT


def test_a_click_is_an_event_that_says_what_was_clicked() -> None:
    # given
    link = LinkToken("https://shop.example/größe?a=1", "spring", 3, AT - 1, "85123A", "lights", "7")
    # when
    event = Event.model_validate_json(capture.clicked(event_id="e2", link=link, recipient=RECIPIENT, at=AT))
    # then
    assert event.type == "email_link_clicked"
    assert event.properties == {
        "campaign": "spring",
        "instance": "7",
        "url": "https://shop.example/größe?a=1",
        "position": 3,
        "product_id": "85123A",
        "category": "lights",
    }


def test_a_click_on_a_link_without_product_names_none() -> None:
    link = LinkToken("https://shop.example/", "spring", 1, AT)
    properties = json.loads(capture.clicked(event_id="e3", link=link, recipient=RECIPIENT, at=AT))["properties"]
    assert properties.keys() == {"campaign", "url", "position"}


def test_an_event_holds_the_facts_that_are_unusual() -> None:
    # given
    mailing = MailingToken("spring")
    facts = Facts(user_agent="Scanner/1.0", head=True, prefetch=True, network="barracuda")
    # when
    text = capture.opened(event_id="e4", mailing=mailing, recipient=RECIPIENT, at=AT, facts=facts)
    # then
    assert Event.model_validate_json(text).properties == {
        "campaign": "spring",
        "user_agent": "Scanner/1.0",
        "method": "HEAD",
        "prefetch": True,
        "network": "barracuda",
    }
    assert Facts().properties() == {}


def test_no_merged_value_enters_an_event() -> None:
    link = LinkToken("https://shop.example/?mail=\0&a=1", "spring", 1, AT)
    event = Event.model_validate_json(capture.clicked(event_id="e5", link=link, recipient=RECIPIENT, at=AT))
    assert event.properties["url"] == "https://shop.example/?mail=&a=1"
