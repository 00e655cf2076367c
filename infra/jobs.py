"""The functions: what each may use of time, memory and layers. Its trigger and rights stand with its capability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Layer = Literal["runtime", "archive", "images", "webhooks", "publishing", "mailtailor", "definitions"]
LAYERS: Final[tuple[Layer, ...]] = (
    "runtime",
    "archive",
    "images",
    "webhooks",
    "publishing",
    "mailtailor",
    "definitions",
)
LIBRARY: Final[tuple[Layer, ...]] = ("runtime", "mailtailor")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One function.

    Parameters
    ----------
    name
        Of its directory in `functions/`.
    timeout
        In seconds.
    memory
        In MB; the share of a processor grows with it.
    layers
        What it can import.
    reserved_concurrency
        Set aside for this function alone, and at the same time its limit.
    disk
        In MB, for files on their way.
    """

    name: str
    timeout: int
    memory: int = 512
    layers: tuple[Layer, ...] = LIBRARY
    reserved_concurrency: int | None = None
    disk: int = 512

    @property
    def construct_id(self) -> str:
        """The name as an id in the stack, `open_pixel` as `OpenPixel`."""
        return self.name.title().replace("_", "")


_WITH_DEFINITIONS: Final[tuple[Layer, ...]] = (*LIBRARY, "definitions")

# What a recipient waits for keeps a concurrency of its own, so that no backlog of workers can starve it.
OPEN_PIXEL: Final = Job(name="open_pixel", timeout=5, memory=256, reserved_concurrency=100)
CLICK_REDIRECT: Final = Job(name="click_redirect", timeout=5, memory=256, reserved_concurrency=100)
DYNAMIC_CONTENT: Final = Job(name="dynamic_content", timeout=2, layers=_WITH_DEFINITIONS, reserved_concurrency=100)
OPEN_TIME_IMAGE: Final = Job(
    name="open_time_image", timeout=3, memory=1024, layers=(*_WITH_DEFINITIONS, "images"), reserved_concurrency=50
)

TRACK_API: Final = Job(name="track_api", timeout=10)
# A whole processor: the largest delivery must be queued well within the four seconds that the strictest sender waits.
WEBHOOK_INGEST: Final = Job(name="webhook_ingest", timeout=10, memory=1769, layers=(*LIBRARY, "webhooks"))

EVENT_PROCESSOR: Final = Job(name="event_processor", timeout=60, memory=1024, layers=_WITH_DEFINITIONS)
WAKE_PROCESSOR: Final = Job(name="wake_processor", timeout=60, memory=1024, layers=_WITH_DEFINITIONS)
SEGMENT_CLOCK: Final = Job(name="segment_clock", timeout=50, memory=1024)
MEMBERSHIP_PUBLISHER: Final = Job(name="membership_publisher", timeout=30)
ESP_SYNC: Final = Job(name="esp_sync", timeout=60)
# It reads years of the archive for one profile, so it has time and memory; nobody waits for it.
PROFILE_REBUILDER: Final = Job(
    name="profile_rebuilder", timeout=300, memory=2048, layers=(*_WITH_DEFINITIONS, "archive")
)
# As long as a rebuild waits (`infra.stacks.data`): what is corrected after the archive was copied cannot have been
# rebuilt, and so is known to be incomplete, when the last profile is recomputed. The disk holds an archive's bucket.
SEGMENT_RECOMPUTE: Final = Job(
    name="segment_recompute", timeout=300, memory=2048, layers=(*_WITH_DEFINITIONS, "archive"), disk=4096
)
# It writes to nobody, so it may be longer at it than the one before.
SEGMENT_RECONCILE: Final = Job(
    name="segment_reconcile", timeout=600, memory=2048, layers=(*_WITH_DEFINITIONS, "archive"), disk=4096
)
# Two processors, for somebody waits; as long as Lambda lets it. The disk holds a bucket of ten gigabytes.
SEGMENT_ESTIMATE: Final = Job(
    name="segment_estimate", timeout=900, memory=3538, layers=(*LIBRARY, "archive"), disk=10_240
)
# Nobody waits for it; the archive's layer only because it knows the archive's buckets.
SEGMENT_ROLLOUT: Final = Job(name="segment_rollout", timeout=50, layers=(*_WITH_DEFINITIONS, "archive"))
EVENT_ARCHIVER: Final = Job(name="event_archiver", timeout=60, memory=1024, layers=(*LIBRARY, "archive"))
FLIP_ARCHIVER: Final = Job(name="flip_archiver", timeout=60, layers=(*LIBRARY, "archive"))
DECISION_ARCHIVER: Final = Job(name="decision_archiver", timeout=60, layers=(*LIBRARY, "archive"))
ARCHIVE_WATERMARK: Final = Job(name="archive_watermark", timeout=30)
# As long as Lambda lets them: what is not done then is done in the next hour, and by the next invocation.
ARCHIVE_COMPACTOR: Final = Job(name="archive_compactor", timeout=900, memory=2048, layers=(*LIBRARY, "archive"))
ARCHIVE_ERASER: Final = Job(name="archive_eraser", timeout=900, memory=2048, layers=(*LIBRARY, "archive"))

# Below what an HTTP API waits at most.
CAMPAIGN_REPORT: Final = Job(name="campaign_report", timeout=29, memory=2048, layers=(*LIBRARY, "archive"))
INSTRUMENT_API: Final = Job(name="instrument_api", timeout=10, memory=1024)
PROFILE_API: Final = Job(name="profile_api", timeout=10, layers=_WITH_DEFINITIONS)
# It reads years of somebody's flips. Apart from the one before, which so needs no DuckDB and no right to the archive.
TRAIL_API: Final = Job(name="trail_api", timeout=29, memory=1769, layers=(*LIBRARY, "archive"))
BLOCK_PREVIEW: Final = Job(name="block_preview", timeout=10, memory=1024, layers=_WITH_DEFINITIONS)
# A whole processor: it renders a block for up to 500 people while somebody waits.
BLOCK_COVERAGE: Final = Job(name="block_coverage", timeout=29, memory=1769, layers=_WITH_DEFINITIONS)
# A whole processor: it compiles a block and tries its templates while somebody waits.
BLOCK_VERSIONS: Final = Job(name="block_versions", timeout=29, memory=1769, layers=(*_WITH_DEFINITIONS, "publishing"))

JOBS: Final = (
    OPEN_PIXEL,
    CLICK_REDIRECT,
    TRACK_API,
    WEBHOOK_INGEST,
    EVENT_PROCESSOR,
    PROFILE_REBUILDER,
    SEGMENT_RECOMPUTE,
    SEGMENT_RECONCILE,
    SEGMENT_ESTIMATE,
    SEGMENT_ROLLOUT,
    WAKE_PROCESSOR,
    SEGMENT_CLOCK,
    MEMBERSHIP_PUBLISHER,
    ESP_SYNC,
    DYNAMIC_CONTENT,
    OPEN_TIME_IMAGE,
    EVENT_ARCHIVER,
    FLIP_ARCHIVER,
    DECISION_ARCHIVER,
    ARCHIVE_WATERMARK,
    ARCHIVE_COMPACTOR,
    ARCHIVE_ERASER,
    CAMPAIGN_REPORT,
    INSTRUMENT_API,
    PROFILE_API,
    TRAIL_API,
    BLOCK_PREVIEW,
    BLOCK_COVERAGE,
    BLOCK_VERSIONS,
)
HOT: Final = (OPEN_PIXEL, CLICK_REDIRECT, DYNAMIC_CONTENT, OPEN_TIME_IMAGE)
