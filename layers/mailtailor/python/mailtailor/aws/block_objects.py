"""Where the versions of blocks lie in the catalog bucket, and how they are written: never over one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from mailtailor.content.versions import Document, Manifest, Version, read_manifest
from mailtailor.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX: Final = "blocks/"
MANIFEST_KEY: Final = f"{PREFIX}manifest.json"
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
        """Keep a version's document. The same one again changes nothing: its key is its hash."""
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

    def content(self, name: str, version: Version) -> bytes:
        """Return a version's document."""
        return self.client.get_object(Bucket=self.bucket, Key=version_key(name, version))["Body"].read()

    def change(self, changed: Callable[[Manifest], Manifest]) -> Manifest:
        """Change the manifest and return it; whatever others changed meanwhile is kept.

        Raises
        ------
        MailtailorError
            As `changed` does.
        Unavailable
            If others change it again and again.
        """
        for _ in range(ATTEMPTS):
            manifest, etag = self._read()
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
