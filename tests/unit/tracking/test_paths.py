from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.tracking.paths import (
    CLICK,
    OPEN,
    TrackedPath,
    click_parameters,
    click_path,
    open_path,
    slot_name,
    tracked_path,
)


@pytest.mark.parametrize(
    "raw",
    [
        "/o/mail~1/you.gif",
        "//o//mail~1//you.gif",
        "/o/mail~1/you.gif/",
        "/o/mail~1/you",
        "/o/mail%7E1/you%2Egif",
        "o/mail~1/you.gif",
    ],
)
def test_the_tokens_are_found_however_the_path_was_bent_on_its_way(raw: str) -> None:
    assert tracked_path(raw, OPEN) == TrackedPath("mail~1", "you")


def test_a_path_without_recipient_still_names_the_link() -> None:
    assert tracked_path("/c/link", CLICK) == TrackedPath("link", "")
    assert tracked_path("/c/link/", CLICK) == TrackedPath("link", "")


@pytest.mark.parametrize("raw", ["", "/", "/o", "/x/a/b", "/o/a/b/c", "/c/a/b", "/o/" + "a" * 16_384])
def test_any_other_path_names_nothing(raw: str) -> None:
    assert tracked_path(raw, OPEN) == TrackedPath("", "")


@given(st.text() | st.text("/%oc.~gifA0", max_size=40))
def test_no_path_breaks_the_reader(raw: str) -> None:
    assert isinstance(tracked_path(raw, OPEN), TrackedPath)


def test_paths_that_we_write_are_paths_that_we_read() -> None:
    assert tracked_path(open_path("a~1", "b"), OPEN) == TrackedPath("a~1", "b")
    assert tracked_path(click_path("a~1", "b"), CLICK) == TrackedPath("a~1", "b")


def test_slots_are_numbered_from_one() -> None:
    assert [slot_name(number) for number in (1, 2)] == ["s1", "s2"]


@pytest.mark.parametrize(
    ("raw", "parameters"),
    [
        ("", {}),
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&a=2", {"a": "1"}),
        ("a=b=c&d", {"a": "b=c", "d": ""}),
        ("a=x+y%20z%2B", {"a": "x y z+"}),
        ("a=1;b=2", {"a": "1;b=2"}),
        ("%61=%FF%", {"a": "\ufffd%"}),
        ("=1&&a=2", {"": "1", "a": "2"}),
        ("a=" + "x" * 16_384, {}),
    ],
)
def test_the_parameters_of_a_click_are_read_as_a_form_means_them(raw: str, parameters: dict[str, str]) -> None:
    read = click_parameters(raw)
    assert read.items() >= parameters.items()
    assert bool(read) == bool(parameters)


def test_no_more_than_a_hundred_parameters_are_read() -> None:
    read = click_parameters("&".join(f"a{number}=1" for number in range(200)))
    assert len(read) == 100
    assert "a99" in read


@given(st.text() | st.text("&=%+s1C3", max_size=40))
def test_no_query_breaks_the_reader(raw: str) -> None:
    assert isinstance(click_parameters(raw), dict)
