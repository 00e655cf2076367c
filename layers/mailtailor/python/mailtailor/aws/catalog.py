"""The catalog object in S3, kept in memory and asked for again with its ETag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from mailtailor.aws.observability import count, logger
from mailtailor.content.catalog import Catalog, parse
from mailtailor.instant import MINUTE, Instant

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from mailtailor.aws.clock import Clock

KEY: Final = "catalog.json"
MAX_AGE: Final = 5 * MINUTE
RETRY_AFTER: Final = MINUTE // 6
"""After a failure; sooner would spend each fetch's time budget on an S3 that is down."""


class CatalogObject:
    """The catalog as it stands in a bucket.

    Parameters
    ----------
    client
        S3.
    bucket
        The bucket that holds `catalog.json`.
    clock
        Decides when the copy is old.
    """

    def __init__(self, *, client: S3Client, bucket: str, clock: Clock) -> None:
        self._client = client
        self._bucket = bucket
        self._clock = clock
        self._catalog = Catalog()
        self._etag = ""
        self._read_again_at: Instant = 0

    @property
    def at_hand(self) -> Catalog:
        """The catalog as it was read last, an empty one before; reads nothing."""
        return self._catalog

    def value(self) -> Catalog:
        """Return the catalog, read again when five minutes old.

        Never raises: if it cannot be read, or is no catalog, the old copy serves and `CatalogUnreadable` counts it;
        before there is any, an empty one.
        """
        now = self._clock()
        # A clock that was set back (the demonstration's can be) must not keep an old copy for longer.
        if now >= self._read_again_at or self._read_again_at - now > MAX_AGE:
            try:
                self._refresh()
                self._read_again_at = now + MAX_AGE
            except Exception as error:  # noqa: BLE001 - whatever S3 or the document does, the mail goes out
                logger.warning("The catalog could not be read; the copy from before serves.", exc_info=True)
                count("CatalogUnreadable", 0 if not self._etag and _status(error) == 404 else 1)
                self._read_again_at = now + RETRY_AFTER
        return self._catalog

    def _refresh(self) -> None:
        try:
            answer = (
                self._client.get_object(Bucket=self._bucket, Key=KEY, IfNoneMatch=self._etag)
                if self._etag
                else self._client.get_object(Bucket=self._bucket, Key=KEY)
            )
        except ClientError as error:
            if _status(error) == 304:
                return
            raise
        parsed = parse(answer["Body"].read())
        self._catalog, self._etag = parsed.catalog, answer["ETag"]
        if parsed.refused:
            logger.warning("Products of the catalog were left out.", extra={"products": parsed.refused})


def _status(error: Exception) -> int:
    """Return the status that S3 answered, 0 if it did not."""
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) if isinstance(error, ClientError) else 0
