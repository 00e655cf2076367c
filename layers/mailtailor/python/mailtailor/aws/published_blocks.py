"""The blocks as they are published, kept in memory: the layer's, and over them what the manifest names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from mailtailor.aws.block_objects import MANIFEST_KEY, MAX_BYTES, status, version_key
from mailtailor.aws.observability import count, logger
from mailtailor.content.audience import RuleOf
from mailtailor.content.block import Block
from mailtailor.content.render import Renderer
from mailtailor.content.versions import DEPLOYED, Manifest, Version, document, read_block, read_manifest
from mailtailor.instant import SECOND, Instant

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from mailtailor.aws.clock import Clock

RETRY_AFTER: Final = 10 * SECOND
"""After a failure; sooner would spend each fetch's time budget on an S3 that is down."""


@dataclass(frozen=True, slots=True)
class Published:
    """A block as it is shown: its renderer, and which version it is (0 as deployed), by number and hash."""

    renderer: Renderer
    version: int
    sha256: str


class PublishedBlocks:
    """Finds the version of each block that is published.

    Parameters
    ----------
    client
        S3.
    bucket
        The catalog bucket.
    clock
        Decides when the manifest is read again.
    refresh
        Milliseconds after which it is: so long a roll-back takes at most.
    deployed
        The blocks that came with the function.
    audience
        Compiles audiences.
    """

    def __init__(
        self,
        *,
        client: S3Client,
        bucket: str,
        clock: Clock,
        refresh: int,
        deployed: Mapping[str, Block],
        audience: RuleOf,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._clock = clock
        self._refresh = refresh
        self._deployed = deployed
        self._audience = audience
        self._manifest = Manifest()
        self._etag = ""
        self._read_again_at: Instant = 0
        self._shown: dict[str, Published] = {}
        self._retry_at: dict[str, Instant] = {}
        self._complete = False

    def may_have(self, name: str) -> bool:
        """Return whether there may be a block that was not found: it is published, or nobody could read what is."""
        return not self._complete or self._manifest.published(name) is not None

    def at_hand(self, name: str) -> Published | None:
        """Return a block as it was found last, else as deployed, None if there is none of that name; reads nothing."""
        return self._shown.get(name) or self._as_deployed(name, None)

    def find(self, name: str) -> Published | None:
        """Return a block as it is published, None if there is none of that name.

        Never raises: what cannot be read or is not what was approved is refused, counted as `BlocksRefused` and
        logged, and the good copy from before serves; before there is any, the deployed one.
        """
        now = self._clock()
        self._read_manifest(now)
        wanted, shown = self._manifest.published(name), self._shown.get(name)
        if wanted is None:
            return self._as_deployed(name, shown)
        if shown is not None and shown.sha256 == wanted.sha256:
            return shown
        if now < self._retry_at.get(name, 0) <= now + RETRY_AFTER:
            return shown or self._as_deployed(name, shown)
        try:
            block = self._read_version(name, wanted)
            fresh = Published(Renderer(block, self._audience, wanted.sha256), wanted.number, wanted.sha256)
        except Exception:  # noqa: BLE001 - whatever S3 or the document does, the mail goes out
            self._refuse("version", block=name, version=wanted.number)
            self._retry_at[name] = now + RETRY_AFTER
            return shown or self._as_deployed(name, shown)
        self._shown[name] = fresh
        return fresh

    def _as_deployed(self, name: str, shown: Published | None) -> Published | None:
        if shown is not None and shown.version == DEPLOYED:
            return shown
        block = self._deployed.get(name)
        if block is None:
            return None
        sha256 = document(block).sha256
        deployed = Published(Renderer(block, self._audience, sha256), DEPLOYED, sha256)
        self._shown[name] = deployed
        return deployed

    def _read_manifest(self, now: Instant) -> None:
        # A clock that was set back (the demonstration's can be) must not keep an old copy for longer.
        if self._read_again_at - self._refresh <= now < self._read_again_at:
            return
        self._read_again_at = now + self._refresh
        try:
            answer = (
                self._client.get_object(Bucket=self._bucket, Key=MANIFEST_KEY, IfNoneMatch=self._etag)
                if self._etag
                else self._client.get_object(Bucket=self._bucket, Key=MANIFEST_KEY)
            )
            self._manifest, self._etag = read_manifest(answer["Body"].read(MAX_BYTES)), answer["ETag"]
            self._complete = True
        except ClientError as error:
            if status(error) == 404 and not self._etag:
                self._complete = True
                return  # nothing was ever pushed
            if status(error) != 304:
                self._refuse("manifest")
        except Exception:  # noqa: BLE001 - as above
            self._refuse("manifest")

    def _read_version(self, name: str, version: Version) -> Block:
        answer = self._client.get_object(Bucket=self._bucket, Key=version_key(name, version))
        return read_block(answer["Body"].read(MAX_BYTES), version, name)

    def _refuse(self, what: str, **known: object) -> None:
        count("BlocksRefused", reason=what)
        logger.warning("Published blocks could not be read; the copy from before serves.", extra=known, exc_info=True)
