"""Opens and clicks that no person made, as far as one hit shows it by itself.

A label says why; nothing is ever refused for it, because a user agent is what anybody says of himself. What shows only
in several hits together is in `bursts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

APPLE_MPP: Final = "Mozilla/5.0"
"""All that Apple's Mail Privacy Protection says; browsers go on with their platform."""
GMAIL_PREFETCH: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135"
    " Safari/537.36 Edge/12.246 Mozilla/5.0"
)


@dataclass(frozen=True, slots=True)
class Label:
    """A verdict: `machine` is the reason why no person made the hit, empty for a person's; `proxy` stood for one."""

    machine: str = ""
    proxy: str = ""


def label(event_type: str, properties: Mapping[str, Any]) -> Label:
    """Return what an open or click shows by itself.

    Parameters
    ----------
    event_type
        `email_opened` or `email_link_clicked`.
    properties
        The event's: `user_agent`, `method`, `prefetch`, `network`, `position`, and an ESP's own `machine`.
    """
    said = properties.get("machine")
    if said:
        return Label(said if isinstance(said, str) else "esp")
    if properties.get("method") == "HEAD":
        return Label("head")
    if properties.get("position") == 0:
        return Label("honeypot")
    if properties.get("prefetch"):
        return Label("prefetch")
    user_agent = properties.get("user_agent", "")
    if event_type == "email_opened" and user_agent == APPLE_MPP:
        return Label("apple_mpp")
    if user_agent == GMAIL_PREFETCH:
        return Label("gmail_prefetch")
    if properties.get("network"):
        return Label(f"scanner_{properties['network']}")
    return Label(proxy="gmail" if "GoogleImageProxy" in user_agent else "")
