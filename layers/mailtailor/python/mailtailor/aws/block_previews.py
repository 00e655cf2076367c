"""What previews are made of: profiles, segments, the catalog, and blocks, published or sent along as drafts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from mailtailor.aws import clients, definitions, live_definitions
from mailtailor.aws.block_objects import BlockObjects
from mailtailor.aws.catalog import CatalogObject
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.published_blocks import PublishedBlocks
from mailtailor.content.address import images_at
from mailtailor.content.audience import nobody
from mailtailor.content.block import Block
from mailtailor.content.offer import Offer
from mailtailor.content.preview_request import BlockRequest
from mailtailor.content.render import Renderer
from mailtailor.content.select import Shelf
from mailtailor.content.versions import DEPLOYED
from mailtailor.errors import NotFound
from mailtailor.segments.engine import Engine, Engines
from mailtailor.segments.vocabulary import suggested

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_REFRESH: Final = 5_000
"""Milliseconds after which the manifest is read again: who just published wants to see that."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of functions that look at blocks."""

    profiles_table: str
    catalog_bucket: str
    definitions_table: str
    content_url: str
    refresh_seconds: int = 10


@dataclass(frozen=True, slots=True)
class Stage:
    """One block as somebody would see it, compiled for the engine by which they are evaluated."""

    renderer: Renderer
    engine: Engine
    shelf: Shelf


@dataclass(frozen=True, slots=True)
class Blocks:
    """Where blocks and what they show come from."""

    deployed: Mapping[str, Block]
    published: PublishedBlocks
    objects: BlockObjects
    engines: Engines
    catalog: CatalogObject
    offers: tuple[Offer, ...]
    content_url: str
    clock: Clock

    def drafts(self, name: str, request: BlockRequest) -> dict[str, Block]:
        """Return what takes the place of published blocks: drafts sent along, and the version asked for of a block.

        Raises
        ------
        NotFound
            If there is no such version, or its document is gone.
        BadInput
            If it is not what was pushed.
        """
        if request.version is None:
            return request.drafts_by_name
        return {**request.drafts_by_name, name: self._version(name, request.version)}

    def _version(self, name: str, wanted: int | Literal["newest"]) -> Block:
        if wanted == DEPLOYED and name in self.deployed:
            return self.deployed[name]
        version = self.objects.manifest().version(name, None if wanted == "newest" else wanted)
        return self.objects.block(name, version)

    def stage(self, name: str, drafts: Mapping[str, Block], engine: Engine) -> Stage:
        """Return a block ready to be looked at; a draft takes the place of what is published under its name.

        Raises
        ------
        NotFound
            If there is no such block.
        """
        made: dict[str, Renderer | None] = {}

        def renderer(wanted: str) -> Renderer | None:
            if wanted not in made:
                made[wanted] = self._renderer(wanted, drafts, engine)
            return made[wanted]

        found = renderer(name)
        if found is None:
            known = sorted({*self.deployed, *drafts})
            hint = suggested(name, known) or f"Deployed are {', '.join(known)}."
            raise NotFound("There is no block of this name.", hint)
        return Stage(found, engine, Shelf(self.catalog.value(), self.offers, renderer, images_at(self.content_url)))

    def _renderer(self, name: str, drafts: Mapping[str, Block], engine: Engine) -> Renderer | None:
        if name in drafts:
            return Renderer(drafts[name], engine.audience)
        published = self.published.find(name)
        if published is None:
            return None
        return Renderer(published.renderer.block, engine.audience, published.sha256)


def connect_blocks(settings: Settings, dynamodb: DynamoDBClient) -> Blocks:
    """Return where blocks come from, as the environment names it; they are read when they are asked for."""
    clock, s3 = clock_from_environment(), clients.s3(timeout=2)
    deployed = {block.name: block for block in definitions.blocks()}
    return Blocks(
        deployed=deployed,
        objects=BlockObjects(client=s3, bucket=settings.catalog_bucket),
        published=PublishedBlocks(
            client=s3,
            bucket=settings.catalog_bucket,
            clock=clock,
            refresh=_REFRESH,
            deployed=deployed,
            # Each stage compiles audiences anew, by the engine of whoever is looked at.
            audience=nobody,
        ),
        engines=live_definitions.for_readers(
            dynamodb, settings.definitions_table, refresh_seconds=settings.refresh_seconds, clock=clock
        ),
        catalog=CatalogObject(client=s3, bucket=settings.catalog_bucket, clock=clock),
        offers=definitions.offers().offers,
        content_url=settings.content_url,
        clock=clock,
    )
