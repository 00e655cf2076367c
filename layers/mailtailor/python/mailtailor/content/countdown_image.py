"""Draws a countdown as an animated GIF that any mail client shows, small enough to arrive before it is outdated.

Everything is drawn in places of one small palette, which all pictures share; Pillow then writes of each picture only
the rectangle that differs from the one before.
"""

from __future__ import annotations

from functools import cache, lru_cache
from io import BytesIO
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from mailtailor.content.countdown import FRAMES, Colours, Countdown, Left, Picture, pictures, rgb

MAX_BYTES: Final = 60_000
DURATION: Final = 1_000
"""Milliseconds that a picture stands."""
STEPS: Final = 6
"""Shades of a ramp, for smooth edges; more are not seen and cost bytes."""
TILE_SHAPE, DIGITS, TEXT, LABEL = (ramp * STEPS for ramp in range(4))
"""Where the ramps begin in the palette: background to tile, tile to digits, background to text, tile to text."""
FINE: Final = 4
"""Shapes are drawn so many times larger and scaled down."""

Box = tuple[int, int, int, int]


class CountdownImage:
    """One countdown's image; its numbers are drawn once and from then on only pasted.

    Parameters
    ----------
    countdown
        What to draw.
    """

    def __init__(self, countdown: Countdown) -> None:
        self.countdown = countdown
        self._width, self._height = countdown.width, round(countdown.width * 0.36)
        tile, gap = self._share(0.2), self._share(0.02)
        first = (self._width - 4 * tile - 3 * gap) // 2
        top, bottom = self._share(0.125), self._height - self._share(0.035)
        self._tiles = [(left, top, left + tile, bottom) for left in range(first, first + 4 * (tile + gap), tile + gap)]
        self._whole = (self._tiles[0][0], self._share(0.035), self._tiles[-1][2], bottom)
        self._palette = _palette(countdown.colours)
        self._face = self._drawn_face()
        self._numbers = [self._drawn_number(f"{number:02}") for number in range(60)]
        self._minute = lru_cache(maxsize=4)(self._drawn_minute)
        self._alone = cache(self._drawn_alone)

    def gif(self, seconds: int, limit: int = MAX_BYTES) -> bytes:
        """Return the animation from `seconds` before the end on, with as many pictures as fit into `limit` bytes.

        It is played once, so that its last picture stays.
        """
        frames = FRAMES
        while len(image := self._encoded(pictures(self.countdown, seconds, frames))) > limit and frames > 1:
            frames //= 2
        return image

    def _encoded(self, shown: list[Picture]) -> bytes:
        first, *rest = [self._drawn_left(one) if isinstance(one, Left) else self._alone(one) for one in shown]
        file = BytesIO()
        first.save(file, "GIF", save_all=True, append_images=rest, duration=DURATION, optimize=False, disposal=1)
        return file.getvalue()

    def _drawn_left(self, left: Left) -> Image.Image:
        """Return the picture of the time that is left."""
        picture = self._minute(left.days, left.hours, left.minutes).copy()
        self._put(picture, 3, self._numbers[left.seconds])
        picture.putpalette(self._palette)
        return picture

    def _drawn_minute(self, days: int, hours: int, minutes: int) -> Image.Image:
        """Return what a minute's pictures share."""
        picture = self._face.copy()
        many = days >= len(self._numbers)
        self._put(picture, 0, self._drawn_number(f"{days}") if many else self._numbers[days])
        self._put(picture, 1, self._numbers[hours])
        self._put(picture, 2, self._numbers[minutes])
        return picture

    def _put(self, picture: Image.Image, place: int, number: Image.Image) -> None:
        left, top, right, _ = self._tiles[place]
        picture.paste(number, (left + (right - left - number.width) // 2, top + self._share(0.032)))

    def _drawn_alone(self, sentence: str) -> Image.Image:
        """Return the picture of a sentence, on one tile as wide as the four."""
        picture = Image.new("L", (self._width, self._height), TILE_SHAPE)
        self._tile(picture, self._whole)
        left, top, right, bottom = self._whole
        margin = self._share(0.06)
        self._write(picture, sentence, (left + margin, top, right - margin, bottom), 0.062, DIGITS)
        picture.putpalette(self._palette)
        return picture

    def _drawn_face(self) -> Image.Image:
        """Return what all pictures of the time share: the text above, the tiles and what is counted in them."""
        picture = Image.new("L", (self._width, self._height), TILE_SHAPE)
        left, right = self._tiles[0][0], self._tiles[-1][2]
        self._write(picture, self.countdown.before, (left, 0, right, self._tiles[0][1]), 0.05, TEXT)
        for box, label in zip(self._tiles, self.countdown.labels, strict=True):
            self._tile(picture, box)
            margin = self._share(0.01)
            below = (box[0] + margin, box[3] - self._share(0.068), box[2] - margin, box[3] - self._share(0.016))
            self._write(picture, label, below, 0.034, LABEL)
        return picture

    def _drawn_number(self, digits: str) -> Image.Image:
        """Return a number on its tile; one of many digits becomes smaller."""
        sprite = Image.new("L", (self._share(0.18), self._share(0.094)), DIGITS)
        self._write(sprite, digits, (0, 0, *sprite.size), 0.115, DIGITS)
        return sprite

    def _tile(self, picture: Image.Image, box: Box) -> None:
        size = (box[2] - box[0], box[3] - box[1])
        mask = Image.new("L", (size[0] * FINE, size[1] * FINE))
        ImageDraw.Draw(mask).rounded_rectangle(
            (0, 0, mask.width - 1, mask.height - 1), radius=self._share(0.025) * FINE, fill=255
        )
        picture.paste(_shaded(mask.resize(size, Image.Resampling.BOX), TILE_SHAPE), box[:2])

    def _write(self, picture: Image.Image, text: str, box: Box, size: float, ramp: int) -> None:
        """Write `text` in the middle of `box`, as large as `size`, a share of the width, or as fits.

        Lines stand on one height whatever their letters; digits have no others.
        """
        room = box[2] - box[0]
        pixels = self._share(size)
        pixels = min(pixels, int(pixels * room / _font(pixels).getlength(text)))
        mask = Image.new("L", (room, box[3] - box[1]))
        font = _font(pixels)
        middle = font.getbbox("0", anchor="ls")
        ImageDraw.Draw(mask).text(
            (room / 2, (mask.height - middle[1] - middle[3]) / 2), text, fill=255, font=font, anchor="ms"
        )
        picture.paste(_shaded(mask, ramp), box[:2], mask.point(lambda value: 255 if value else 0))

    def _share(self, part: float) -> int:
        return max(1, round(self._width * part))


@cache
def _font(pixels: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font, Aileron; its digits are all equally wide."""
    font = ImageFont.load_default(max(1, pixels))
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")
    return font


def _shaded(mask: Image.Image, ramp: int) -> Image.Image:
    """Return a mask's shades as places of a ramp in the palette."""
    return mask.point([ramp + round(value * (STEPS - 1) / 255) for value in range(256)])


def _palette(colours: Colours) -> bytes:
    """Return the ramps that drawing uses, as red, green and blue."""
    background, tile, digits, text = map(rgb, (colours.background, colours.tile, colours.digits, colours.text))
    ramps = ((background, tile), (tile, digits), (background, text), (tile, text))
    return bytes(
        round(start + (end - start) * step / (STEPS - 1))
        for paper, ink in ramps
        for step in range(STEPS)
        for start, end in zip(paper, ink, strict=True)
    )
