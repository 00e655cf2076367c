"""The event model: whose clock counts, and that somebody is named."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mailtailor.events.event import Event

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
