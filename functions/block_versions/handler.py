"""Routes under /admin/blocks: which versions there are, a new one, and which one is shown.

GET /admin/blocks, GET .../{block}/versions, PUT .../{block}, POST .../{block}/publish, POST .../{block}/rollback. The
routes have an authorizer; this function trusts whoever may invoke it. It compiles what it is sent, fetches nothing, and
runs templates in their sandbox with sample data alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import unquote

from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_HTTP
from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws import clients, definitions, http, live_definitions
from mailtailor.aws.block_objects import BlockObjects
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.content.address import is_name
from mailtailor.content.admin_request import read_request
from mailtailor.content.block import Block
from mailtailor.content.files import check_references
from mailtailor.content.sent_files import MAX_BYTES, PublishRequest, PushRequest, checked, refusal, written
from mailtailor.content.versions import DEPLOYED, History, Manifest, Version
from mailtailor.definition_files import DefinitionError
from mailtailor.errors import MailtailorError, NotFound, Unavailable
from mailtailor.events.untrusted import parse, plain
from mailtailor.segments.engine import Engines
from mailtailor.segments.live import DefinitionsUnknown

_PATH: Final = re.compile(r"/admin/blocks(?:/(?P<name>[^/]+)(?:/(?P<what>versions|publish|rollback))?)?")


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment."""

    catalog_bucket: str
    definitions_table: str
    refresh_seconds: int = 10


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with."""

    objects: BlockObjects
    engines: Engines
    deployed: Mapping[str, Block]
    clock: Clock


def connect() -> Dependencies:
    """Return the dependencies that the environment names."""
    settings, clock = from_environment(Settings), clock_from_environment()
    return Dependencies(
        objects=BlockObjects(clients.s3(timeout=5), settings.catalog_bucket),
        engines=live_definitions.for_readers(
            clients.dynamodb(timeout=2),
            settings.definitions_table,
            refresh_seconds=settings.refresh_seconds,
            clock=clock,
        ),
        deployed={block.name: block for block in definitions.blocks()},
        clock=clock,
    )


dependencies = prepared(connect)


def answer(request: http.Request, given: Dependencies) -> dict[str, Any]:
    """Return what there is now.

    Raises
    ------
    MailtailorError
        If it asks for what there is not, or sends what cannot be published; nothing is changed then.
    """
    asked = _PATH.fullmatch(request.path)
    name = unquote(asked["name"] or "") if asked else ""
    if asked is None or (name and not is_name(name)):
        raise NotFound("There is nothing at this address.", "Ask for /admin/blocks or /admin/blocks/{block}/versions.")
    match (request.method, bool(name), asked["what"]):
        case ("GET", False, None):
            return _all(given.objects.manifest(), given.deployed)
        case ("GET", True, "versions"):
            return _versions(name, given.objects.manifest().history(name))
        case ("PUT", True, None):
            return _push(name, read_request(_body(request), PushRequest), given)
        case ("POST", True, "publish"):
            wish = read_request(_body(request) if request.body else {}, PublishRequest)
            return _versions(name, given.objects.publish(name, wish.version).history(name))
        case ("POST", True, "rollback"):
            return _versions(name, given.objects.roll_back(name).history(name))
        case _:
            raise NotFound("There is nothing at this address for this method.", "PUT a block, POST to publish it.")


def _body(request: http.Request) -> Any:  # noqa: ANN401 - JSON from outside is anything
    return parse(plain(request.body, request.headers.get("content-encoding", ""), limit=MAX_BYTES))


def _push(name: str, wish: PushRequest, given: Dependencies) -> dict[str, Any]:
    with TemporaryDirectory() as directory:
        file = written(name, wish, Path(directory))
        block, found = checked(file)
        try:
            # What names segments may use is declared in files alone; functions take any.
            others = _insertable(block, given)
            check_references([block], Path(directory), engine=given.engines.of(""), vocabulary=None, others=others)
        except DefinitionError as error:
            raise refusal(error, file.parent) from error
    made = given.objects.push([block], given.clock(), note=wish.note, after=wish.after, publish=wish.publish)
    count("BlocksPushed")
    said = [{"level": one.level, "file": one.file, "line": one.line, "message": one.message} for one in found.findings]
    history = made.history(name)
    shown = {"block": name, "version": history.newest.number, "published": history.published}
    return http.json_response(200, {**shown, "findings": said})


def _insertable(block: Block, given: Dependencies) -> dict[str, Block]:
    """Return the blocks that a block may insert: as deployed, and those that it inserts as they are shown."""
    found, manifest = dict(given.deployed), given.objects.manifest()
    for name in {nested.block for nested in block.blocks.values()}:
        version = manifest.published(name)
        if version is not None:
            found[name] = given.objects.block(name, version)
    return found


def _all(manifest: Manifest, deployed: Mapping[str, Block]) -> dict[str, Any]:
    listed = [
        {"block": name, "deployed": name in deployed, **_state(manifest.blocks.get(name))}
        for name in sorted({*manifest.blocks, *deployed})
    ]
    return http.json_response(200, {"blocks": listed})


def _state(history: History | None) -> dict[str, Any]:
    if history is None:
        return {"published": DEPLOYED, "newest": None}
    return {"published": history.published, "newest": _told(history.newest)}


def _versions(name: str, history: History) -> dict[str, Any]:
    told = [_told(version) for version in reversed(history.versions)]
    before = history.before[-1] if history.before else None
    payload = {"block": name, "published": history.published, "before": before, "versions": told}
    return http.json_response(200, payload)


def _told(version: Version) -> dict[str, Any]:
    return {"version": version.number, "at": version.at, "sha256": version.sha256, "note": version.note}


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_HTTP, clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    try:
        return answer(http.request(event), dependencies())
    except MailtailorError as error:
        refused = error
    except DefinitionsUnknown:
        refused = Unavailable("It cannot be read which segments there are.", "Try again in a moment.")
    except (BotoCoreError, ClientError) as error:
        logger.error("The catalog bucket does not answer.", extra={"error": type(error).__name__})
        refused = Unavailable("The catalog bucket does not answer.", "Try again in a moment.")
    count("BlockRequestsRefused", reason=type(refused).__name__)
    return http.error_response(refused)
