"""GET /admin/campaigns/{campaign}: what became of a campaign, counted from the archive; without a name, which exist.

The route has an authorizer; this function trusts whoever may invoke it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args
from urllib.parse import unquote

import duckdb
from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP
from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws import clients, http
from mailtailor.aws.archive_bucket import CONNECTIONS, ArchiveBucket, OutOfTime, StoredFile, UnreadableFile
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.errors import BadInput, MailtailorError, NotFound, TooLarge, Unavailable
from mailtailor.events import archive, mail_counts
from mailtailor.instant import DAY, HOUR, Instant, to_iso

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from duckdb import DuckDBPyConnection

PATH: Final = "/admin/campaigns"
MAX_SINCE: Final = 92 * DAY
MAX_FILES: Final = 10_000
MAX_BYTES: Final = 400_000_000
"""Fits into the 512 MB of disk that every function has."""
RESERVE: Final = 12_000
"""Milliseconds to count in, once files are read, before the API gives up on the function."""
MAX_CAMPAIGNS: Final = 100

_SINCE: Final = re.compile(r"([1-9][0-9]{0,4})([hd])")


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment; Lambda itself tells how much memory there is."""

    archive_bucket: str
    aws_lambda_function_memory_size: int = 2048


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    bucket: ArchiveBucket
    duckdb: DuckDBPyConnection
    clock: Clock


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings = from_environment(Settings)
    return Dependencies(
        bucket=ArchiveBucket(client=clients.s3(connections=CONNECTIONS), bucket=settings.archive_bucket),
        duckdb=archive.connect(
            memory=f"{settings.aws_lambda_function_memory_size // 2}MiB",
            threads=2,
            folder=Path(tempfile.gettempdir()) / "duckdb",
        ),
        clock=clock_from_environment(),
    )


dependencies = prepared(connect)


def answer(request: http.Request, given: Dependencies, *, out_of_time: Callable[[], bool]) -> dict[str, Any]:
    """Return the report that a request asks for.

    Raises
    ------
    MailtailorError
        If it asks for what there is not, or for more than can be read while somebody waits.
    """
    campaign = unquote(request.path.removeprefix(PATH).removeprefix("/"))
    now = given.clock()
    since = now - _duration(request.query.get("since", "30d"))
    by = _by(request.query.get("by", "link"))
    with tempfile.TemporaryDirectory(prefix="report-") as folder:
        files = _read(Path(folder), since, now, given, out_of_time)
        period = {"since": to_iso(since), "until": to_iso(now)}
        if not campaign:
            found = mail_counts.campaigns(given.duckdb, files, since=since, most=MAX_CAMPAIGNS)
            return http.json_response(200, {**period, "campaigns": [one.payload() for one in found]})
        report = mail_counts.counts(given.duckdb, files, campaign, since=since, by=by)
    if not report.rows and report.totals == mail_counts.Counts():
        raise NotFound(
            "Nothing happened to a campaign of this name in that time.",
            "Names are exact: mailtailor campaigns list. New events show after about a minute.",
        )
    rows = [row.payload() for row in report.rows]
    return http.json_response(
        200, {"campaign": campaign, **period, "by": by, "totals": report.totals.payload(), "rows": rows}
    )


def _duration(text: str) -> int:
    match = _SINCE.fullmatch(text)
    duration = int(match[1]) * (DAY if match[2] == "d" else HOUR) if match else 0
    if not 0 < duration <= MAX_SINCE:
        raise BadInput("since is no time of at most 92 days.", "Write hours or days, such as since=48h or since=7d.")
    return duration


def _by(text: str) -> mail_counts.By:
    for known in get_args(mail_counts.By):
        if text == known:
            by: mail_counts.By = known
            return by
    raise BadInput("by is neither link nor hour.", "Write by=link or by=hour.")


def _read(
    folder: Path, since: Instant, now: Instant, given: Dependencies, out_of_time: Callable[[], bool]
) -> list[str]:
    """Copy all mail files received since then into `folder`; what happened since was received since."""
    days = [archive.mail_day(day * DAY) for day in range(since // DAY, now // DAY + 1)]

    def download(files: Sequence[StoredFile]) -> list[str]:
        if len(files) > MAX_FILES or sum(file.size for file in files) > MAX_BYTES:
            raise _too_much()
        return given.bucket.download(files, folder, out_of_time=out_of_time)

    try:
        return given.bucket.whole(lambda: given.bucket.files(days), download)
    except OutOfTime as error:
        raise _too_much() from error


def _too_much() -> TooLarge:
    return TooLarge(
        "There is more to count than can be read while somebody waits.",
        "Ask for a shorter time, such as since=7d, or query the archive's mail/ files with Athena.",
    )


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP, clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of the HTTP API."""

    def out_of_time() -> bool:
        return context.get_remaining_time_in_millis() < RESERVE

    try:
        return answer(http.request(event), dependencies(), out_of_time=out_of_time)
    except MailtailorError as error:
        refused = error
    except duckdb.OutOfMemoryException:
        refused = _too_much()
    except duckdb.Error:
        logger.exception("A file of the archive cannot be read.")
        refused = MailtailorError("The archive holds a file that cannot be read.", "The function's log names it.")
    except (BotoCoreError, ClientError, UnreadableFile):
        logger.exception("The archive does not answer.")
        refused = Unavailable("The archive does not answer.", "Try again in a moment.")
    count("ReportsRefused", reason=type(refused).__name__)
    return http.error_response(refused)
