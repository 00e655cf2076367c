"""The event model: whose clock counts, and that somebody is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mailtailor.events.event import Event
from mailtailor_cli.events import event_schema

NOW = 1_790_000_000_000
VIEW: dict[str, Any] = {
    "id": "e",
    "type": "product_viewed",
    "source": "test",
    "profile_id": "A" * 22,
    "occurred_at": NOW,
    "received_at": NOW,
}


@pytest.mark.parametrize(("said", "counts"), [(NOW - 1, NOW - 1), (NOW, NOW), (NOW + 1, NOW), (1 << 60, NOW)])
def test_nothing_happens_after_it_was_received(said: int, counts: int) -> None:
    assert Event.model_validate({**VIEW, "occurred_at": said}).occurred_at == counts


def test_an_event_names_somebody() -> None:
    with pytest.raises(ValidationError, match="names nobody"):
        Event.model_validate({name: value for name, value in VIEW.items() if name != "profile_id"})


def test_the_published_schema_is_that_of_the_model() -> None:
    # It is written by: mailtailor events schema > docs/event.schema.json
    published = Path(__file__).parents[3] / "docs" / "event.schema.json"
    assert json.loads(published.read_text()) == event_schema()


def test_a_field_of_a_later_version_is_refused_until_it_is_known() -> None:
    with pytest.raises(ValidationError):
        Event.model_validate({**VIEW, "version": 2})


def test_an_event_without_the_fields_that_came_later_is_one_of_this_version() -> None:
    # when
    event = Event.model_validate(VIEW)
    # then
    assert (event.version, event.context, event.basis) == (1, {}, None)
