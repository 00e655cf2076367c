"""Content: the warm handler, its first answer in a fresh process beside an import of boto3, and rendering alone.

The network is a stub at the clients' edge: `direct.Host.ask` gives what AWS would.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Final

from infra.build.definitions import PACKAGE, compile_definitions
from mailtailor.aws import direct
from mailtailor.aws.clock import system_clock
from mailtailor.aws.profile_item import encode
from mailtailor.consent.policy import Consent, Purpose
from mailtailor.content.block import Block
from mailtailor.content.catalog import Catalog, parse
from mailtailor.content.render import Format, Renderer
from mailtailor.content.select import RecipientView, Request, Shelf, serve
from mailtailor.instant import HOUR
from mailtailor.profiles.profile import Attribute, Profile
from mailtailor.segments.engine import Engine
from mailtailor.segments.files import load_segments
from mailtailor.tracking import tokens
from tests.demonstration import SEGMENTS

ROOT: Final = Path(__file__).parents[2]
DEFINITIONS: Final = ROOT / "layers" / "definitions"
SECRET: Final = {"active": "k1", "k1": "a-secret-of-the-benchmark-that-is-long-enough"}
PROFILE: Final = "A" * 22
PRODUCTS: Final = 12
GRID: Final = """\
<h2>For you, {{ recipient.first_name | default("there") }}</h2>
<table role="presentation" width="600">
{% for product in products %}
<tr><td>{% if product.image_url %}<img src="{{ product.image_url }}" width="180" alt="">{% endif %}</td>
<td><a href="{{ track(product.url, product_id=product.id, category=product.category) }}">
{{ product.name | truncate(60) }}</a>
<br>{{ product.price }}{% if product.why == "viewed" %} &middot; you looked at it{% endif %}</td></tr>
{% endfor %}
</table>
{% if offer is defined %}<p>{{ offer.headline }}: <a href="{{ track(offer.url) }}">{{ offer.text }}</a></p>{% endif %}
"""
BLOCK: Final[dict[str, Any]] = {
    "name": "grid",
    "description": "Twelve products.",
    "products": PRODUCTS,
    "variants": [{"name": "products", "needs": {"products": 1}, "template": GRID}],
    "fallback": "<p>Have a look.</p>",
    "fallback_text": "Have a look.",
}
ENVIRONMENT: Final = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_LAMBDA_FUNCTION_NAME": "dynamic_content",
    "POWERTOOLS_METRICS_NAMESPACE": "Mailtailor",
    "POWERTOOLS_SERVICE_NAME": "dynamic_content",
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
    "PROFILES_TABLE": "profiles",
    "DECISIONS_TABLE": "decisions",
    "DEFINITIONS_TABLE": "definitions",
    "REFRESH_SECONDS": "3600",
    "TOKENS_SECRET_ID": "tokens",
    "FETCH_SECRET_ID": "fetch",
    "CATALOG_BUCKET": "catalog",
    "CONTENT_URL": "https://mail.example",
    "TIME_BUDGET_MS": "60000",
}

_BOTO3: Final = """
import time
start = time.process_time()
import boto3
def handler(event, context):
    return {"statusCode": 200}
handler({}, None)
print(time.process_time() - start)
"""
_CONTENT: Final = """
import time
start = time.process_time()
import json, os, sys
import handler
from mailtailor.aws import direct
replies = {name: direct.Reply(*reply) for name, reply in json.load(open(os.environ["REPLIES"])).items()}
def ask(host, method, path, headers, body=b""):
    if b'"rollout"' in body:  # nothing was ever applied
        return direct.Reply(200, {}, b"{}")
    reply = replies[headers.get("x-amz-target", path.rpartition("/")[2])]
    return reply._replace(body=reply.body.encode())
