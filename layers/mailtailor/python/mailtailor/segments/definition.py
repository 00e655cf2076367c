"""The segment language: a tree of conditions, as people write it and as functions load it.

A definition is untrusted text, so pydantic reads it: unknown keys, empty lists, windows of nothing and comparisons of
things that cannot be compared are refused with the place where they stand. SQL becomes the same tree (`segments.sql`).

Ages and windows are durations in milliseconds, half-open: an event of instant `ts` is inside `within: W` while
`ts <= now < ts + W`, and inside `between: [A, B]` while `ts + A <= now < ts + B`. Without either, a condition reaches
back as far as profiles remember, which is `MAX_WINDOW`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    StringConstraints,
    Tag,
    model_validator,
)

from mailtailor.consent.policy import Purpose
from mailtailor.events.names import EventType
from mailtailor.instant import DAY, HOUR, MINUTE, SECOND

MAX_WINDOW: Final = 400 * DAY
"""As long as profiles remember; a longer window would silently count less than it says."""
MAX_COUNT: Final = 1_000
MAX_DEPTH: Final = 20
MAX_CONDITIONS: Final = 200

_UNITS: Final = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_DURATION: Final = re.compile(r"^(\d{1,12})\s*(ms|[smhdw])$")


def _duration(value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
    if isinstance(value, str):
        match = _DURATION.match(value.strip())
        if match is None:
            raise ValueError(f"{value!r} is no duration; write a number and s, m, h, d or w, such as 48h or 30d")
        return int(match[1]) * _UNITS[match[2]]
    return value


def _listed(value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
    return [value] if isinstance(value, str) else value


Duration = Annotated[int, BeforeValidator(_duration), Field(gt=0, le=MAX_WINDOW, strict=True)]
"""Milliseconds; written as `30m`, `48h`, `7d`."""
Age = Annotated[int, BeforeValidator(_duration), Field(ge=0, le=MAX_WINDOW, strict=True)]
"""Milliseconds since an event, 0 included."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
PropertyName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""A property; `products.category` reaches into objects, and into any element of lists."""
Scalar = str | int | FiniteFloat | bool
"""Of numbers those that JSON has, as which definitions are kept."""
EventTypes = Annotated[tuple[EventType, ...], BeforeValidator(_listed), Field(min_length=1, max_length=50)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT, strict=True)]
_BOUNDS: Final = ("at_least", "at_most", "above", "below")


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Test(_Node):
    """What a value must be; of several tests, all.

    Text compares by its characters, numbers by their value, times (ISO 8601) as text. A value of another type, or
    none at all, passes only `exists: false`, `not` and `not_in`.
    """

    in_: Annotated[tuple[Scalar, ...] | None, Field(alias="in", min_length=1, max_length=1_000)] = None
    not_in: Annotated[tuple[Scalar, ...] | None, Field(min_length=1, max_length=1_000)] = None
    is_: Annotated[Scalar | None, Field(alias="is")] = None
    not_: Annotated[Scalar | None, Field(alias="not")] = None
    contains: Annotated[str | None, Field(min_length=1, max_length=500)] = None
    prefix: Annotated[str | None, Field(min_length=1, max_length=500)] = None
    suffix: Annotated[str | None, Field(min_length=1, max_length=500)] = None
    at_least: float | str | None = None
    at_most: float | str | None = None
    above: float | str | None = None
    below: float | str | None = None
    exists: bool | None = None
    ignore_case: bool = False

    @model_validator(mode="after")
    def _means_something(self) -> Test:
        given = self.model_fields_set - {"ignore_case"}
        if not given:
            raise ValueError("a test is needed, such as in, not, contains, prefix, at_least or exists")
        if any(getattr(self, name) is None for name in given):
            raise ValueError("null is no value to compare with; write exists: false")
        bounds = [value for name in _BOUNDS if (value := getattr(self, name)) is not None]
        if len({isinstance(value, str) for value in bounds}) > 1:
            raise ValueError("a range is of numbers or of texts, not of both")
        if self.ignore_case and not self._compares_text():
            raise ValueError("ignore_case is for tests of text")
        return self

    def _compares_text(self) -> bool:
        values = [self.is_, self.not_, self.contains, self.prefix, self.suffix, *(self.in_ or ()), *(self.not_in or ())]
        return any(isinstance(value, str) for value in values)


Filter = Annotated[
    Annotated[Scalar, Tag("value")] | Annotated[Test, Tag("test")],
    Discriminator(lambda value: "test" if isinstance(value, dict | Test) else "value"),
]
"""What an event's property must be: a value it equals, or a test."""
Filters = Annotated[dict[PropertyName, Filter], Field(max_length=20)]


