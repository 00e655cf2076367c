from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from functions.open_time_image import handler as open_time_image
from infra.build.definitions import PACKAGE
from mailtailor.aws import definitions
from mailtailor.aws.startup import prepared
from mailtailor.instant import DAY, SECOND
from mailtailor.tracking.pixel import GIF
from tests.integration.functions.content_engine import _forget, compiled
from tests.integration.functions.intake_engine import Context, http_event

PATH = "/image/winter_sale/AbC-_123.gif"


class World:
    """The function as deployed, but for its clock."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.end = definitions.countdowns().countdowns[0].end
        self.now = self.end - 5 * DAY
        patch.setattr(open_time_image, "clock_from_environment", lambda: lambda: self.now)
        patch.setattr(open_time_image, "dependencies", prepared(open_time_image.connect))


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    package = tmp_path / PACKAGE
    package.mkdir()
    for name, text in compiled().items():
        (package / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    _forget()
    yield package
    _forget()


@pytest.fixture
def world(layer: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    assert layer.is_dir()
    return World(monkeypatch)


def fetched(path: str = PATH, method: str = "GET") -> bytes:
    """Return the image, after making sure that it may be shown and is kept by nobody."""
    response = open_time_image.handler(http_event(method, path), Context())
    headers = response["headers"]
    assert response["statusCode"] == 200
    assert headers == {
        "content-type": "image/gif",
        "content-length": headers["content-length"],
        "cache-control": "no-store, no-cache, must-revalidate, private, max-age=0",
        "cross-origin-resource-policy": "cross-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    body = base64.b64decode(response["body"])
    assert int(headers["content-length"]) == len(body) or method == "HEAD"
    return body


def frames(gif: bytes) -> int:
    count: int = getattr(Image.open(BytesIO(gif)), "n_frames", 1)
    return count


def metrics(output: str) -> dict[str, Any]:
    return {key: value for line in output.splitlines() for key, value in json.loads(line).items()}


def test_an_opened_mail_counts_down(world: World) -> None:
    # when
    image = fetched()
    world.now += SECOND
    later = fetched()
    # then
    assert frames(image) == frames(later) == 60
    assert image != later


def test_near_the_end_the_image_ends_with_it(world: World) -> None:
    world.now = world.end - 10 * SECOND
    assert frames(fetched()) == 11


def test_after_the_end_it_says_so_for_ever(world: World) -> None:
    world.now = world.end
    over = fetched()
    world.now += 400 * DAY
    assert frames(over) == 1
    assert fetched() == over != GIF


@pytest.mark.usefixtures("world")
def test_a_probe_gets_the_headers_of_the_image() -> None:
    image = fetched()
    response = open_time_image.handler(http_event("HEAD", PATH), Context())
    assert fetched(method="HEAD") == b""
    assert response["headers"]["content-length"] == str(len(image))


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    "path",
    [
        "/image/winter_sale/other-recipient.gif",
        "/image/winter_sale/AbC-_123",
        "/image/winter_sale/AbC-_123.png",
        "/image/winter_sale/AbC-_123.gif/",
        "//image//winter_sale//AbC-_123.gif",
        "/image/winter%5Fsale/%7B%7B%20mailtailor_track%20%7D%7D.gif",
        "/image/winter_sale/{{ mailtailor_track }}.gif",
        "/image/winter_sale/a/b/c.gif",
        "/image/winter_sale/.gif",
        "/image/winter_sale.gif",
        "/image/winter_sale",
    ],
)
def test_the_recipient_need_not_be_valid(path: str) -> None:
    assert fetched(path) == fetched()


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/image/summer_sale/x.gif", "unknown"),
        ("/image/hero/x.gif", "unknown"),
        ("/image/%FF/x.gif", "unknown"),
        ("/image/../winter_sale/x.gif", "path"),
        ("/image/", "path"),
        ("/o/winter_sale/x.gif", "path"),
        ("/", "path"),
        ("", "path"),
        (f"/image/{'A' * 1_000_000}", "path"),
    ],
)
def test_what_is_no_image_gets_an_empty_one_and_is_counted(
    capsys: pytest.CaptureFixture[str], path: str, reason: str
) -> None:
    assert fetched(path) == GIF
    counted = metrics(capsys.readouterr().out)
    assert (counted["ImagesFailed"], counted["reason"]) == ([1.0], reason)


def test_a_layer_without_countdowns_is_not_felt(
    layer: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    (layer / "countdowns.json").unlink()
    monkeypatch.setattr(open_time_image, "dependencies", prepared(open_time_image.connect))
    # then
    assert fetched() == GIF
    counted = metrics(capsys.readouterr().out)
    assert (counted["ImagesFailed"], counted["reason"]) == ([1.0], "MailtailorError")


@pytest.mark.usefixtures("layer")
def test_a_deployed_function_needs_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_time_image, "dependencies", prepared(open_time_image.connect))
    assert fetched() != GIF


def test_a_burst_of_opens_is_drawn_once_a_second(world: World) -> None:
    # given
    drawn = open_time_image.dependencies().drawn
    # when
    for number in range(50):
        fetched(f"/image/winter_sale/{number}.gif")
        world.now += 10
    # then
    assert drawn.cache_info().misses <= 2  # type: ignore[attr-defined]
    assert drawn.cache_info().maxsize == open_time_image.KEPT  # type: ignore[attr-defined]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    "event", [{}, {"requestContext": None}, {"body": "%", "isBase64Encoded": True, "headers": None}]
)
def test_an_event_of_any_form_gets_an_image(event: dict[str, Any]) -> None:
    for context in (Context(), None):
        response = open_time_image.handler(event, context)
        assert response["statusCode"] == 200
        assert base64.b64decode(response["body"]) == GIF


@pytest.mark.usefixtures("world")
@given(st.text(max_size=60) | st.text("/winter_sale~%.gif-_A", max_size=60).map("/image/{}".format))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_path_gets_an_image(path: str) -> None:
    assert fetched(path).startswith(b"GIF89a")
