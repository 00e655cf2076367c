"""What functions show while somebody publishes, rolls back or breaks something."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from moto import mock_aws

from mailtailor.aws import clients
from mailtailor.aws.block_objects import MANIFEST_KEY, BlockObjects, version_key
from mailtailor.aws.observability import metrics
from mailtailor.aws.published_blocks import PublishedBlocks
from mailtailor.content.audience import nobody
from mailtailor.content.versions import Manifest, document
from mailtailor.errors import BadInput, Unavailable
from mailtailor.instant import SECOND
from tests.unit.content.blocks import block

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REFRESH = 20 * SECOND


@dataclass
class World:
    """A bucket, a clock, and a warm function."""

    s3: S3Client
    now: int = 1_795_000_000_000
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.objects = BlockObjects(self.s3, "catalog")
        self.blocks = self.started()

    def started(self) -> PublishedBlocks:
        client = clients.s3()
        client.meta.events.register("before-call", lambda model, **_: self.calls.append(model.name))
        return PublishedBlocks(
            client=client,
            bucket="catalog",
            clock=lambda: self.now,
            refresh=REFRESH,
            deployed={"hero": block("deployed")},
            audience=nobody,
        )

    def push(self, template: str, *, publish: bool = True) -> None:
        made = document(block(template))
        self.objects.add("hero", made)
        self.objects.change(lambda manifest: manifest.pushed("hero", made.sha256, self.now))
        if publish:
            self.objects.change(lambda manifest: manifest.shown("hero"))

    def later(self) -> str:
        self.now += REFRESH
        return self.shown()

    def shown(self, blocks: PublishedBlocks | None = None) -> str:
        found = (blocks or self.blocks).find("hero")
        assert found is not None
        return found.renderer.block.variants[0].template


@pytest.fixture
def world() -> Iterator[World]:
    clients._session.cache_clear()
    metrics.clear_metrics()
    with mock_aws():
        s3 = clients.s3()
        s3.create_bucket(Bucket="catalog", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield World(s3)
    clients._session.cache_clear()


def test_until_something_is_pushed_blocks_are_as_deployed(world: World) -> None:
    assert world.shown() == "deployed"
    assert world.blocks.find("other") is None
    assert (found := world.blocks.find("hero")) is not None
    assert found.version == 0


def test_publishing_and_rolling_back_are_seen_when_the_manifest_is_read_again(world: World) -> None:
    assert world.shown() == "deployed"

    world.push("first")
    assert world.shown() == "deployed"
    assert world.later() == "first"

    world.push("second")
    assert world.later() == "second"

    world.objects.change(lambda manifest: manifest.rolled_back("hero"))
    assert world.later() == "first"

    world.objects.change(lambda manifest: manifest.rolled_back("hero"))
    assert world.later() == "deployed"


def test_a_draft_is_shown_to_nobody(world: World) -> None:
    world.push("draft", publish=False)

    assert world.later() == "deployed"


def test_a_block_that_no_deployment_knows_is_shown_once_published(world: World) -> None:
    # given
    made = block("new").model_copy(update={"name": "extra"})
    world.objects.add("extra", document(made))

    # when
    world.objects.change(lambda manifest: manifest.pushed("extra", document(made).sha256, 1).shown("extra"))

    # then
    world.now += REFRESH
    assert (found := world.blocks.find("extra")) is not None
    assert (found.version, found.sha256) == (1, document(made).sha256)


def test_an_unchanged_manifest_costs_one_request_and_a_warm_function_none(world: World) -> None:
    # given
    world.push("first")
    assert world.later() == "first"
    world.calls.clear()

    # then
    assert world.shown() == "first"
    assert world.calls == []
    assert world.later() == "first"
    assert world.calls == ["GetObject"]


@pytest.mark.parametrize("broken", [b"", b"{not json", b'{"blocks": 7}', b"\xff"])
def test_a_corrupt_manifest_is_refused_counted_and_leaves_the_good_copy(world: World, broken: bytes) -> None:
    # given
    world.push("first")
    assert world.later() == "first"

    # when
    world.s3.put_object(Bucket="catalog", Key=MANIFEST_KEY, Body=broken)

    # then
    assert world.later() == "first"
    assert world.shown(world.started()) == "deployed"
    assert "BlocksRefused" in metrics.metric_set


@pytest.mark.parametrize("damage", ["changed", "missing", "of another block"])
def test_a_version_that_is_not_what_was_approved_is_refused(world: World, damage: str) -> None:
    # given a version whose object is not what its hash says
    world.push("first")
    assert world.later() == "first"
    world.push("second")
    version = world.objects.manifest().blocks["hero"].newest
    key = version_key("hero", version)
    if damage == "missing":
        world.s3.delete_object(Bucket="catalog", Key=key)
    else:
        other = block("evil") if damage == "changed" else block("evil").model_copy(update={"name": "other"})
        world.s3.put_object(Bucket="catalog", Key=key, Body=document(other).content)

    # then a warm function stays, a new one begins as deployed
    assert world.later() == "first"
    assert world.shown(world.started()) == "deployed"
    assert "BlocksRefused" in metrics.metric_set


def test_a_refused_version_is_not_asked_for_at_every_fetch(world: World) -> None:
    # given
    world.push("first")
    world.s3.delete_object(Bucket="catalog", Key=version_key("hero", world.objects.manifest().blocks["hero"].newest))
    world.later()
    world.calls.clear()

    # then
    assert world.shown() == "deployed"
    assert world.calls == []


def test_a_bucket_that_is_down_leaves_the_good_copy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    world.push("first")
    assert world.later() == "first"

    # when
    def down(**_: object) -> Any:
        raise OSError("no route to host")

    monkeypatch.setattr(world.blocks._client, "get_object", down)

    # then
    assert world.later() == "first"


def test_a_clock_that_is_set_back_keeps_no_old_copy(world: World) -> None:
    # given
    assert world.shown() == "deployed"
    world.push("first")

    # when
    world.now -= 1_000 * SECOND

    # then
    assert world.shown() == "first"


def test_a_version_is_written_once_and_never_over_another(world: World) -> None:
    # given
    made = document(block("first"))
    world.objects.add("hero", made)

    # when the same comes again
    world.objects.add("hero", made)

    # then
    key = f"blocks/versions/hero/{made.sha256}.json"
    listed = world.s3.list_objects_v2(Bucket="catalog", Prefix="blocks/versions/")
    assert [one["Key"] for one in listed["Contents"]] == [key]


def test_a_change_of_the_manifest_in_between_is_not_lost(world: World) -> None:
    # given somebody who pushes another block just when this change is made
    world.push("first", publish=False)
    meddled: list[int] = []

    def publish(manifest: Manifest) -> Manifest:
        if not meddled:
            meddled.append(1)
            world.objects.change(lambda other: other.pushed("extra", "a" * 64, 1))
        return manifest.shown("hero")

    # when
    changed = world.objects.change(publish)

    # then
    assert changed.blocks["hero"].published == 1
    assert set(world.objects.manifest().blocks) == {"hero", "extra"}


def test_a_change_that_was_stored_though_its_answer_was_lost_is_made_once(world: World) -> None:
    # given two versions, of which the second is shown, and a client that has to write everything twice
    world.push("first")
    world.push("second")
    put = world.s3.put_object

    def twice(**what: Any) -> Any:
        put(**what)
        return put(**what)

    objects = BlockObjects(
        cast("S3Client", SimpleNamespace(get_object=world.s3.get_object, put_object=twice)), "catalog"
    )

    # when
    rolled_back = objects.roll_back("hero")
    pushed = objects.push([block("third")], world.now, after=2)

    # then
    assert rolled_back.history("hero").published == 1
    assert world.objects.manifest() == pushed
    assert (pushed.history("hero").published, pushed.history("hero").newest.number) == (1, 3)


def test_what_functions_would_not_read_is_not_kept(world: World) -> None:
    large = block("x").model_copy(update={"parts": {f"p{number}": "ü" * 64_000 for number in range(40)}})

    with pytest.raises(BadInput, match="larger than 4 MB"):
        world.objects.push([large], world.now, publish=True)

    assert world.objects.manifest() == Manifest()


def test_whoever_is_overtaken_again_and_again_is_told(world: World) -> None:
    def overtaken(manifest: Manifest) -> Manifest:
        world.push(f"{len(manifest.blocks['hero'].versions) if manifest.blocks else 0}", publish=False)
        return manifest.pushed("other", "b" * 64, 1)

    with pytest.raises(Unavailable, match="Somebody else"):
        world.objects.change(overtaken)


def test_what_is_at_hand_was_found_before_or_deployed_and_costs_no_read(world: World) -> None:
    # given
    world.push("first")
    fresh = world.started()

    # then
    world.calls.clear()
    assert (deployed := fresh.at_hand("hero")) is not None
    assert deployed.version == 0
    assert fresh.at_hand("other") is None
    assert world.calls == []

    # when
    world.shown(fresh)
    world.calls.clear()

    # then
    assert (found := fresh.at_hand("hero")) is not None
    assert (found.version, found.renderer.version) == (1, found.sha256)
    assert world.calls == []


def test_it_is_known_that_there_is_no_other_once_the_manifest_was_read(world: World) -> None:
    # given a manifest that cannot be read
    world.s3.put_object(Bucket="catalog", Key=MANIFEST_KEY, Body=b"{")
    fresh = world.started()
    assert fresh.find("other") is None
    assert fresh.may_have("other")

    # when
    world.s3.delete_object(Bucket="catalog", Key=MANIFEST_KEY)
    world.now += REFRESH

    # then
    assert fresh.find("other") is None
    assert not fresh.may_have("other")


def test_a_block_that_is_published_and_cannot_be_read_is_none_that_there_is_not(world: World) -> None:
    # given one that no deployment knows
    world.objects.change(lambda manifest: manifest.pushed("extra", "a" * 64, 1).shown("extra"))

    # then
    assert world.blocks.find("extra") is None
    assert world.blocks.may_have("extra")
