"""The forms of names in events; apart from the event itself, which takes long to load."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

EventType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
ProfileId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}$")]
