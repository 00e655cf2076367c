"""The table, bucket, secret and definitions that the content function works with, on moto."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moto import mock_aws

from functions.dynamic_content import handler as dynamic_content
from infra.build.definitions import PACKAGE, compile_definitions
from mailtailor.aws import clients, content, definitions
from mailtailor.aws.clock import system_clock
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.consent.policy import Consent
from mailtailor.consent.policy import Purpose as Use
from mailtailor.instant import HOUR
from mailtailor.profiles.profile import Attribute, Profile
from mailtailor.profiles.store import Loaded
from mailtailor.segments.engine import Engine as SegmentEngine
from mailtailor.tracking.tokens import Purpose, RecipientToken, sign_recipient
from tests.integration.dynamodb import create_tables
from tests.integration.functions.capture_engine import KEYRING, PROFILE, SECRET
from tests.integration.functions.intake_engine import Context, http_event

if TYPE_CHECKING:
    import pytest
    from mypy_boto3_s3 import S3Client

DEFINITIONS: Final = Path(__file__).parents[3] / "layers" / "definitions"
PRODUCTS: Final = [
    {"id": str(rank), "name": name, "price": 2.5, "currency": "GBP", "url": f"https://shop.example/{rank}"}
    | {"category": "Lighting", "rank": rank}
    for rank, name in enumerate(("Lantern", "Candle", "Cakestand", "Bunting"), start=1)
]


@dataclass
class Engine:
    """What a test holds of the outside world."""

    s3: S3Client
    profiles: ProfileTable
    segments: SegmentEngine
    reads: list[str] = field(default_factory=list)

    def put_catalog(self, body: bytes) -> None:
        self.s3.put_object(Bucket="catalog", Key="catalog.json", Body=body)

    def put_profile(self, *events: tuple[str, dict[str, Any]], consent: bool = True, epoch: int = 0) -> None:
        """Store a profile to which `events` happened an hour ago."""
        at = system_clock() - HOUR
        names = {"first_name": "Anna", "country": "United Kingdom", "region": "London"}
        profile = Profile(PROFILE, epoch=epoch)
        profile.attributes = {name: Attribute(value, at) for name, value in names.items()}
        profile.consent = {Use.PERSONALIZATION: Consent(granted=consent, at=at)}
        for number, (event_type, properties) in enumerate(events):
            self.segments.record(
                profile.streams, event_id=str(number), event_type=event_type, at=at, properties=properties
            )
        self.profiles.save(Loaded(profile, None), ())

    def fetch(self, path: str = "/content/hero", method: str = "GET", **query: str) -> dict[str, Any]:
        """Return the function's answer, and note in `reads` what it asked of AWS."""
        self.reads.clear()
        event = http_event(method, path) | {"queryStringParameters": query}
        answer: dict[str, Any] = dynamic_content.handler(event, Context())
        return answer

    def watch(self) -> None:
        """Note every call that the function's own clients make."""
        given = dynamic_content.dependencies()
        for client in (given.profiles._client, given.catalog._client, given.keys._secret._client):
            client.meta.events.register("before-call", self._note)

    def _note(self, model: Any, **_: object) -> None:
        self.reads.append(model.name)


def viewed(product_id: str) -> tuple[str, dict[str, Any]]:
    return "product_viewed", {"product_id": product_id, "category": "Lighting"}


def ordered(product_id: str) -> tuple[str, dict[str, Any]]:
    return "order_completed", {"products": [{"product_id": product_id, "quantity": 1}]}


def recipient(purpose: Purpose = Purpose.CONTENT, epoch: int = 0) -> str:
    return sign_recipient(KEYRING, RecipientToken(PROFILE, purpose, epoch))


@cache
def compiled() -> dict[str, str]:
    """Return the definitions layer's files, compiled once."""
    return compile_definitions(DEFINITIONS)


@contextmanager
def engine(patch: pytest.MonkeyPatch, folder: Path) -> Iterator[Engine]:
    """Run an engine; the environment, the definitions layer included, is that of a deployed function."""
    package = folder / PACKAGE
    package.mkdir()
    for name, text in compiled().items():
        (package / name).write_text(text, encoding="utf-8")
    patch.syspath_prepend(str(folder))
    _forget()
    with mock_aws():
        s3, dynamodb, secrets = clients.s3(), clients.dynamodb(), clients.secrets_manager()
        create_tables(dynamodb, profiles="profiles")
        s3.create_bucket(Bucket="catalog", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        secrets.create_secret(Name="tokens", SecretString=json.dumps(SECRET))
        for name, value in {
            "PROFILES_TABLE": "profiles",
            "TOKENS_SECRET_ID": "tokens",
            "CATALOG_BUCKET": "catalog",
            "CONTENT_URL": "https://mail.example",
        }.items():
            patch.setenv(name, value)
        patch.setattr(dynamic_content, "dependencies", cache(content.connect))
        patch.setattr(dynamic_content, "renderers", content.load_renderers)
        running = Engine(s3, ProfileTable(client=dynamodb, table="profiles"), SegmentEngine(definitions.segments()))
        running.put_catalog(json.dumps({"shop_url": "https://shop.example", "products": PRODUCTS}).encode())
        yield running
    _forget()


def _forget() -> None:
    clients._session.cache_clear()
    sys.modules.pop(PACKAGE, None)
    for definition in (definitions.segments, definitions.blocks, definitions.offers, definitions.countdowns):
        definition.cache_clear()
    content.segment_engine.cache_clear()
    content.load_renderers.cache_clear()
