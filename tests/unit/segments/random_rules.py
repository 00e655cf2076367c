"""Random rules over every kind of condition, with windows of a few units of time, so that edges are everywhere."""

from __future__ import annotations

import random
from typing import Any

EVENTS = ["product_viewed", "product_added", "order_completed", "email_delivered", "email_opened", "email_link_clicked"]
TOLD = ["unsubscribed", "subscribed", "email_bounced", "email_marked_as_spam"]
PLACES = {"london": [51.5, -0.13], "paris": [48.86, 2.35]}


class RandomRules:
    """Makes rules.

    Parameters
    ----------
    chance
        Decides.
    unit
        The length of a unit of time in milliseconds.
    """

    def __init__(self, chance: random.Random, unit: int) -> None:
        self.chance = chance
        self.unit = unit

    def rule(self, segments: list[str], depth: int = 0) -> dict[str, Any]:
        """Return a rule that may refer to `segments`."""
        kind = self.chance.random()
        if depth > 2 or kind < 0.4:
            return self.condition(segments)
        children = [self.rule(segments, depth + 1) for _ in range(self.chance.randint(1, 3))]
        if kind < 0.65:
            return {"all": children}
        return {"any": children} if kind < 0.85 else {"not": children[0]}

    def condition(self, segments: list[str]) -> dict[str, Any]:
        """Return one condition."""
        kinds = [self.count, self.last, self.first, self.sequence, self.measure, self.share, self.who]
        weights = [5, 2, 1, 4, 3, 2, 3]
        if segments:
            kinds.append(lambda: {"segment": self.chance.choice(segments)})
            weights.append(2)
        (made,) = self.chance.choices(kinds, weights)
        return made()

    def events(self) -> dict[str, Any]:
        """Return which events, with a filter or without."""
        made: dict[str, Any] = {"event": self.chance.sample(EVENTS, self.chance.choice([1, 1, 1, 2]))}
        if self.chance.random() < 0.5:
            path = self.chance.choice(["value", "value", "number", "products.value"])
            made["where"] = {path: self.test(numbers=path == "number")}
        if self.chance.random() < 0.15:
            made["include_machine"] = True
        return made

    def test(self, *, numbers: bool) -> Any:
        """Return what a value must be."""
        if numbers:
            return self.chance.choice(
                [
                    1,
                    {"at_least": 1},
                    {"above": 1},
                    {"at_most": 1},
                    {"below": 2.5, "above": 0},
                    {"not": 2},
                    {"in": [0, 2.5]},
                ]
            )
        texts = ["x", "xy", {"in": ["x", "z"]}, {"not_in": ["x"]}, {"not": "xy", "exists": True}, {"exists": False}]
        tests = [
            {"prefix": "x"},
            {"contains": "Y", "ignore_case": True},
            {"suffix": "y"},
            {"is": "X", "ignore_case": True},
        ]
        return self.chance.choice([*texts, *tests, {"at_least": "xy"}, {"below": "xy"}])

    def time(self, most: int = 12) -> int:
        """Return a duration."""
        return self.chance.randint(1, most) * self.unit

    def window(self) -> dict[str, Any]:
        """Return which ages count."""
        kind = self.chance.random()
        if kind < 0.6:
            return {"within": self.time()}
        if kind < 0.8:
            least = self.chance.randint(0, 6)
            return {"between": [least * self.unit, (least + self.chance.randint(1, 8)) * self.unit]}
        return {}

    def count(self) -> dict[str, Any]:
        """Return a number of events."""
        numbers: dict[str, Any] = self.chance.choice(
            [
                *[{}, {"at_least": 2}, {"at_least": 3}, {"at_most": 0}, {"at_most": 2}, {"exactly": 1}, {"exactly": 2}],
                *[{"at_least": 1, "at_most": 2}, {"at_least": 0}],
            ]
        )
        return {**self.events(), **self.window(), **numbers}

    def last(self) -> dict[str, Any]:
        """Return something of the last event."""
        if self.chance.random() < 0.6:
            return {**self.events(), "older_than": self.time()}
        return {**self.events(), "last": {"value": self.test(numbers=False)}, "within": self.time()}

    def first(self) -> dict[str, Any]:
        """Return something of the first event."""
        return {**self.events(), "first": True, self.chance.choice(["within", "older_than"]): self.time()}

    def sequence(self) -> dict[str, Any]:
        """Return an event that another follows or does not."""
        step = self.events()
        if self.chance.random() < 0.6:
            step["within"] = self.time(5)
        if self.chance.random() < 0.4:
            step["same"] = self.chance.choice(["value", "products.value", "number"])
        made = {**self.events(), "within": self.time(8) + 6 * self.unit}
        if self.chance.random() < 0.4:
            return {**made, "followed_by": step}
        older = {"older_than": self.time(4)} if self.chance.random() < 0.5 else {}
        return {**made, "not_followed_by": step, **older}

    def measure(self) -> dict[str, Any]:
        """Return a sum, an average or a number of different values."""
        of: dict[str, Any] = self.chance.choice(
            [{"sum": "number"}, {"average": "number"}, {"distinct": "value"}, {"distinct": "products.value"}]
        )
        bounds: dict[str, Any] = self.chance.choice(
            [{"at_least": 2}, {"at_most": 2}, {"above": 1.5}, {"below": 3}, {"above": 0, "at_most": 4}]
        )
        made = {**self.events(), **self.window(), **of, **bounds}
        others = [one for one in EVENTS if one not in made["event"]]
        if "sum" in of and self.chance.random() < 0.5:
            made["minus"] = self.chance.sample(others, 1)
        return made

    def share(self) -> dict[str, Any]:
        """Return a share of messages."""
        made = {self.chance.choice(["opened_share", "clicked_share"]): self.chance.choice([0.25, 0.5, 0.7, 1])}
        return {**made, "within": self.time(), **({"include_machine": True} if self.chance.random() < 0.2 else {})}

    def who(self) -> dict[str, Any]:
        """Return something of the person."""
        days = sorted([self.chance.randint(-3, 3), self.chance.randint(-3, 3)])
        made: list[dict[str, Any]] = [
            {"attribute": "plan", "is": self.test(numbers=False)},
            {"date": "renewal", "in_days": days, "time_zone": "Europe/London"},
            {"anniversary": "birthday", "in_days": days, "time_zone_attribute": "zone"},
            {"near": {"km": self.chance.choice([20, 200, 500]), "of": PLACES}},
            {"consent": "tracking", "granted": self.chance.random() < 0.5},
            {"mail_state": self.chance.choice(["unsubscribed", "bounced", "complained"])},
            {"score": "churn", self.chance.choice(["at_least", "below"]): 0.7},
            {"random": self.chance.choice("ab"), "percent": [0, self.chance.choice([30, 70])]},
        ]
        return self.chance.choice(made)

    def properties(self, event_type: str) -> dict[str, Any]:
        """Return what an event says."""
        made: dict[str, Any] = {}
        if self.chance.random() < 0.8:
            made["value"] = self.chance.choice(["x", "xy", "X", "z", 1, True, ["x"]])
        if self.chance.random() < 0.8:
            made["number"] = self.chance.choice([0, 1, 2, 2.5, 0.1, 0.2, -1, "1", True])
        if self.chance.random() < 0.3:
            made["products"] = [
                {"value": self.chance.choice(["x", "xy", "z"])} for _ in range(self.chance.randint(0, 3))
            ]
        if event_type.startswith("email_"):
            made["campaign"] = self.chance.choice("abc")
            if event_type != "email_delivered" and self.chance.random() < 0.2:
                made["machine"] = "prefetch"
        return made

    def statement(self) -> dict[str, Any]:
        """Return an attribute's new value."""
        return self.chance.choice(
            [
                {"plan": self.chance.choice(["x", "xy", "z", 1, None])},
                {"renewal": self.chance.choice(["2026-09-21", "2026-09-23", "soon"])},
                {"birthday": self.chance.choice(["1990-09-20", "1990-09-22", "2000-02-29"])},
                {"zone": self.chance.choice(["Asia/Tokyo", "America/New_York", "Nowhere", None])},
                {
                    "latitude": self.chance.choice([51.5, 48.86, 50.0]),
                    "longitude": self.chance.choice([-0.13, 2.35, 1.0]),
                },
                {"score_churn": self.chance.choice([0.7, 0.69, 1.0])},
            ]
        )