class _Events(_Node):
    event: EventTypes
    where: Filters = Field(default_factory=dict)
    include_machine: bool = Field(default=False, strict=True)
    """Count opens and clicks that machines made, too."""


class _Window(_Node):
    """Which ages count: `within`, or `between` two ages, or all that is remembered."""

    within: Duration | None = None
    between: tuple[Age, Duration] | None = None

    @model_validator(mode="after")
    def _one_window(self) -> _Window:
        if self.within is not None and self.between is not None:
            raise ValueError("give within or between, not both")
        if self.between is not None and self.between[0] >= self.between[1]:
            raise ValueError("between needs the lesser age first, such as [2d, 9d]")
        return self

    @property
    def ages(self) -> tuple[int, int]:
        """The least age that counts, and the first that no longer does."""
        return self.between if self.between is not None else (0, self.within or MAX_WINDOW)


class Occurred(_Events, _Window):
    """How many matching events there are in the window; without any number, at least one."""

    at_least: Count | None = None
    at_most: Count | None = None
    exactly: Count | None = None

    @model_validator(mode="after")
    def _numbers(self) -> Occurred:
        if self.exactly is not None and (self.at_least is not None or self.at_most is not None):
            raise ValueError("exactly stands alone")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least is more than at_most, so nobody can be a member")
        return self

    @property
    def numbers(self) -> tuple[int, int | None]:
        """The least number that holds, and the greatest if there is one."""
        if self.exactly is not None:
            return self.exactly, self.exactly
        return self.at_least if self.at_least is not None else 0 if self.at_most is not None else 1, self.at_most


class LastOlderThan(_Events):
    """There is a matching event, and the last is at least this old: true from `ts + older_than` on."""

    older_than: Duration


class LastIs(_Events):
    """The last event that matches `where` is this young, and also passes these filters; of several at once, any."""

    last: Annotated[Filters, Field(min_length=1)]
    within: Duration = MAX_WINDOW


class First(_Events):
    """The first matching event ever is this young, or at least this old. It alone is never forgotten."""

    first: Literal[True]
    within: Duration | None = None
    older_than: Duration | None = None

    @model_validator(mode="after")
    def _one(self) -> First:
        if (self.within is None) == (self.older_than is None):
            raise ValueError("first needs either within or older_than")
        return self


class Step(_Events):
    """What comes, or does not come, after: within a time from the first event, or any time later."""

    within: Duration | None = None
    same: PropertyName | None = None
    """A property in which both events must agree, such as product_id."""


class Sequence(_Events, _Window):
    """An event that another one follows, or does not.

    - `followed_by` with `within: W`: some A in the window has a B with `A <= B < A + W`.
    - `not_followed_by` with `within: W`: some A in the window that is at least W old has none.
    - `not_followed_by` alone: there is no B since the last A, which is in the window and at least `older_than` old.
      With `same`, so for at least one value of that property; events without it do not count.

    B may come at the very instant of A, unless both may be of one type: then it comes later.
    """

    followed_by: Step | None = None
    not_followed_by: Step | None = None
    older_than: Duration | None = None

    @model_validator(mode="after")
    def _steps(self) -> Sequence:
        if (self.followed_by is None) == (self.not_followed_by is None):
            raise ValueError("a sequence has either followed_by or not_followed_by")
        if self.older_than is not None and (self.followed_by is not None or self.between is not None):
            raise ValueError("older_than is for not_followed_by without between")
        least, end = self.ages
        if self.not_followed_by is not None and max(least, self.older_than or 0, self.step.within or 0) >= end:
            raise ValueError("the window ends before the event is old enough, so nobody can be a member")
        return self

    @property
    def step(self) -> Step:
        """The second event."""
        step = self.followed_by or self.not_followed_by
        assert step is not None  # noqa: S101 - one of them is there, see above
        return step


class _Bounds(_Node):
    at_least: Decimal | None = Field(default=None, allow_inf_nan=False, max_digits=20)
    at_most: Decimal | None = Field(default=None, allow_inf_nan=False, max_digits=20)
    above: Decimal | None = Field(default=None, allow_inf_nan=False, max_digits=20)
    below: Decimal | None = Field(default=None, allow_inf_nan=False, max_digits=20)

    @model_validator(mode="after")
    def _bounded(self) -> _Bounds:
        if all(getattr(self, name) is None for name in _BOUNDS):
            raise ValueError("a number to compare with is needed: at_least, at_most, above or below")
        return self


