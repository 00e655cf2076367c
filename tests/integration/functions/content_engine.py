"""The tables, bucket, secrets and definitions that the content function works with, on moto behind a socket."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from moto import mock_aws

from functions.dynamic_content import handler as dynamic_content
from infra.build.definitions import PACKAGE, compile_definitions
from mailtailor.aws import clients, content, definitions
from mailtailor.aws.clock import system_clock
from mailtailor.aws.direct import Patience
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.aws.startup import StartUp
from mailtailor.consent.policy import Consent
from mailtailor.consent.policy import Purpose as Use
from mailtailor.instant import HOUR
from mailtailor.profiles.profile import Attribute, Profile
from mailtailor.profiles.store import Loaded
from mailtailor.segments.engine import Engine as SegmentEngine
from mailtailor.tracking.tokens import Purpose, RecipientToken, sign_recipient
from tests.integration.aws_over_http import AwsOverHttp, aws_over_http
from tests.integration.dynamodb import create_tables
from tests.integration.functions.capture_engine import KEYRING, PROFILE, SECRET
from tests.integration.functions.intake_engine import Context, http_event

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

DEFINITIONS: Final = Path(__file__).parents[3] / "layers" / "definitions"
PRODUCTS: Final = [
    {"id": str(rank), "name": name, "price": 2.5, "currency": "GBP", "url": f"https://shop.example/{rank}"}
    | {"category": "Lighting", "rank": rank}
    for rank, name in enumerate(("Lantern", "Candle", "Cakestand", "Bunting"), start=1)
]


UNHURRIED: Final = Patience(connect=10, read=10)
CREDENTIALS: Final = {"braze": "the credential that Braze shows us", "next": "the credential it will show"}


@dataclass
class Engine:
    """What a test holds of the outside world.

    Attributes
    ----------
    server
        What the function asks of AWS, and the trouble it meets.
    """

    s3: S3Client
    dynamodb: DynamoDBClient
    secrets: SecretsManagerClient
    profiles: ProfileTable
    segments: SegmentEngine
    server: AwsOverHttp

    def start(self, patch: pytest.MonkeyPatch, *, budget: int = 20_000, patience: Patience = UNHURRIED) -> None:
        """Start the function anew. Unless told otherwise it has time: moto is slow, and so may the machine be."""

        def connect() -> content.Serving:
            with pytest.MonkeyPatch.context() as temporary:
                temporary.setenv("AWS_ENDPOINT_URL", self.server.url)
                temporary.setenv("TIME_BUDGET_MS", str(budget))
                temporary.setenv("REFRESH_SECONDS", "600")
                temporary.setattr(content, "PATIENCE", patience)
                return content.connect()

        patch.setattr(dynamic_content, "dependencies", cache(connect))

    @property
    def reads(self) -> list[str]:
        """What the last fetch asked of AWS, such as `dynamodb:GetItem`."""
        return sorted(self.server.calls)

    def put_catalog(self, body: bytes) -> None:
        self.s3.put_object(Bucket="catalog", Key="catalog.json", Body=body)

    def put_profile(self, *events: tuple[str, dict[str, Any]], consent: bool = True, epoch: int = 0) -> None:
        """Store a profile to which `events` happened an hour ago, in the place of the one before."""
        at = system_clock() - HOUR
        names = {"first_name": "Anna", "country": "United Kingdom", "region": "London"}
        profile = Profile(PROFILE, epoch=epoch)
        profile.attributes = {name: Attribute(value, at) for name, value in names.items()}
        profile.consent = {Use.PERSONALIZATION: Consent(granted=consent, at=at)}
        for number, (event_type, properties) in enumerate(events):
            self.segments.memory.record(
                profile.streams, event_id=str(number), event_type=event_type, at=at, properties=properties
            )
        self.dynamodb.delete_item(TableName="profiles", Key={"id": {"S": PROFILE}})
        self.profiles.save(Loaded(profile, None), ())

    def decisions(self) -> list[dict[str, Any]]:
        """Return the items of all messages."""
        return list(self.dynamodb.scan(TableName="decisions")["Items"])

    def fetch(
        self,
        path: str = "/content/hero",
        method: str = "GET",
        *,
        headers: Mapping[str, str] | None = None,
        received: int = 0,
        query: Mapping[str, str] | None = None,
        r: str = "",
        m: str = "",
        p: str = "",
    ) -> dict[str, Any]:
        """Return the function's answer; `received` is how many milliseconds from now the API received the request."""
        self.server.calls.clear()
        event = http_event(method, path)
        event["queryStringParameters"] = query or {
            name: value for name, value in (("r", r), ("m", m), ("p", p)) if value
        }
        event["headers"] = {**event.get("headers", {}), **(headers or {})}
        if received:
            event["requestContext"]["timeEpoch"] = system_clock() + received
        answer: dict[str, Any] = dynamic_content.handler(event, self.context)
        return answer

    @property
    def context(self) -> Context:
        """Lambda's context of an invocation."""
        return Context()

    @staticmethod
    def forget() -> None:
        """Forget what was read from the layer."""
        _forget()


