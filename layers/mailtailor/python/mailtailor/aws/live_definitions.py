"""What a function evaluates by: the version that rules, asked for every few seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from mailtailor.aws import definitions
from mailtailor.aws.definition_versions import DefinitionVersions
from mailtailor.aws.observability import count, logger
from mailtailor.instant import SECOND
from mailtailor.segments.engine import DEFAULT_BURSTS
from mailtailor.segments.live import LEASE, DefinitionsUnknown, LiveEngines, Sources
from mailtailor.tracking.bursts import BurstSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from mailtailor.aws.clock import Clock


def for_writers(
    client: DynamoDBClient, table: str, *, refresh_seconds: int, clock: Clock, bursts: BurstSettings = DEFAULT_BURSTS
) -> LiveEngines:
    """Return the engines of a function that writes profiles: it stops if it cannot know what rules."""
    engines = LiveEngines(
        sources(DefinitionVersions(client=client, table=table)),
        clock=clock,
        bursts=bursts,
        refresh=refresh_seconds * SECOND,
        lease=LEASE,
        failed=_tell,
    )
    return _asked(engines)


def for_readers(
    client: DynamoDBClient,
    table: str,
    *,
    refresh_seconds: int,
    clock: Clock,
    beside: Callable[[Callable[[], None]], object] | None = None,
) -> LiveEngines:
    """Return the engines of a function that only reads: nobody waits for its asking again, nor for its failing.

    With `beside`, which runs what nobody waits for, the first time is left to whoever needs them first.
    """
    engines = LiveEngines(
        sources(DefinitionVersions(client=client, table=table)),
        clock=clock,
        refresh=refresh_seconds * SECOND,
        lease=None,
        failed=_tell,
        run=beside or _beside,
    )
    return engines if beside else _asked(engines)


def sources(versions: DefinitionVersions) -> Sources:
    """Return the table's definitions, and those of the layer until anything was applied."""
    return Sources(versions.rollout, versions.version, definitions.segments)


def _asked(engines: LiveEngines) -> LiveEngines:
    """Ask while the function starts; what fails then is asked again by whoever needs it."""
    with suppress(DefinitionsUnknown):
        engines.view()
    return engines


def _tell(error: Exception) -> None:
    logger.error("It cannot be read which definitions rule.", extra={"error": type(error).__name__})
    count("DefinitionsUnreadable")


def _beside(ask: Callable[[], None]) -> None:
    # Lambda stops it with the answer and lets it go on with the next one; then its request may have run out of time,
    # and is made again.
    threading.Thread(target=ask, daemon=True).start()
