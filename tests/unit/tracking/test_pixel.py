from __future__ import annotations

from mailtailor.tracking.pixel import GIF, HEADERS


def test_the_pixel_is_a_transparent_gif_of_one_point() -> None:
    assert len(GIF) == 43
    assert GIF[:6] == b"GIF89a"
    assert GIF[6:10] == b"\x01\x00\x01\x00"
    assert GIF[19:24] == b"\x21\xf9\x04\x01\x00", "a graphic control extension that says transparent"
    assert GIF[-1:] == b"\x3b"


def test_the_pixel_is_fetched_again_at_each_open_and_sets_no_cookie() -> None:
    assert "no-store" in HEADERS["cache-control"]
    assert HEADERS["content-length"] == "43"
    assert "set-cookie" not in HEADERS
