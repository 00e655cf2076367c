"""Which version of each block is published, which were before, and which could be: one small document, the manifest.

A version is a block's compiled document, named by its hash and never changed. What the functions were deployed with is
version 0. Publishing and rolling back change numbers in the manifest and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from mailtailor.content.block import Block, Name
from mailtailor.content.template_syntax import did_you_mean
from mailtailor.errors import BadInput, Conflict, NotFound
from mailtailor.instant import Instant

MAX_VERSIONS: Final = 50
"""Of one block that are kept; the oldest go first, but for those that a roll-back could return to."""
MAX_BLOCKS: Final = 500
MAX_STEPS_BACK: Final = 20
MAX_NOTE: Final = 100
"""Characters; the manifest holds the notes of all versions."""
DEPLOYED: Final = 0
"""The version that the functions were deployed with."""

Number = Annotated[int, Field(ge=DEPLOYED, strict=True)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Version(_Entry):
    """One version: its number, the SHA-256 of its document, when it was made, and what for."""

    number: Annotated[int, Field(ge=1, strict=True)]
    sha256: Digest
    at: Instant
    note: Annotated[str, StringConstraints(max_length=MAX_NOTE)] = ""


class History(_Entry):
    """The versions of one block: which is shown, and to which earlier ones, the latest last, a roll-back returns."""

    versions: tuple[Version, ...] = Field(min_length=1, max_length=MAX_VERSIONS)
    published: Number = DEPLOYED
    before: tuple[Number, ...] = Field(default=(), max_length=MAX_STEPS_BACK)

    @model_validator(mode="after")
    def _exists(self) -> History:
        numbers = {version.number for version in self.versions} | {DEPLOYED}
        if len(numbers) != len(self.versions) + 1 or not {self.published, *self.before} <= numbers:
            raise ValueError("a version is missing, or there twice")
        return self

    @property
    def newest(self) -> Version:
        """The version made last: a draft, unless it is published."""
        return self.versions[-1]

    def version(self, number: int) -> Version | None:
        """Return the version of a number, None if there is none, or it is the deployed one."""
        return next((version for version in self.versions if version.number == number), None)


class Manifest(_Entry):
    """All blocks that were ever pushed."""

    format: Literal[1] = 1
    blocks: dict[Name, History] = Field(default_factory=dict, max_length=MAX_BLOCKS)

    def published(self, name: str) -> Version | None:
        """Return the version of a block that is shown, None for the deployed one."""
        history = self.blocks.get(name)
        return history.version(history.published) if history is not None else None

    def pushed(self, name: str, digest: str, at: Instant, *, note: str = "", after: int | None = None) -> Manifest:
        """Return the manifest with a new version of a block; the same if its newest version is this one.

        Parameters
        ----------
        name, digest
            The block, and the SHA-256 of its document.
        at, note
            When, and what for.
        after
            The newest version that whoever pushes knows of; None pushes in any case.

        Raises
        ------
        Conflict
            If there is a newer one that is not this one.
        """
        history = self.blocks.get(name)
        if history is not None and history.newest.sha256 == digest:
            return self
        newest = history.newest.number if history else 0
        if after is not None and after != newest:
            hint = "Look at it, then push again with its number."
            raise Conflict(f"The newest version of {name} is {newest}, not {after}.", hint)
        if history is None and len(self.blocks) >= MAX_BLOCKS:
            raise BadInput(f"There are {MAX_BLOCKS} blocks already.")
        if len(note) > MAX_NOTE:
            raise BadInput(f"The note is longer than {MAX_NOTE} characters.")
        made = Version(number=newest + 1, sha256=digest, at=at, note=note)
        if history is None:
            return self._with(name, History(versions=(made,)))
        return self._with(name, history.model_copy(update={"versions": _kept((*history.versions, made), history)}))

    def shown(self, name: str, number: int | None = None) -> Manifest:
        """Return the manifest with a version of a block published; the newest one if none is named.

        Raises
        ------
        NotFound
            If there is no such version.
        """
        history = self.history(name)
        number = DEPLOYED if number == DEPLOYED else self.version(name, number).number
        if number == history.published:
            return self
        before = (*history.before, history.published)[-MAX_STEPS_BACK:]
        return self._with(name, history.model_copy(update={"published": number, "before": before}))

    def rolled_back(self, name: str) -> Manifest:
        """Return the manifest with the version of a block published that was before this one.

        Raises
        ------
        NotFound
            If there is none.
        """
        history = self.history(name)
        if not history.before:
            raise NotFound(f"Nothing was published before what {name} shows.", "Publish a version by its number.")
        earlier = {"published": history.before[-1], "before": history.before[:-1]}
        return self._with(name, history.model_copy(update=earlier))

    def version(self, name: str, number: int | None = None) -> Version:
        """Return a version that was pushed, the newest if none is named; raise `NotFound` if there is none."""
        history = self.history(name)
        version = history.newest if number is None else history.version(number)
        if version is None:
            kept = f"{history.versions[0].number} to {history.newest.number}"
            raise NotFound(f"The block {name} has no version {number}.", f"Its versions are {kept}, and 0 as deployed.")
        return version

    def history(self, name: str) -> History:
        """Return the versions of a block; raise `NotFound` if none was ever pushed."""
        history = self.blocks.get(name)
        if history is None:
            meant = did_you_mean(name, self.blocks) or "."
            raise NotFound(f"No version of the block {name} was pushed{meant}", "Push it first: mailtailor blocks push")
        return history

    def _with(self, name: str, history: History) -> Manifest:
        return Manifest(blocks={**self.blocks, name: history})


def _kept(versions: tuple[Version, ...], history: History) -> tuple[Version, ...]:
    needed = {history.published, *history.before}
    spare = [version for version in versions[:-1] if version.number not in needed]
    gone = set(spare[: max(0, len(versions) - MAX_VERSIONS)])
    return tuple(version for version in versions if version not in gone)


@dataclass(frozen=True, slots=True)
class Document:
    """A block's compiled document: its bytes, and their SHA-256 by which a version is known."""

    content: bytes
    sha256: str


def document(block: Block) -> Document:
    """Return the document of a block."""
    content = (block.model_dump_json(by_alias=True, exclude_unset=True) + "\n").encode()
    return Document(content, sha256(content).hexdigest())


def read_block(content: bytes, version: Version, name: str) -> Block:
    """Return the block of a version's document.

    Raises
    ------
    BadInput
        If it is not the very document that was approved, or no block of that name.
    """
    if sha256(content).hexdigest() != version.sha256:
        raise BadInput(f"Version {version.number} of the block {name} is not what was published.")
    try:
        block = Block.model_validate_json(content)
    except ValidationError as error:
        raise BadInput(f"Version {version.number} of the block {name} cannot be read.") from error
    if block.name != name:
        raise BadInput(f"Version {version.number} of the block {name} is of the block {block.name}.")
    return block


def read_manifest(content: bytes) -> Manifest:
    """Return the manifest in a document; raise `BadInput` if it is none."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise BadInput("The manifest of blocks cannot be read.") from error
