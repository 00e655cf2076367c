"""Publishing and rolling back: what the manifest says afterwards."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.content.versions import (
    MAX_STEPS_BACK,
    MAX_VERSIONS,
    Manifest,
    Version,
    document,
    read_block,
    read_manifest,
)
from mailtailor.errors import BadInput, Conflict, MailtailorError, NotFound
from tests.unit.content.blocks import block

NOW = 1_795_000_000_000


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def pushed(*texts: str, manifest: Manifest | None = None) -> Manifest:
    manifest = manifest or Manifest()
    for text in texts:
        manifest = manifest.pushed("hero", digest(text), NOW)
    return manifest


def test_a_version_that_is_pushed_is_a_draft_until_it_is_published() -> None:
    # given
    manifest = pushed("a")
    assert manifest.published("hero") is None

    # when
    manifest = manifest.shown("hero")

    # then
    assert manifest.published("hero") == Version(number=1, sha256=digest("a"), at=NOW)


def test_the_same_content_again_is_no_new_version() -> None:
    assert pushed("a", "a") == pushed("a")


def test_a_roll_back_returns_to_what_was_published_before_step_by_step_to_what_was_deployed() -> None:
    # given
    manifest = pushed("b", "c", manifest=pushed("a").shown("hero")).shown("hero")
    assert [one.number for one in (manifest.published("hero"),) if one] == [3]

    # when
    once = manifest.rolled_back("hero")
    twice = once.rolled_back("hero")

    # then
    assert [one.number for one in (once.published("hero"),) if one] == [1]
    assert twice.published("hero") is None
    with pytest.raises(NotFound, match="Nothing was published before"):
        twice.rolled_back("hero")


def test_an_older_version_and_the_deployed_one_can_be_published_by_number() -> None:
    manifest = pushed("a", "b").shown("hero").shown("hero", 1)

    assert manifest.blocks["hero"].published == 1
    assert manifest.shown("hero", 0).published("hero") is None


@pytest.mark.parametrize("number", [3, -1])
def test_a_version_that_there_is_not_cannot_be_published(number: int) -> None:
    with pytest.raises(NotFound, match="no version"):
        pushed("a", "b").shown("hero", number)


def test_a_block_that_was_never_pushed_can_neither_be_published_nor_rolled_back() -> None:
    for change in (Manifest().shown, Manifest().rolled_back):
        with pytest.raises(NotFound, match="was pushed"):
            change("hero")


def test_whoever_knows_of_an_older_version_only_overwrites_nothing() -> None:
    with pytest.raises(Conflict, match="is 2, not 1"):
        pushed("a", "b").pushed("hero", digest("c"), NOW, after=1)
    assert pushed("a", "b").pushed("hero", digest("c"), NOW, after=2).blocks["hero"].newest.number == 3


def test_whoever_pushes_again_because_no_answer_came_is_told_what_was_stored() -> None:
    stored = pushed("a").pushed("hero", digest("b"), NOW, after=1)

    assert stored.pushed("hero", digest("b"), NOW, after=1) == stored


def changed(manifest: Manifest, step: str, text: str) -> Manifest:
    match step:
        case "push":
            return pushed(text, manifest=manifest)
        case "publish":
            return manifest.shown("hero")
        case "first":
            return manifest.shown("hero", manifest.blocks["hero"].versions[0].number)
    return manifest.rolled_back("hero")


@given(st.lists(st.sampled_from(["push", "publish", "first", "back"]), max_size=150))
def test_whatever_is_done_what_is_shown_and_what_was_before_stay_readable(steps: list[str]) -> None:
    # given
    manifest = pushed("start")

    # when
    for index, step in enumerate(steps):
        with suppress(MailtailorError):
            manifest = changed(manifest, step, str(index))

        # then
        history = manifest.blocks["hero"]
        assert len(history.versions) <= MAX_VERSIONS
        assert len(history.before) <= MAX_STEPS_BACK
        assert read_manifest(manifest.model_dump_json().encode()) == manifest
        numbers = [version.number for version in history.versions]
        assert numbers == sorted(set(numbers))


def test_only_the_very_document_that_was_approved_is_read() -> None:
    # given
    made = block("<p>{{ recipient.first_name }}</p>")
    written = document(made)
    version = Version(number=1, sha256=written.sha256, at=NOW)

    # then
    assert read_block(written.content, version, "hero") == made
    for content in (written.content + b" ", b"", b"{}", written.content.replace(b"<p>", b"<b>")):
        with pytest.raises(BadInput, match="not what was published"):
            read_block(content, version, "hero")


def test_a_document_of_another_block_is_not_shown_under_its_name() -> None:
    written = document(block("<p>x</p>"))

    with pytest.raises(BadInput, match="of the block hero"):
        read_block(written.content, Version(number=1, sha256=written.sha256, at=NOW), "other")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}{}",
        b'{"format": 2}',
        b'{"blocks": {"hero": {"versions": []}}}',
        b'{"blocks": {"hero": {"versions": [{"number": 1, "sha256": "x", "at": 1}]}}}',
        b'{"blocks": {"hero": {"published": 2, "versions": [{"number": 1, "sha256": "%s", "at": 1}]}}}' % (b"a" * 64),
        b'{"blocks": {"../hero": {"versions": [{"number": 1, "sha256": "%s", "at": 1}]}}}' % (b"a" * 64),
        b"[" * 100_000,
    ],
)
def test_a_corrupt_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput):
        read_manifest(content)
