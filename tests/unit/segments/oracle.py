"""An oracle: conditions counted over the whole history, without streams, pruning or verdicts."""

from __future__ import annotations

from typing import Any

Happening = tuple[str, int, str]
"""What happened, when, and with which value."""


def truth(rule: dict[str, Any], events: list[Happening], now: int) -> bool:
    """Return whether `rule`, as written in a file, holds at `now`."""
    if "all" in rule:
        return all(truth(child, events, now) for child in rule["all"])
    if "any" in rule:
        return any(truth(child, events, now) for child in rule["any"])
    if "not" in rule:
        return not truth(rule["not"], events, now)
    past = [(kind, at, value) for kind, at, value in events if at <= now]
    if "opened_share" in rule:
        delivered = [(value, at) for kind, at, value in past if kind == "email_delivered"]
        last = {value: max(at for one, at in delivered if one == value) for value, _ in delivered}
        sent = {value for value, at in last.items() if now < at + rule["within"]}
        seen = {value for kind, _, value in past if kind == "email_opened"} & sent
        return bool(sent) and len(seen) * 100 >= int(rule["opened_share"] * 100) * len(sent)
    matching = [
        at
        for kind, at, value in past
        if kind in rule["event"] and ("where" not in rule or value == rule["where"]["value"])
    ]
    if "older_than" in rule:
        return bool(matching) and bool(max(matching) + rule["older_than"] <= now)
    return bool(sum(now < at + rule["within"] for at in matching) >= rule["at_least"])
