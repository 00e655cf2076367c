"""Where the versions of blocks lie in the catalog bucket, and how they are written: never over one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from mailtailor.content.block import Block
from mailtailor.content.versions import Document, Manifest, Version, document, read_block, read_manifest
from mailtailor.errors import BadInput, NotFound, Unavailable
from mailtailor.instant import Instant

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX: Final = "blocks/"
MANIFEST_KEY: Final = f"{PREFIX}manifest.json"
MAX_BYTES: Final = 4_000_000
"""Of the manifest or a version; nothing larger is written, and nothing larger read."""
ATTEMPTS: Final = 5
"""At a change of the manifest, when others change it too."""
_MISSING: Final = 404
_CHANGED: Final = frozenset({404, 409, 412})
"""Answers to a conditional write when the object is not as it was read (AWS, "Conditional writes")."""


def version_key(name: str, version: Version) -> str:
    """Return the key of a version's document."""
    return f"{PREFIX}versions/{name}/{version.sha256}.json"


def status(error: ClientError) -> int:
    """Return the HTTP status of S3's answer."""
    code: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code


@dataclass(frozen=True, slots=True)
class BlockObjects:
    """The manifest and the versions in a bucket, for whoever changes them.

    Parameters
    ----------
    client
        S3.
    bucket
        The catalog bucket.
    """

    client: S3Client
    bucket: str

    def manifest(self) -> Manifest:
        """Return the manifest as it stands."""
        return self._read()[0]

    def add(self, name: str, document: Document) -> None:
        """Keep a version's document. The same one again changes nothing: its key is its hash.

        Raises
        ------
        BadInput
            If it is larger than functions read.
        """
        if len(document.content) > MAX_BYTES:
            raise BadInput(f"The block {name} is larger than {MAX_BYTES // 1_000_000} MB, compiled.")
        version = Version(number=1, sha256=document.sha256, at=0)
        try:
            self.client.put_object(
                Bucket=self.bucket,
                Key=version_key(name, version),
                Body=document.content,
                ContentType="application/json",
                IfNoneMatch="*",
            )
        except ClientError as error:
            if status(error) != 412:
                raise

    def push(
        self, blocks: Iterable[Block], at: Instant, *, note: str = "", after: int | None = None, publish: bool = False
    ) -> Manifest:
        """Keep blocks as new versions, publish them if asked to, and return the manifest: all of them, or none.

        Parameters
        ----------
        blocks
            Compiled and checked. One that is as its newest version is adds none.
        at, note
            When, and what for.
        after
            The newest version that whoever pushes knows of; None pushes in any case.
        publish
            Whether they are shown from now on.

        Raises
        ------
        BadInput
            If a block is too large.
        Conflict
            If there is a newer version than `after`.
        Unavailable
            If others change the manifest again and again.
        """
        documents = {block.name: document(block) for block in blocks}
        for name, made in documents.items():
            self.add(name, made)

        def pushed(manifest: Manifest) -> Manifest:
            for name, made in documents.items():
                manifest = manifest.pushed(name, made.sha256, at, note=note, after=after)
                manifest = manifest.shown(name) if publish else manifest
            return manifest

        return self.change(pushed)

    def publish(self, name: str, number: int | None = None) -> Manifest:
        """Publish a version of a block, the newest if none is named, and return the manifest.

        Raises
        ------
        NotFound
            If there is no such version, or its document is gone.
        BadInput
            If its document is not what was pushed.
        Unavailable
            If others change the manifest again and again.
        """
        return self.change(lambda manifest: self._with_readable(name, manifest.shown(name, number)))

    def roll_back(self, name: str) -> Manifest:
        """Publish again what a block showed before, and return the manifest; raises as `publish` does."""
        return self.change(lambda manifest: self._with_readable(name, manifest.rolled_back(name)))

    def _with_readable(self, name: str, manifest: Manifest) -> Manifest:
        """Return the manifest if what it shows of a block can be read: functions would refuse it."""
        if (version := manifest.published(name)) is not None:
            self.block(name, version)
        return manifest

    def block(self, name: str, version: Version) -> Block:
        """Return the block of a version.

        Raises
        ------
        NotFound
            If its document is gone.
        BadInput
            If it is not what was pushed.
        """
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=version_key(name, version))
        except ClientError as error:
            if status(error) != _MISSING:
                raise
            hint = "Push the block again."
            raise NotFound(f"The document of version {version.number} of the block {name} is gone.", hint) from error
        return read_block(answer["Body"].read(), version, name)

    def change(self, changed: Callable[[Manifest], Manifest]) -> Manifest:
        """Change the manifest and return it; whatever others changed meanwhile is kept.

        Raises
        ------
        MailtailorError
            As `changed` does.
        Unavailable
            If others change it again and again.
        """
        wanted = None
        for _ in range(ATTEMPTS):
            manifest, etag = self._read()
            if manifest == wanted:
                return manifest  # it was stored, but the answer was lost, and the client's second try found it changed
            wanted = changed(manifest)
            if wanted == manifest or self._put(wanted, etag):
                return wanted
        raise Unavailable("Somebody else is changing blocks.", "Try again in a moment.")

    def _read(self) -> tuple[Manifest, str]:
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=MANIFEST_KEY)
        except ClientError as error:
            if status(error) != _MISSING:
                raise
            return Manifest(), ""
        return read_manifest(answer["Body"].read()), answer["ETag"]

    def _put(self, manifest: Manifest, etag: str) -> bool:
        body = (manifest.model_dump_json() + "\n").encode()
        if len(body) > MAX_BYTES:
            raise BadInput("There are too many versions with too long notes.", "Push with a shorter note.")
        try:
            if etag:
                self.client.put_object(
                    Bucket=self.bucket, Key=MANIFEST_KEY, Body=body, ContentType="application/json", IfMatch=etag
                )
            else:
                self.client.put_object(
                    Bucket=self.bucket, Key=MANIFEST_KEY, Body=body, ContentType="application/json", IfNoneMatch="*"
                )
        except ClientError as error:
            if status(error) in _CHANGED:
                return False
            raise
        return True
