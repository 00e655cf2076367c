"""`mailtailor blocks check`, `push`, `publish`, `rollback`, `list`, `versions`: from files to what functions show."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from moto import mock_aws
from typer.testing import CliRunner

from mailtailor.aws import clients
from mailtailor.aws.block_objects import BlockObjects, version_key
from mailtailor.aws.published_blocks import PublishedBlocks
from mailtailor.content.audience import nobody
from mailtailor.instant import SECOND
from mailtailor_cli import block_versions
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REFRESH: Final = 20 * SECOND
BLOCK: Final = """name: {name}
description: A block.
variants:
  - name: all
    template: all.html.j2
fallback: nothing
"""


@dataclass
class World:
    """A system with a catalog bucket, a directory of blocks, and a warm function that shows them."""

    s3: S3Client
    directory: Path
    now: int = 1_795_000_000_000

    def __post_init__(self) -> None:
        self.objects = BlockObjects(self.s3, "catalog")
        self.blocks = PublishedBlocks(
            client=self.s3,
            bucket="catalog",
            clock=lambda: self.now,
            refresh=REFRESH,
            deployed={},
            audience=nobody,
        )

    def write(self, name: str, template: str, definition: str = BLOCK) -> Path:
        folder = self.directory / name
        folder.mkdir(exist_ok=True)
        (folder / "block.yaml").write_text(definition.format(name=name))
        (folder / "all.html.j2").write_text(template)
        return folder

    def shown(self, name: str) -> str | None:
        """Return the template that functions show once the manifest is read again."""
        self.now += REFRESH
        found = self.blocks.find(name)
        return found.renderer.block.variants[0].template if found else None

    def run(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, ["blocks", *arguments])
        assert result.exit_code == 0, f"{result.output}{result.exception!r}"
        return result.output

    def refused(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, ["blocks", *arguments])
        assert result.exit_code != 0, result.output
        return f"{result.output}{result.exception}"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("COLUMNS", "140")
    clients._session.cache_clear()
    with mock_aws():
        s3 = clients.s3()
        s3.create_bucket(Bucket="catalog", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        made = World(s3, tmp_path)
        settings = {"region_name": "eu-central-1"}
        running = Connection("the test system", {"CatalogBucket": "catalog"}, settings, clock=lambda: made.now)
        monkeypatch.setattr(block_versions, "connect", lambda _where: running)
        yield made
    clients._session.cache_clear()


def test_a_pushed_block_is_a_draft_until_it_is_published_and_rolled_back_to_what_was_before(world: World) -> None:
    # given
    folder = world.write("sale", "<p>first</p>")
    assert "sale is pushed as version 1" in world.run("push", str(folder))
    assert world.shown("sale") is None

    # when
    world.run("publish", "sale")
    assert world.shown("sale") == "<p>first</p>"
    world.write("sale", "<p>second</p>")
    world.run("push", str(folder), "--publish", "--note", "The second try")

    # then
    assert world.shown("sale") == "<p>second</p>"
    listed = world.run("versions", "sale")
    assert "The second try" in listed
    assert listed.index("shown") < listed.index("shown before")
    assert "version 2" in world.run("list")

    # and
    assert "sale shows version 1" in world.run("rollback", "sale")
    assert world.shown("sale") == "<p>first</p>"
    world.run("publish", "sale", "--version", "2")
    assert world.shown("sale") == "<p>second</p>"


def test_a_directory_of_blocks_is_published_whole_or_not_at_all(world: World) -> None:
    # given
    world.write("sale", "<p>x</p>")
    world.write("footer", "<p>\n{{ ofer.text }}</p>")

    # when
    said = world.refused("push", str(world.directory), "--publish")

    # then nothing was sent
    assert "footer/all.html.j2:2: " in said
    assert "did you mean 'offer'?" in said
    assert "Contents" not in world.s3.list_objects_v2(Bucket="catalog")


def test_every_error_of_every_block_is_told_before_anything_is_sent(world: World) -> None:
    # given
    world.write("sale", '<p>x</p>\n<img src="https://shop.example/a.png">')
    world.write("footer", '<a href="http://shop.example">The shop</a>')

    # when
    said = world.refused("push", str(world.directory))

    # then
    assert "sale/all.html.j2:2: error: <img> without alt" in said
    assert "footer/all.html.j2:1: error: the link is not encrypted" in said
    assert "2 errors stand in the way" in said
    assert world.objects.manifest().blocks == {}


def test_the_same_block_again_is_no_new_version(world: World) -> None:
    folder = world.write("sale", "<p>first</p>")
    world.run("push", str(folder))

    assert "sale is unchanged since version 1" in world.run("push", str(folder), "--publish")
    assert world.shown("sale") == "<p>first</p>"
    assert len(world.objects.manifest().history("sale").versions) == 1


def test_whoever_names_the_version_they_know_overwrites_nobodys_work(world: World) -> None:
    # given
    folder = world.write("sale", "<p>first</p>")
    world.run("push", str(folder), "--after", "0")
    world.write("sale", "<p>of somebody else</p>")
    world.run("push", str(folder), "--after", "1")

    # when
    world.write("sale", "<p>late</p>")
    said = world.refused("push", str(folder), "--after", "1", "--publish")

    # then
    assert "The newest version of sale is 2, not 1." in said
    assert world.objects.manifest().history("sale").published == 0


def test_a_block_may_hold_one_that_is_pushed_with_it_or_was_before(world: World) -> None:
    # given
    holding = BLOCK + "blocks: {{below: {{block: footer}}}}\n"
    inner = world.write("footer", "<p>below</p>")
    outer = world.write("sale", '{{ block("below") }}', holding)
    said = world.refused("push", str(outer))
    assert "sale/block.yaml:7: there is no block 'footer'" in said

    # then
    assert "In order: footer, sale." in world.run("check", str(world.directory))
    assert "In order: sale." in world.run("check", str(outer))
    world.run("push", str(inner), "--publish")
    world.run("push", str(outer))
    assert world.objects.manifest().history("sale").newest.number == 1


def test_an_audience_that_nobody_knows_is_refused(world: World) -> None:
    definition = BLOCK.replace("    template", "    audience: [high_engagment]\n    template")
    folder = world.write("sale", "<p>x</p>", definition)

    said = world.refused("push", str(folder))

    assert "sale/block.yaml:5: there is no segment 'high_engagment'; did you mean 'high_engagement'?" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("publish", "sael"), "No version of the block sael was pushed; did you mean 'sale'?"),
        (("publish", "sale", "--version", "9"), "The block sale has no version 9. Its versions are 1 to 1"),
        (("rollback", "sale"), "Nothing was published before what sale shows."),
        (("versions", "other"), "No version of the block other was pushed."),
        (("push", "SALE", "--note", "x" * 101), "The note is longer than 100 characters."),
        (("push", "NOWHERE"), "There is no block in"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(world: World, arguments: tuple[str, ...], said: str) -> None:
    folder = world.write("sale", "<p>first</p>")
    world.run("push", str(folder))
    world.write("sale", "<p>second</p>")
    places = {"SALE": str(folder), "NOWHERE": str(folder.parent / "sal")}

    assert said in world.refused(*(places.get(one, one) for one in arguments))
    assert world.shown("sale") is None


def test_a_version_that_is_not_what_was_pushed_is_not_published(world: World) -> None:
    # given
    world.run("push", str(world.write("sale", "<p>first</p>")))
    key = version_key("sale", world.objects.manifest().history("sale").newest)

    # then: somebody wrote into it
    world.s3.put_object(Bucket="catalog", Key=key, Body=b"{}")
    assert "Version 1 of the block sale is not what was published." in world.refused("publish", "sale")
    # and: somebody deleted it
    world.s3.delete_object(Bucket="catalog", Key=key)
    assert "The document of version 1 of the block sale is gone." in world.refused("publish", "sale")
    assert world.objects.manifest().history("sale").published == 0


def test_checking_says_what_to_think_about_and_needs_no_system(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.delattr(block_versions, "connect")
    folder = world.write("sale", '<div style="display:flex">x</div>')

    # then
    said = world.run("check", str(folder))
    assert "sale/all.html.j2:1: warning: display:flex: not in Outlook (Windows)" in said
    assert "In order: sale." in said


@pytest.mark.parametrize("place", [".", "variants/.."])
def test_the_block_of_the_directory_one_is_in_can_be_checked(
    world: World, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    # given
    folder = world.write("sale", "<p>x</p>")
    (folder / "variants").mkdir()
    monkeypatch.chdir(folder)

    # then
    assert "In order: sale." in world.run("check", place)


def test_the_blocks_of_the_repository_are_in_order(world: World) -> None:
    assert "In order: " in world.run("check")


def test_without_any_block_pushed_there_is_nothing_to_list(world: World) -> None:
    shutil.rmtree(world.directory)

    assert "No block was ever pushed" in world.run("list")
