"""Erases people's rows from the archive, some files at each invocation; whoever invokes it goes on until it is done.

The first invocation names the profiles and notes them as erased; from then on no reader of a person's history sees
their rows and no joining keeps them, those that come late included. Its answer is what the next one is given.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mailtailor.aws import clients
from mailtailor.aws.archive_bucket import CONNECTIONS, ArchiveBucket
from mailtailor.aws.archive_joiner import ArchiveJoiner, Changing, Done, Unreadable
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.events import archive
from mailtailor.events.event import ProfileId
from mailtailor.instant import Instant

AT_ONCE: Final = 30.0
"""Seconds of work an invocation begins, so that whoever waits sees progress and no time-out."""
ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment; Lambda itself tells how much memory there is."""

    archive_bucket: str
    profiles_table: str
    aws_lambda_function_memory_size: int = 2048


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    bucket: ArchiveBucket
    joiner: ArchiveJoiner
    erased: ErasedProfiles
    profiles: ProfileTable
    clock: Clock


class Request(BaseModel):
    """What to erase, and how far that has come."""

    model_config = ConfigDict(extra="forbid")

    profiles: Annotated[list[ProfileId], Field(min_length=1, max_length=1_000)]
    at: Annotated[Instant, Field(ge=0)] = 0
    """Since when they are erased; 0 in the first request."""
    after: str = ""
    """The folder up to which all is done."""


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    s3 = clients.s3(connections=CONNECTIONS)
    bucket = ArchiveBucket(client=s3, bucket=settings.archive_bucket)
    erased = ErasedProfiles(client=s3, bucket=settings.archive_bucket)
    joiner = ArchiveJoiner(
        bucket=bucket,
        duckdb=archive.connect(
            memory=f"{settings.aws_lambda_function_memory_size // 2}MiB",
            threads=2,
            folder=Path(tempfile.gettempdir()) / "duckdb",
        ),
        erased=erased,
    )
    profiles = ProfileTable(client=clients.dynamodb(), table=settings.profiles_table)
    return Dependencies(bucket, joiner, erased, profiles, clock_from_environment())


dependencies = prepared(connect)


def erase(asked: Mapping[str, Any], given: Dependencies, *, out_of_time: Callable[[], bool]) -> dict[str, Any]:
    """Erase some more, and return how far it has come.

    Returns
    -------
    `profiles`, `at` and `after` for the next request, `done`, and what this one did: `folders` looked at, `files`
    written anew, `rows` erased, `unreadable` files, whose folders stay as they are.
    """
    try:
        request = Request.model_validate(asked)
    except ValidationError as error:
        return {"error": f"The request is not usable: {error.errors(include_input=False)[0]['msg']}."}
    if not request.at:
        request.at = given.clock()
        request.profiles = _whole_people(request.profiles, given.profiles)
        given.erased.add(request.profiles, request.at)
    done, folders, finished = Done(), 0, True
    unreadable: list[str] = []
    for folder in _folders(request, given.bucket):
        if out_of_time():
            finished = False
            break
        try:
            done += _rewritten(folder, given)
        except Unreadable as error:
            logger.error("Files of the archive cannot be read; their folder stays.", folder=folder, files=error.keys)
            count("FilesUnreadable", len(error.keys))
            unreadable += error.keys
        request.after = folder
        folders += 1
    logger.info("Erased.", folders=folders, files=done.files, rows=done.erased, finished=finished)
    return {
        **request.model_dump(),
        "done": finished,
        "folders": folders,
        "files": done.files,
        "rows": done.erased,
        "unreadable": unreadable,
    }


def _folders(request: Request, bucket: ArchiveBucket) -> Iterator[str]:
    """Yield the folders that may hold rows of the profiles, from where the request before left off."""
    theirs = tuple({f"/bucket={archive.bucket(profile_id):02}/" for profile_id in request.profiles})
    reached = request.after.partition("/")[0]
    for dataset in archive.DATASETS:
        if dataset < reached:
            continue
        for folder, _ in bucket.by_folder(dataset, after=request.after if dataset == f"{reached}/" else ""):
            # Mail rows lie by the hour, whoever they are of.
            if dataset == archive.MAIL or folder.endswith(theirs):
                yield folder


def _rewritten(folder: str, given: Dependencies) -> Done:
    """Erase from a folder; if its files are being joined, look at what they have become."""
    for _ in range(ATTEMPTS):
        try:
            return given.joiner.rewrite(folder, given.bucket.files([folder]))
        except Changing:
            continue
    raise Changing(folder)


def _whole_people(profile_ids: list[str], profiles: ProfileTable) -> list[str]:
    """Return the profiles with all that they were merged from: rows have the profile of their time."""
    found = dict.fromkeys(profile_ids)
    for profile_id in profile_ids:
        profile = profiles.read(profile_id)
        if profile is not None:
            found |= dict.fromkeys([profile.id, *sorted(profile.identities)])
    return list(found)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Erase for a while."""
    until = time.monotonic() + AT_ONCE
    return erase(event, dependencies(), out_of_time=lambda: time.monotonic() > until)
