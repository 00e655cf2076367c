"""What some people at random would see in a block, each by the definitions that rule for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mailtailor.aws.block_previews import Blocks, Stage
from mailtailor.aws.profile_sample import ProfileSample
from mailtailor.content.block import Block
from mailtailor.content.coverage import Coverage, generic
from mailtailor.content.preview import read_settings, served_to
from mailtailor.content.preview_request import CoverageRequest
from mailtailor.content.render import Format


@dataclass(frozen=True, slots=True)
class Covered:
    """What those of one part of the profiles would see in a block, and whether they are all who are in it."""

    block: Block
    found: Coverage
    whole: bool

    def payload(self) -> dict[str, Any]:
        """Return this as JSON."""
        return {
            "block": self.block.name,
            "variants": [variant.name for variant in self.block.variants],
            "generic": generic(self.block),
            "whole": self.whole,
            **self.found.payload(),
        }


def cover(name: str, request: CoverageRequest, blocks: Blocks, profiles: ProfileSample) -> Covered:
    """Return what those whom a request asks about would see in the block of a name.

    Raises
    ------
    MailtailorError
        If there is no such block or version, or what is set cannot be; nobody was looked at then.
    """
    at, drafts = request.instant(blocks.clock()), blocks.drafts(name, request)
    stage = blocks.stage(name, drafts, blocks.engines.of())
    fetch = read_settings(stage.renderer.block, request.set, Format.HTML)
    stages: dict[str, Stage] = {stage.engine.fingerprint: stage}
    sample, found = profiles.read(request.part, limit=request.limit), Coverage()
    for each in sample.profiles:
        if each.error is not None:
            found.unreadable += 1
            continue
        engine = blocks.engines.of(each.profile.definitions)
        if engine.fingerprint not in stages:
            stages[engine.fingerprint] = blocks.stage(name, drafts, engine)
        own = stages[engine.fingerprint]
        found.add(served_to(each.profile, own.renderer, fetch, at, engine=engine, shelf=own.shelf))
    return Covered(stage.renderer.block, found, sample.whole)
