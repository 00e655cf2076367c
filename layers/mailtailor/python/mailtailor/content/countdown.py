"""A countdown: what an image that ends at a fixed instant says, second by second.

Mails are looked at late, twice and through caches, so nothing that stays on the screen may grow untrue: the first
picture is right when it is fetched, and the last one names the end instead of the time that is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from mailtailor.content.block import Name
from mailtailor.content.inputs import Colour
from mailtailor.instant import DAY, HOUR, MINUTE, SECOND, Instant, from_datetime

FRAMES: Final = 60
"""Pictures of one animation, one a second: mails are seldom looked at for longer."""


def _drawable(text: str) -> str:
    """Refuse what the font that comes with Pillow has no letters for."""
    for character in text:
        if not " " <= character <= "~":
            raise ValueError(f"the image's font has no {character!r}; write it beside the image, or choose other words")
    return text


Text = Annotated[str, StringConstraints(min_length=1, max_length=40, strip_whitespace=True), AfterValidator(_drawable)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=10, strip_whitespace=True), AfterValidator(_drawable)]

TEXT_CONTRAST: Final = 4.5
DIGIT_CONTRAST: Final = 3.0
"""The least ratios for small and for large text (WCAG 2.2, success criterion 1.4.3)."""


class Colours(BaseModel):
    """Colours as `#rrggbb`: of the whole, of the tiles under the numbers, of the numbers, and of all other text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    background: Colour = "#fffcf7"
    tile: Colour = "#f4e6da"
    digits: Colour = "#9a4a1f"
    text: Colour = "#5b4a3a"

    @model_validator(mode="after")
    def _can_be_read(self) -> Colours:
        for ink, paper, least in (
            ("text", "background", TEXT_CONTRAST),
            ("text", "tile", TEXT_CONTRAST),
            ("digits", "tile", DIGIT_CONTRAST),
        ):
            ratio = contrast(getattr(self, ink), getattr(self, paper))
            if ratio < least:
                raise ValueError(f"{ink} on {paper} has a contrast of {ratio:.1f}; people need {least} (WCAG 2.2)")
        return self


class Countdown(BaseModel):
    """One countdown, served at `/image/{name}/{recipient}.gif`.

    Attributes
    ----------
    ends_at
        The instant of the end; its offset says which.
    time_zone
        In which the end is written (IANA, "Time Zone Database"). The build writes it into `until`, for a function's
        system may know no time zones.
    before, ended
        What stands above the numbers, and what stands alone when the time is up.
    until
        What the last picture says; without it "Ends", date, time and zone.
    labels
        What is counted: days, hours, minutes, seconds.
    width
        Pixels; the height follows from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    ends_at: AwareDatetime
    time_zone: str = "UTC"
    before: Text = "Ends in"
    ended: Text = "This has ended"
    until: Text | None = None
    labels: tuple[Label, Label, Label, Label] = ("days", "hours", "minutes", "seconds")
    width: int = Field(default=480, ge=240, le=800, strict=True)
    colours: Colours = Field(default_factory=Colours)

    @property
    def end(self) -> Instant:
        """The instant of the end."""
        return from_datetime(self.ends_at)


class CountdownList(BaseModel):
    """All countdowns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    countdowns: tuple[Countdown, ...] = Field(max_length=100)

    @model_validator(mode="after")
    def _names_are_unique(self) -> CountdownList:
        names = [countdown.name for countdown in self.countdowns]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"there are two countdowns named {name!r}")
        return self


class Left(NamedTuple):
    """The time that is left, as a picture shows it."""

    days: int
    hours: int
    minutes: int
    seconds: int


Picture = Left | str
"""What one picture shows: the time that is left, or a sentence alone."""


def seconds_left(countdown: Countdown, now: Instant) -> int:
    """Return the seconds until the end, begun ones counted, so that "ended" never comes too early; 0 after it."""
    return max(0, -((now - countdown.end) // SECOND))


def pictures(countdown: Countdown, seconds: int, frames: int = FRAMES) -> list[Picture]:
    """Return what is shown from `seconds` before the end on, second by second, in at most `frames` pictures.

    The last one stays on the screen. It says that the time is up if it then is, and else when that will be.
    """
    if seconds <= 0:
        return [countdown.ended]
    if seconds < frames:
        return [*map(_left, range(seconds, 0, -1)), countdown.ended]
    shown = range(seconds, seconds - frames + 1, -1)
    return [*map(_left, shown), countdown.until or end_text(countdown)]


def end_text(countdown: Countdown, zone: tzinfo | None = None) -> str:
    """Return the end as people write it, such as `Ends 27 Nov 2026, 18:00 GMT`; in its own offset without a zone."""
    end = countdown.ends_at.astimezone(zone) if zone else countdown.ends_at
    name = end.tzname() or ""
    # Many zones have no abbreviation but their offset.
    name = name if name[:1].isalpha() else f"UTC{name}"
    return f"Ends {end.day} {end:%b %Y, %H:%M} {name}"


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2, "contrast ratio"), 1 to 21."""
    lighter, darker = sorted((_luminance(rgb(one)), _luminance(rgb(other))), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def rgb(colour: str) -> tuple[int, int, int]:
    """Return the channels of `#rrggbb`."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def _left(seconds: int) -> Left:
    milliseconds = seconds * SECOND
    return Left(
        milliseconds // DAY, milliseconds % DAY // HOUR, milliseconds % HOUR // MINUTE, milliseconds % MINUTE // SECOND
    )


def _luminance(channels: Iterable[int]) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in channels)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
