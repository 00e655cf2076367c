"""The image of a countdown, decoded as a mail client decodes it."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageSequence

from mailtailor.content.countdown import FRAMES, Countdown
from mailtailor.content.countdown_image import MAX_BYTES, CountdownImage

DAY: Final = 86_400
FAR: Final = 3_000_000 * DAY + 59
WIDEST: Final = {
    "before": "W" * 40,
    "ended": "@" * 40,
    "until": "W@" * 20,
    "labels": ["W" * 10] * 4,
}


def drawn(**changes: Any) -> CountdownImage:
    return CountdownImage(
        Countdown.model_validate({"name": "sale", "ends_at": datetime(2026, 11, 27, 18, tzinfo=UTC), **changes})
    )


SALE: Final = drawn()


def frames(gif: bytes) -> list[Image.Image]:
    """Return the pictures as they appear on the screen."""
    return [picture.convert("RGB") for picture in ImageSequence.Iterator(Image.open(BytesIO(gif)))]


def still(image: CountdownImage, seconds: int) -> Image.Image:
    """Return the first picture, in which the time that is left stands."""
    return frames(image.gif(seconds))[0]


def same(one: Image.Image, other: Image.Image) -> bool:
    return ImageChops.difference(one, other).getbbox() is None


def test_every_second_has_its_picture_and_stands_for_a_second() -> None:
    # when
    image = Image.open(BytesIO(SALE.gif(5 * DAY)))
    # then
    durations = [picture.info["duration"] for picture in ImageSequence.Iterator(image)]
    assert durations == [1_000] * FRAMES


def test_it_is_played_once() -> None:
    assert "loop" not in Image.open(BytesIO(SALE.gif(5 * DAY))).info
    assert b"NETSCAPE" not in SALE.gif(5 * DAY)


@pytest.mark.parametrize("seconds", [5 * DAY + 30, 60, 61, 3_601, DAY + 5, 100 * DAY + 3])
def test_the_animation_shows_what_a_later_fetch_would_show(seconds: int) -> None:
    shown = frames(SALE.gif(seconds))
    for later in (1, 7, 31, 58):
        assert same(shown[later], still(SALE, seconds - later))


@pytest.mark.parametrize("seconds", [1, 5, 59])
def test_an_end_within_the_animation_leaves_the_ended_text(seconds: int) -> None:
    shown = frames(SALE.gif(seconds))
    assert len(shown) == seconds + 1
    assert same(shown[-1], still(SALE, 0))


def test_after_the_end_a_single_picture_is_served() -> None:
    assert len(frames(SALE.gif(0))) == 1


def test_all_pictures_differ() -> None:
    shown = [picture.tobytes() for picture in frames(SALE.gif(5 * DAY))]
    assert len(set(shown)) == FRAMES


@pytest.mark.parametrize("seconds", [99 * DAY, 100 * DAY, 1_234 * DAY, FAR])
def test_many_days_stay_on_their_tile(seconds: int) -> None:
    # given: the same time of another day, of which only the number of days differs
    width = SALE.countdown.width
    # when
    differs = ImageChops.difference(still(SALE, seconds), still(SALE, seconds % DAY + DAY)).getbbox()
    # then
    assert differs is not None
    assert width * 0.07 < differs[0]
    assert differs[2] < width * 0.07 + width * 0.2


@pytest.mark.parametrize("width", [240, 480, 800])
def test_the_widest_texts_stay_inside(width: int) -> None:
    image = drawn(width=width, **WIDEST)
    for seconds in (FAR, 0):
        paper = Image.new("RGB", (width, round(width * 0.36)), image.countdown.colours.background)
        for picture in frames(image.gif(seconds)):
            box = ImageChops.difference(picture, paper).getbbox()
            assert picture.size == paper.size
            assert box is not None
            assert min(box[0], box[1], width - box[2], paper.height - box[3]) > 0


@given(
    st.integers(min_value=240, max_value=800),
    st.integers(min_value=0, max_value=FAR),
    st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=40, max_size=40), min_size=3),
)
@settings(max_examples=15, deadline=None)
def test_any_image_is_small_and_whole(width: int, seconds: int, texts: list[str]) -> None:
    gif = drawn(width=width, before=texts[0], ended=texts[1], until=texts[2]).gif(seconds)
    assert len(gif) <= MAX_BYTES
    assert len(frames(gif)) == min(seconds + 1, FRAMES)


@pytest.mark.parametrize("seconds", [FAR, FAR - 30, 100 * DAY, DAY + 30, 3_629, 59])
def test_the_largest_image_is_within_the_limit(seconds: int) -> None:
    contrasty = {"background": "#ffffff", "tile": "#ffe000", "digits": "#000000", "text": "#4b0082"}
    assert len(drawn(width=800, colours=contrasty, **WIDEST).gif(seconds)) <= MAX_BYTES


@pytest.mark.parametrize("limit", [20_000, 10_000, 1])
def test_where_bytes_are_short_pictures_are_left_out_but_never_the_last(limit: int) -> None:
    # given
    whole = frames(SALE.gif(5 * DAY))
    # when
    gif = SALE.gif(5 * DAY, limit)
    # then
    assert len(gif) <= limit or len(frames(gif)) == 1
    assert len(frames(gif)) < FRAMES
    assert same(frames(gif)[-1], whole[-1])


def test_one_fetch_more_changes_nothing() -> None:
    assert SALE.gif(5 * DAY) == SALE.gif(5 * DAY) == drawn().gif(5 * DAY)


def test_the_colours_are_the_ones_defined() -> None:
    colours = {"background": "#102030", "tile": "#203040", "digits": "#ffffff", "text": "#e0f0ff"}
    picture = still(drawn(colours=colours), 5 * DAY)
    assert picture.getpixel((0, 0)) == (0x10, 0x20, 0x30)
    used = {colour for _, colour in picture.getcolors(1_000) or ()}
    assert {(0x20, 0x30, 0x40), (255, 255, 255), (0xE0, 0xF0, 0xFF)} <= used