def viewed(product_id: str) -> tuple[str, dict[str, Any]]:
    return "product_viewed", {"product_id": product_id, "category": "Lighting"}


def ordered(product_id: str) -> tuple[str, dict[str, Any]]:
    return "order_completed", {"products": [{"product_id": product_id, "quantity": 1}]}


def recipient(purpose: Purpose = Purpose.CONTENT, epoch: int = 0) -> str:
    return sign_recipient(KEYRING, RecipientToken(PROFILE, purpose, epoch))


def shared_block(name: str, *, seconds: int) -> dict[str, Any]:
    """Return a block that is the same for all."""
    return {
        "name": name,
        "description": "The same for all.",
        "variants": [{"name": "plain", "template": "<p>Open until eight.</p>"}],
        "cache": {"kind": "shared", "seconds": seconds},
        "fallback": "<p>Open.</p>",
        "fallback_text": "Open.",
    }


def block(name: str, *templates: str) -> dict[str, Any]:
    """Return a block whose variants, `v0` and so on, are for everybody."""
    return {
        "name": name,
        "description": "For a test.",
        "variants": [{"name": f"v{number}", "template": text} for number, text in enumerate(templates)],
        "fallback": f"<p>{name} as ever.</p>",
        "fallback_text": f"{name} as ever.",
    }


def _with(text: str, blocks: Iterable[dict[str, Any]]) -> str:
    documents = {one["name"]: one for one in (*json.loads(text), *blocks)}
    return json.dumps(list(documents.values()))


@cache
def compiled() -> dict[str, str]:
    """Return the definitions layer's files, compiled once."""
    return compile_definitions(DEFINITIONS)


@contextmanager
def engine(patch: pytest.MonkeyPatch, folder: Path, *blocks: dict[str, Any]) -> Iterator[Engine]:
    """Run an engine; the environment, the definitions layer included, is that of a deployed function.

    Parameters
    ----------
    patch
        Takes back what is changed.
    folder
        For the layer.
    blocks
        Documents of blocks that the layer has beside the repository's, or in place of those of the same name.
    """
    package = folder / PACKAGE
    package.mkdir()
    for name, text in compiled().items():
        (package / name).write_text(_with(text, blocks) if name == "blocks.json" else text, encoding="utf-8")
    patch.syspath_prepend(str(folder))
    _forget()
    with mock_aws():
        s3, dynamodb, secrets = clients.s3(), clients.dynamodb(), clients.secrets_manager()
        create_tables(
            dynamodb,
            profiles="profiles",
            keyed=(
                "definitions",
                "decisions",
            ),
        )
        s3.create_bucket(Bucket="catalog", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        secrets.create_secret(Name="tokens", SecretString=json.dumps(SECRET))
        secrets.create_secret(Name="fetch", SecretString=json.dumps(CREDENTIALS))
        for name, value in {
            "PROFILES_TABLE": "profiles",
            "DEFINITIONS_TABLE": "definitions",
            "DECISIONS_TABLE": "decisions",
            "FETCH_SECRET_ID": "fetch",
            "TOKENS_SECRET_ID": "tokens",
            "CATALOG_BUCKET": "catalog",
            "CONTENT_URL": "https://mail.example",
        }.items():
            patch.setenv(name, value)
        with aws_over_http() as server:
            patch.setattr(dynamic_content, "start_up", StartUp(lambda: 0))
            profiles = ProfileTable(client=dynamodb, table="profiles")
            segments = SegmentEngine(definitions.segments())
            running = Engine(s3, dynamodb, secrets, profiles, segments, server)
            running.start(patch)
            running.put_catalog(json.dumps({"shop_url": "https://shop.example", "products": PRODUCTS}).encode())
            yield running
    _forget()


def _forget() -> None:
    clients._session.cache_clear()
    sys.modules.pop(PACKAGE, None)
    for definition in (definitions.segments, definitions.blocks, definitions.offers, definitions.countdowns):
        definition.cache_clear()