class Sum(_Events, _Window, _Bounds):
    """The sum of a numeric property over matching events, less that of the events in `minus`; of none it is 0."""

    sum: PropertyName
    minus: Annotated[tuple[EventType, ...], BeforeValidator(_listed), Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _signs(self) -> Sum:
        if set(self.minus) & set(self.event):
            raise ValueError("an event counts either for or against the sum")
        return self


class Average(_Events, _Window, _Bounds):
    """The mean of a numeric property over matching events that have it; of none, nothing is true."""

    average: PropertyName


class Distinct(_Events, _Window, _Bounds):
    """How many different values a property has over matching events."""

    distinct: PropertyName


class _Share(_Node):
    within: Duration
    include_machine: bool = Field(default=False, strict=True)
    """Count opens and clicks that machines made, too."""


class OpenedShare(_Share):
    """Of the messages delivered in the window, at least this share was opened; false when none was delivered.

    Of a message delivered repeatedly the last delivery counts, with opens since then (or a day before: clocks differ).
    """

    opened_share: Decimal = Field(gt=0, le=1)


class ClickedShare(_Share):
    """Of the messages delivered in the window, at least this share was clicked; otherwise as the share opened."""

    clicked_share: Decimal = Field(gt=0, le=1)


class AttributeIs(_Node):
    """An attribute of the profile passes a test: country, region, plan, whatever was identified."""

    attribute: PropertyName
    is_: Annotated[Filter, Field(alias="is")]


_ZONE: Final = r"^[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,2}$"
Days = Annotated[int, Field(ge=-366, le=366, strict=True)]


class DateIn(_Node):
    """A date attribute (YYYY-MM-DD, or a time) is so many calendar days ahead; negative days are past.

    `anniversary` looks at the next or last return of the day, every year; 29 February returns on 28 February.
    Days begin at midnight of the time zone, which an attribute of the person may name.
    """

    date: PropertyName | None = None
    anniversary: PropertyName | None = None
    in_days: Annotated[tuple[Days, Days], BeforeValidator(lambda value: (value,) * 2 if type(value) is int else value)]
    time_zone: str = Field(default="UTC", pattern=_ZONE)
    time_zone_attribute: PropertyName | None = None

    @model_validator(mode="after")
    def _one(self) -> DateIn:
        if (self.date is None) == (self.anniversary is None):
            raise ValueError("give either date or anniversary")
        first, last = self.in_days
        if first > last or last - first > 300:
            raise ValueError("in_days needs the lesser number first, at most 300 days apart, such as [0, 7]")
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - few segments look at calendars

        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{self.time_zone!r} is no time zone; write one such as Europe/London") from error
        return self


Point = tuple[Annotated[float, Field(ge=-90, le=90)], Annotated[float, Field(ge=-180, le=180)]]


class Circle(_Node):
    """Points (latitude, longitude), by name, and how far from any of them."""

    km: float = Field(gt=0, le=20_100)
    of: Annotated[dict[Name, Point], Field(min_length=1, max_length=1_000)]


class Near(_Node):
    """The person's `latitude` and `longitude` attributes are within so many kilometres of a point, such as a store."""

    near: Circle


class ConsentIs(_Node):
    """The person granted a purpose, or (`granted: false`) did not."""

    consent: Purpose
    granted: bool = Field(default=True, strict=True)


MailState = Literal["unsubscribed", "bounced", "complained"]


class MailStateIs(_Node):
    """What the ESP last said of mails to this person.

    `unsubscribed` until they subscribe again, `bounced` until a later mail is delivered; all as long as we remember.
    """

    mail_state: MailState


class InSegment(_Node):
    """The person is in another segment."""

    segment: Name


class ScoreIs(_Bounds):
    """A predicted score of the person (attribute `score_<name>`) compares so; without one, nothing is true."""

    score: Name


class InBucket(_Node):
    """The person is in this part of a random split, for ever: percents from, inclusive, to, exclusive.

    Splits of different names are independent; of one name, `[0, 10]` and `[10, 100]` have nobody in common.
    """

    random: Name
    percent: tuple[Annotated[Decimal, Field(ge=0, le=100)], Annotated[Decimal, Field(ge=0, le=100)]]

    @model_validator(mode="after")
    def _a_part(self) -> InBucket:
        if self.percent[0] >= self.percent[1]:
            raise ValueError("percent needs the lesser number first, such as [0, 10]")
        return self


class All(_Node):
    """All conditions hold."""

    all: tuple[Condition, ...] = Field(min_length=1)


class AnyOf(_Node):
    """At least one condition holds."""

    any: tuple[Condition, ...] = Field(min_length=1)


class Not(_Node):
    """The condition does not hold."""

    not_: Annotated[Condition, Field(alias="not")]


_KEYS: Final = {
    "all": "all",
    "any": "any",
    "not": "not",
    "not_": "not",
    "sum": "sum",
    "average": "average",
    "distinct": "distinct",
    "followed_by": "sequence",
    "not_followed_by": "sequence",
    "first": "first",
    "last": "last",
    "older_than": "last_older_than",
    "event": "occurred",
    "opened_share": "opened_share",
    "clicked_share": "clicked_share",
    "attribute": "attribute",
    "date": "date",
    "anniversary": "date",
    "near": "near",
    "consent": "consent",
    "mail_state": "mail_state",
    "segment": "segment",
    "score": "score",
    "random": "random",
}
_OF_NODES: Final = {
    "Sequence": "sequence",
    "Occurred": "occurred",
    "DateIn": "date",
    "First": "first",
}
"""Models whose keys alone do not tell them apart."""


def _kind(value: Any) -> str | None:  # noqa: ANN401 - whatever stands in the file
    """Tell a condition's kind by the key that only it has, so that an error speaks of that kind alone."""
    if isinstance(value, _Node):
        named = _OF_NODES.get(type(value).__name__)
        return named or next((kind for key, kind in _KEYS.items() if key in type(value).model_fields), None)
    return next((kind for key, kind in _KEYS.items() if key in value), None) if isinstance(value, dict) else None


Condition = Annotated[
    Annotated[All, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")]
    | Annotated[Sum, Tag("sum")]
    | Annotated[Average, Tag("average")]
    | Annotated[Distinct, Tag("distinct")]
    | Annotated[Sequence, Tag("sequence")]
    | Annotated[First, Tag("first")]
    | Annotated[LastIs, Tag("last")]
    | Annotated[LastOlderThan, Tag("last_older_than")]
    | Annotated[Occurred, Tag("occurred")]
    | Annotated[OpenedShare, Tag("opened_share")]
    | Annotated[ClickedShare, Tag("clicked_share")]
    | Annotated[AttributeIs, Tag("attribute")]
    | Annotated[DateIn, Tag("date")]
    | Annotated[Near, Tag("near")]
    | Annotated[ConsentIs, Tag("consent")]
    | Annotated[MailStateIs, Tag("mail_state")]
    | Annotated[InSegment, Tag("segment")]
    | Annotated[ScoreIs, Tag("score")]
    | Annotated[InBucket, Tag("random")],
    Discriminator(
        _kind,
        custom_error_type="unknown_condition",
        custom_error_message="a condition has one of the keys all, any, not, event, sum, average, distinct, "
        "opened_share, clicked_share, attribute, date, anniversary, near, consent, mail_state, segment, score, random",
    ),
]


class SegmentDefinition(_Node):
    """A segment: its name, what it means to people, and its rule."""

    name: Name
    description: str = Field(min_length=1, max_length=500)
    rule: Condition

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, data: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
        if _depth(data) > MAX_DEPTH:
            raise ValueError(f"conditions are nested deeper than {MAX_DEPTH}")
        return data

    @model_validator(mode="after")
    def _few(self) -> SegmentDefinition:
        if sum(1 for _ in conditions(self.rule)) > MAX_CONDITIONS:
            raise ValueError(f"a segment has at most {MAX_CONDITIONS} conditions; put some into segments of their own")
        return self


def conditions(rule: Condition) -> list[Condition]:
    """Return `rule` and all conditions in it, parents before children."""
    found: list[Condition] = [rule]
    for one in found:
        match one:
            case All():
                found += one.all
            case AnyOf():
                found += one.any
            case Not():
                found.append(one.not_)
    return found


def _depth(data: Any) -> int:  # noqa: ANN401 - whatever stands in the file
    """Return how deep `data` is nested, without recursion: it may be hostile."""
    depth, level = 0, [data]
    while level and depth < MAX_DEPTH * 2 + 2:
        depth += 1
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return depth // 2