direct.Host.ask = ask
class Context: function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"
answer = handler.handler(json.load(open(os.environ["EVENT"])), Context())
end = time.process_time()
assert "you looked at it" in answer["body"], answer
print(end - start)
"""


def catalog() -> bytes:
    """Return a catalog of a shop with 500 products."""
    categories = [f"Category {number}" for number in range(8)]
    products = [
        {
            "id": f"{10_000 + rank}A",
            "name": f"Hand painted lantern number {rank}, with a candle",
            "price": 2.5,
            "url": f"https://shop.example/products/{rank}",
            "image_url": f"https://shop.example/images/{rank}.jpg",
            "category": categories[rank % 8],
            "rank": rank,
        }
        for rank in range(1, 501)
    ]
    return json.dumps({"shop_url": "https://shop.example", "products": products}).encode()


def person() -> Profile:
    """Return somebody who looked at six products an hour ago."""
    at = system_clock() - HOUR
    profile = Profile(PROFILE)
    profile.attributes = {"first_name": Attribute("Anna", at), "country": Attribute("United Kingdom", at)}
    profile.consent = {Purpose.PERSONALIZATION: Consent(granted=True, at=at)}
    engine = Engine(load_segments(SEGMENTS))
    for number in range(6):
        properties = {"product_id": f"{10_001 + number}A", "category": "Category 1"}
        engine.memory.record(
            profile.streams, event_id=str(number), event_type="product_viewed", at=at + number, properties=properties
        )
    return profile


def replies() -> dict[str, direct.Reply]:
    """Return what AWS answers, by operation or object."""
    item = encode(person(), ())
    item["streams"] = {"B": base64.b64encode(item["streams"]["B"]).decode()}
    answers: Mapping[str, Any] = {
        "DynamoDB_20120810.GetItem": {"Item": item},
        "DynamoDB_20120810.BatchGetItem": {"Responses": {"profiles": [item], "decisions": []}, "UnprocessedKeys": {}},
        "DynamoDB_20120810.UpdateItem": {"Attributes": {}},
        "secretsmanager.GetSecretValue": {"SecretString": json.dumps(SECRET)},
    }
    known = {name: direct.Reply(200, {}, json.dumps(answer).encode()) for name, answer in answers.items()}
    known["DynamoDB_20120810.GetItem"] = direct.Reply(200, {}, json.dumps({"Item": item}).encode())
    return known | {
        "catalog.json": direct.Reply(200, {"etag": '"1"'}, catalog()),
        "manifest.json": direct.Reply(404, {}, b"<Code>NoSuchKey</Code>"),
    }


def event(message: str = "send-1") -> dict[str, Any]:
    """Return a fetch of the block for a message."""
    keyring = tokens.Keyring.from_secret(SECRET)
    query = {
        "r": tokens.sign_recipient(keyring, tokens.RecipientToken(PROFILE, tokens.Purpose.CONTENT)),
        "m": tokens.sign_mailing(keyring, tokens.MailingToken("spring", message)),
    }
    return {
        "rawPath": "/content/grid",
        "headers": {"host": "mail.example"},
        "queryStringParameters": query,
        "requestContext": {"requestId": "r", "http": {"method": "GET", "sourceIp": "192.0.2.1"}},
        "isBase64Encoded": False,
    }


def write_definitions(folder: Path) -> None:
    """Write the definitions layer, with the block of twelve products, into a folder of the import path."""
    package = folder / PACKAGE
    package.mkdir(parents=True)
    for name, text in compile_definitions(DEFINITIONS).items():
        whole = json.dumps([*json.loads(text), BLOCK]) if name == "blocks.json" else text
        (package / name).write_text(whole, encoding="utf-8")


def first_answers(folder: Path, *, runs: int) -> list[tuple[float, float]]:
    """Return the seconds of processor that a fresh process takes to the first answer, and one to import boto3.

    Parameters
    ----------
    folder
        An empty one, for the definitions layer.
    runs
        How many pairs, measured in turn.
    """
    write_definitions(folder)
    known = {name: (reply.status, reply.headers, reply.body.decode()) for name, reply in replies().items()}
    (folder / "replies.json").write_text(json.dumps(known))
    (folder / "event.json").write_text(json.dumps(event()))
    paths = [ROOT / "functions" / "dynamic_content", ROOT / "layers" / "mailtailor" / "python", folder]
    environment = {
        **os.environ,
        **ENVIRONMENT,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "REPLIES": str(folder / "replies.json"),
        "EVENT": str(folder / "event.json"),
    }
    _seconds(_CONTENT, environment)
    return [(_seconds(_CONTENT, environment), _seconds(_BOTO3, environment)) for _ in range(runs)]


def first_answer(folder: Path, *, runs: int) -> float:
    """Return how long the first answer takes beside an import of boto3: the median of the pairs' ratios."""
    return median(ours / theirs for ours, theirs in first_answers(folder, runs=runs))


def _seconds(code: str, environment: Mapping[str, str]) -> float:
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def warm(folder: Path) -> tuple[Callable[[], Any], list[str]]:
    """Return a call of the warm handler, each for another message, and what it asks of AWS."""
    write_definitions(folder)
    sys.path.insert(0, str(folder))
    os.environ.update(ENVIRONMENT)
    known, asked = replies(), []

    def ask(host: direct.Host, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> direct.Reply:
        del host, method
        if b'"rollout"' in body:  # nothing was ever applied
            return direct.Reply(200, {}, b"{}")
        asked.append(headers.get("x-amz-target", path).rpartition(".")[2])
        return known[headers.get("x-amz-target", path.rpartition("/")[2])]

    direct.Host.ask = ask  # type: ignore[assignment, method-assign]
    from functions.dynamic_content import handler  # noqa: PLC0415 - after the environment is set

    context = type("Context", (), dict.fromkeys(("function_name", "memory_limit_in_mb"), "x"))()
    context.invoked_function_arn = context.aws_request_id = "x"
    numbers = count()

    def call() -> dict[str, Any]:
        answer: dict[str, Any] = handler.handler(event(f"send-{next(numbers)}"), context)
        return answer

    if "you looked at it" not in call()["body"]:
        raise AssertionError("the benchmark's block was not shown")
    return call, asked


def renders(*, seconds: float) -> float:
    """Return how many times a second a core chooses and renders a block of twelve products."""
    engine = Engine(load_segments(SEGMENTS))
    renderer, shelf = Renderer(Block.model_validate(BLOCK), engine.audience), Shelf(_parsed(), ())
    now, profile = system_clock(), person()
    view = RecipientView(
        engine.reader(profile, now), {"first_name": "Anna"}, engine.memory.recent(profile.streams, "viewed"), (), now
    )

    def track(url: str, **_: str) -> str:
        return url

    done, end = 0, time.process_time() + seconds
    while time.process_time() < end:
        served = serve(renderer, Request(Format.HTML), view, shelf, track)
        done += 1
    if served.body.count("<tr>") != PRODUCTS:
        raise AssertionError("the benchmark's block does not show its products")
    return done / seconds


def _parsed() -> Catalog:
    return parse(catalog()).catalog
