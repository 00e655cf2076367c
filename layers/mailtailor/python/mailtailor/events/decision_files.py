"""Decisions in the archive, as Parquet: `decisions/received=2026-11-24/bucket=07/<hash>.parquet`.

The day is that on which the stream handed them over in UTC, the bucket that of the profile, as for its events
(`archive`). A block inside another has a row of its own.

| column | type | meaning |
|---|---|---|
| id | VARCHAR | of the decision: the same, however often it comes |
| decided_at | TIMESTAMP_MS | UTC |
| profile_id, campaign, instance | VARCHAR | of the message |
| block | VARCHAR | its name; of one inside another, the name by which that one inserts it |
| inside | VARCHAR | the block it is inside of, else empty |
| version | VARCHAR | hash of the block's version |
| variant | VARCHAR | what was shown, or `fallback` |
| products, reasons | VARCHAR[] | ids of what was recommended, and why each |
| offer | VARCHAR | name, empty if there was none |
| skipped | VARCHAR | JSON object: variants passed over, and why |
| sampled | BOOLEAN | false: it is here for a fault alone, so a share must not count it |

Of rows with one id readers take any: all say the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from mailtailor.content.decision import Decision, MessageKey
from mailtailor.events import archive
from mailtailor.events.archive import Part
from mailtailor.instant import Instant, to_datetime

_WRITE_SQL: Final = """\
COPY (
    SELECT id, make_timestamp_ms(decided_at)::TIMESTAMP_MS AS decided_at, profile_id, campaign, instance, block, inside,
           version, variant, products, reasons, offer, skipped, sampled
    FROM read_json($rows, format = 'newline_delimited', columns = {
        id: 'VARCHAR', decided_at: 'BIGINT', profile_id: 'VARCHAR', campaign: 'VARCHAR', instance: 'VARCHAR',
        block: 'VARCHAR', inside: 'VARCHAR', version: 'VARCHAR', variant: 'VARCHAR', products: 'VARCHAR[]',
        reasons: 'VARCHAR[]', offer: 'VARCHAR', skipped: 'VARCHAR', sampled: 'BOOLEAN'})
    ORDER BY profile_id, decided_at, id
) TO '%s' (FORMAT parquet, COMPRESSION zstd)
"""


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """A decision as the stream hands it over.

    Attributes
    ----------
    message
        For which it was made.
    name
        Under which it is stored.
    decision
        What was shown.
    sampled
        Whether the message belongs to the sample.
    """

    message: MessageKey
    name: str
    decision: Decision
    sampled: bool


def parts(logged: Iterable[LoggedDecision], *, received_at: Instant) -> list[Part]:
    """Return the files to write for a batch that was received at an instant."""
    day = to_datetime(received_at).date().isoformat()
    by_prefix: dict[str, Part] = {}
    for one in logged:
        where = f"{archive.DECISIONS}received={day}/bucket={archive.bucket(one.message.profile_id):02}"
        by_prefix.setdefault(where, Part(where, _WRITE_SQL)).rows.update(_rows(one))
    return list(by_prefix.values())


def _rows(logged: LoggedDecision) -> Iterator[str]:
    block = logged.name.partition("@")[0]
    yield _row(logged, logged.decision, block, inside="")
    for name, decision in logged.decision.inside.items():
        yield _row(logged, decision, name, inside=block)


def _row(logged: LoggedDecision, decision: Decision, block: str, *, inside: str) -> str:
    named = "\0".join((*logged.message, logged.name, block, inside))
    row: Mapping[str, Any] = {
        "id": blake2b(named.encode(), digest_size=16).hexdigest(),
        "decided_at": decision.at,
        **logged.message._asdict(),
        "block": block,
        "inside": inside,
        "version": decision.version,
        "variant": decision.variant,
        "products": [id_ for id_, _ in decision.products],
        "reasons": [why for _, why in decision.products],
        "offer": decision.offer,
        "skipped": json.dumps({one.variant: one.reason for one in decision.skipped}, sort_keys=True),
        "sampled": logged.sampled,
    }
    return json.dumps(row, separators=(",", ":"), sort_keys=True)
