"""What a countdown says, and which ones may be defined."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mailtailor.content.countdown import (
    FRAMES,
    Colours,
    Countdown,
    Left,
    contrast,
    end_text,
    pictures,
    seconds_left,
)
from mailtailor.content.files import load_countdowns
from mailtailor.definition_files import DefinitionError
from mailtailor.instant import DAY, SECOND, from_datetime

END = datetime(2026, 11, 27, 18, tzinfo=UTC)
SHIPPED = Path(__file__).parents[3] / "layers" / "definitions" / "countdowns.yaml"


def countdown(**changes: Any) -> Countdown:
    return Countdown.model_validate({"name": "sale", "ends_at": END, **changes})


def in_seconds(left: Left) -> int:
    return ((left.days * 24 + left.hours) * 60 + left.minutes) * 60 + left.seconds


@given(st.integers(min_value=-2 * DAY, max_value=40_000 * DAY))
def test_each_picture_is_true_in_its_second(remaining: int) -> None:
    # given
    sale, now = countdown(), from_datetime(END) - remaining
    # when
    shown = pictures(sale, seconds_left(sale, now))
    # then
    for number, picture in enumerate(shown[:-1]):
        assert isinstance(picture, Left)
        left = remaining - number * SECOND
        assert 0 <= in_seconds(picture) * SECOND - left < SECOND
        assert picture.hours < 24
        assert max(picture.minutes, picture.seconds) < 60


@given(st.integers(min_value=-2 * DAY, max_value=40_000 * DAY))
def test_the_last_picture_stays_true_forever(remaining: int) -> None:
    # given
    sale, now = countdown(), from_datetime(END) - remaining
    # when
    shown = pictures(sale, seconds_left(sale, now))
    # then
    assert 1 <= len(shown) <= FRAMES
    over = remaining <= (len(shown) - 1) * SECOND
    assert shown[-1] == ("This has ended" if over else "Ends 27 Nov 2026, 18:00 UTC")


@pytest.mark.parametrize(
    ("remaining", "frames", "last"),
    [
        (-1, 1, "This has ended"),
        (0, 1, "This has ended"),
        (1, 2, "This has ended"),
        (59 * SECOND, 60, "This has ended"),
        (59 * SECOND + 1, 60, "Ends 27 Nov 2026, 18:00 UTC"),
        (60 * SECOND, 60, "Ends 27 Nov 2026, 18:00 UTC"),
    ],
)
def test_the_end_within_the_animation_is_shown_when_it_comes(remaining: int, frames: int, last: str) -> None:
    shown = pictures(countdown(), seconds_left(countdown(), from_datetime(END) - remaining))
    assert (len(shown), shown[-1]) == (frames, last)


def test_with_fewer_pictures_the_last_one_is_the_same() -> None:
    assert pictures(countdown(), 86_461, 3) == [Left(1, 0, 1, 1), Left(1, 0, 1, 0), "Ends 27 Nov 2026, 18:00 UTC"]
    assert pictures(countdown(), 86_461, 1) == ["Ends 27 Nov 2026, 18:00 UTC"]


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("UTC", "Ends 27 Nov 2026, 18:00 UTC"),
        ("Europe/Berlin", "Ends 27 Nov 2026, 19:00 CET"),
        ("Asia/Dubai", "Ends 27 Nov 2026, 22:00 UTC+04"),
        ("Pacific/Auckland", "Ends 28 Nov 2026, 07:00 NZDT"),
    ],
)
def test_the_end_is_written_in_the_zone_wanted(zone: str, text: str) -> None:
    assert end_text(countdown(), ZoneInfo(zone)) == text


def test_an_end_with_an_offset_is_the_same_instant() -> None:
    assert countdown(ends_at=END.astimezone(ZoneInfo("Asia/Tokyo"))).end == from_datetime(END)
    assert seconds_left(countdown(ends_at=END + timedelta(milliseconds=1)), from_datetime(END)) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ends_at": "2026-11-27T18:00:00"}, "timezone"),
        ({"before": "Schluß in"}, "has no 'ß'"),
        ({"ended": " "}, "at least 1"),
        ({"before": "x" * 41}, "at most 40"),
        ({"labels": ["days", "hours"]}, "labels"),
        ({"width": 239}, "240"),
        ({"width": 801}, "800"),
        ({"colours": {"text": "red"}}, "pattern"),
        ({"colours": {"digits": "#f4e6da"}}, "digits on tile has a contrast of 1.0; people need 3.0"),
        ({"colours": {"text": "#a09080"}}, "people need 4.5"),
        ({"name": "Sale"}, "name"),
        ({"loop": True}, "Extra inputs"),
    ],
)
def test_what_could_not_be_shown_or_read_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        countdown(**change)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.005)
    assert Colours()


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("countdowns:", "  - name: sale", "    ends_at: 2026-11-27T18:00:00Z", *lines)))
    return path


def test_the_build_writes_the_end_out(tmp_path: Path) -> None:
    (sale,) = load_countdowns(write(tmp_path / "c.yaml", "    time_zone: Europe/London")).countdowns
    assert sale.until == "Ends 27 Nov 2026, 18:00 GMT"
    (own,) = load_countdowns(write(tmp_path / "c.yaml", "    until: Bis zum 27. November, 19 Uhr")).countdowns
    assert own.until == "Bis zum 27. November, 19 Uhr"


def test_the_shipped_countdowns_can_be_used() -> None:
    assert [one.until for one in load_countdowns(SHIPPED, ["hero"]).countdowns] == ["Ends 31 Jan 2027, 23:59 GMT"]


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        (["    time_zone: Mars/Olympus"], 4, "no time zone 'Mars/Olympus'"),
        (["    time_zone: ../../etc/passwd"], 4, "no time zone"),
        (["    width: 20"], 4, "240"),
        (["    colours:", "      text: '#ffffff'"], 5, "contrast"),
        (["  - name: sale", "    ends_at: 2026-11-27T18:00:00Z"], 1, "two countdowns named 'sale'"),
        (["  - name: hero", "    ends_at: 2026-11-27T18:00:00Z"], 4, "a block named 'hero'"),
        (["  - name: other", "    ends_at: 2026-11-27 18:00:00"], 5, "timezone"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, lines: list[str], line: int, said: str) -> None:
    path = write(tmp_path / "c.yaml", *lines)
    with pytest.raises(DefinitionError, match=said) as refused:
        load_countdowns(path, ["hero"])
    assert (refused.value.path, refused.value.line) == (path, line)
