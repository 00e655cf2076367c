"""Who asked to be forgotten, remembered for as long as events of theirs may still arrive.

An event may wait 18 days for its processor and as long again for the archiver, if it becomes a dead letter each time
and is redriven on the last day. The list is the names of empty objects, `erased/<profile id>/<instant>`, which the
bucket deletes after 90 days: adding one is a single request that can be repeated, and reading all of them is one, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

from mailtailor.events.joining import Erasure
from mailtailor.instant import Instant

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ERASED: Final = "erased/"


class ErasedProfiles:
    """The list of profiles whose rows are to go.

    Parameters
    ----------
    client, bucket
        S3 and the archive's bucket.
    """

    def __init__(self, *, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def add(self, profile_ids: Iterable[str], at: Instant) -> None:
        """Note that what was received of some profiles before `at` is to go."""
        for profile_id in profile_ids:
            self._client.put_object(Bucket=self._bucket, Key=f"{ERASED}{profile_id}/{at:015}", Body=b"")

    def read(self) -> frozenset[Erasure]:
        """Return the whole list, as it is at this moment."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=ERASED)
        keys = [stored["Key"] for page in pages for stored in page.get("Contents", [])]
        named = [key.removeprefix(ERASED).partition("/") for key in keys]
        return frozenset(Erasure(profile_id, int(at)) for profile_id, _, at in named if at.isdecimal())

    def among(self, profile_ids: Collection[str]) -> dict[str, Instant]:
        """Return which of some profiles are in the list, and up to when their rows are to go."""
        found: dict[str, Instant] = {}
        for erasure in sorted(self.read()):
            if erasure.profile_id in profile_ids:
                found[erasure.profile_id] = erasure.at
        return found
