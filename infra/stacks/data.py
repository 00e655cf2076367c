"""The stateful stack: tables, queues, buckets, administrators and secrets, all of which outlive it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aws_cdk import Stack

from infra.constructs.administrators import Administrators
from infra.constructs.queue import DeadLetters, WorkQueue
from infra.constructs.storage import Archive, CatalogStore, IntakeStore, Keys
from infra.constructs.tables import DecisionTable, ItemTable, ProfileTable
from infra.jobs import (
    ESP_SYNC,
    EVENT_ARCHIVER,
    EVENT_PROCESSOR,
    FLIP_ARCHIVER,
    PROFILE_REBUILDER,
    SEGMENT_RECOMPUTE,
    SEGMENT_RECONCILE,
    WAKE_PROCESSOR,
)

if TYPE_CHECKING:
    from constructs import Construct

ARCHIVE_WINDOW: Final = 60
"""Seconds: fewer and larger Parquet files cost less to write and to read, and nobody waits for them."""


class DataStack(Stack):
    """What Mailtailor knows, and the work that is under way."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id, description="Mailtailor: data", termination_protection=True)
        self.profiles = ProfileTable(self, "Profiles")
        self.definitions = ItemTable(self, "Definitions")
        self.deliveries = ItemTable(self, "Deliveries")
        self.clock = ItemTable(self, "Clock")
        self.decisions = DecisionTable(self, "Decisions")

        self.events = WorkQueue(self, "Events", consumer=EVENT_PROCESSOR)
        # With its pauses, this many tries bridge an hour in which the table cannot be written.
        self.wake_ups = WorkQueue(self, "WakeUps", consumer=WAKE_PROCESSOR, max_receives=12)
        self.archive_queue = WorkQueue(self, "ArchiveQueue", consumer=EVENT_ARCHIVER, batching_window=ARCHIVE_WINDOW)
        # A profile is rebuilt when the archive has what was received before, also if the archiver died over it once.
        archived = ARCHIVE_WINDOW + self.archive_queue.visibility + EVENT_ARCHIVER.timeout
        self.rebuilds = WorkQueue(self, "Rebuilds", consumer=PROFILE_REBUILDER, delay=archived)
        self.recompute = WorkQueue(self, "Recompute", consumer=SEGMENT_RECOMPUTE)
        self.reconcile = WorkQueue(self, "Reconcile", consumer=SEGMENT_RECONCILE)
        # With its pauses of up to 15 minutes, this many tries bridge a destination's outage of six hours.
        self.esp = WorkQueue(self, "Esp", consumer=ESP_SYNC, max_receives=30)
        self.flips = DeadLetters(self, "Flips")
        self.decision_log = DeadLetters(self, "DecisionLog")
        self.trail = WorkQueue(self, "Trail", consumer=FLIP_ARCHIVER, batching_window=ARCHIVE_WINDOW)

        self.archive = Archive(self, "Archive")
        self.catalog = CatalogStore(self, "Catalog")
        self.intake = IntakeStore(self, "Intake")

        self.administrators = Administrators(self, "Administrators")

        self.tokens = Keys(
            self,
            "Tokens",
            description="keys that sign links and recipients",
            generated="k1",
            entries={"active": "k1"},
            rotation="Links in sent mail must stay valid: a key is added by hand, old ones verify on (docs/deploy.md).",
        )
        self.identity = Keys(
            self,
            "Identity",
            description="pepper of pseudonyms",
            generated="pepper",
            rotation="Another pepper would make every known person a stranger.",
        )
        self.ingest = Keys(
            self,
            "Ingest",
            description="write key and webhook secrets",
            generated="write_key",
            rotation="Its other halves lie in shops and servers and are changed with them: docs/deploy.md.",
        )
        self.esp_keys = Keys(
            self,
            "EspKeys",
            description="key that signs deliveries",
            generated="signing_key",
            rotation="Its other half lies with the receiver and is changed with it: docs/deploy.md.",
        )
        self.fetch_keys = Keys(
            self,
            "FetchKeys",
            description="credentials by which ESPs fetch content",
            generated="credential",
            rotation="Its other half lies with the ESP; two are valid while it is changed: docs/content.md.",
        )
