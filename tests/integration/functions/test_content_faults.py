"""What can fail behind content: each time a 200 with what is left, counted under a name that raises an alarm."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from functions.dynamic_content import handler as dynamic_content
from infra.constructs.monitoring import LOSSES
from infra.jobs import DYNAMIC_CONTENT
from mailtailor.aws import decision_table, definitions
from mailtailor.aws.block_objects import MANIFEST_KEY, BlockObjects
from mailtailor.aws.direct import Patience
from mailtailor.aws.startup import StartUp
from mailtailor.content.block import Block
from mailtailor.content.decision import MessageKey
from mailtailor.content.files import load_block
from mailtailor.content.versions import document
from mailtailor.instant import HOUR, MINUTE
from mailtailor.tracking.tokens import MailingToken, sign_mailing
from tests.integration.aws_over_http import Trouble
from tests.integration.functions.capture_engine import KEYRING, PROFILE
from tests.integration.functions.content_engine import DEFINITIONS, Engine, block, engine, recipient, viewed

MESSAGE: Final = sign_mailing(KEYRING, MailingToken("spring"))
STATIC: Final = load_block(DEFINITIONS / "blocks" / "hero" / "block.yaml").fallback
PERSONAL: Final = "Still thinking about the Candle?"
WITHOUT_PRODUCTS: Final = "Hello Anna"
HANGS: Final = Trouble(seconds=2.5)
PATIENCE: Final = Patience(connect=0.3, read=0.4)
"""As deployed."""
BRAZE: Final = 2.0
"""Seconds after which Braze goes on without the block; our own limit is 0.8, the rest is for a busy machine."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    monkeypatch.setenv("MAILTAILOR_CLOCK_FILE", str(tmp_path / "offset"))
    faulty = block("faulty", "{{ nothing.here }}", "<p>Second best.</p>")
    hopeless = block("hopeless", "{{ nothing.here }}", "{{ 1 / 0 }}")
    with engine(monkeypatch, tmp_path, faulty, hopeless) as running:
        running.put_profile(viewed("2"))
        # moto loads each service at its first call, which takes seconds
        running.fetch(r=recipient(), m=sign_mailing(KEYRING, MailingToken("before")))
        yield running


def counted(output: str) -> set[str]:
    """Return the metrics that were written and raise an alarm."""
    lines = [json.loads(line) for line in output.splitlines() if '"_aws"' in line]
    return {name for line in lines for name in line} & set(LOSSES[DYNAMIC_CONTENT])


@dataclass(frozen=True)
class Fault:
    """Something that fails.

    Attributes
    ----------
    trouble
        By service or call.
    warm
        Whether the function had answered before.
    shown, counted
        What is in the answer, and what counts it.
    """

    trouble: dict[str, Trouble]
    warm: bool
    shown: str
    counted: set[str]


THROTTLED: Final = Trouble(status=400, code="ProvisionedThroughputExceededException")
BROKEN: Final = Trouble(status=500, code="InternalServerError")
CLOSED: Final = Trouble(hang_up=True)
FAULTS: Final = {
    **{
        f"DynamoDB {how}": Fault({"dynamodb:BatchGetItem": trouble}, True, STATIC, {"ContentFaults"})
        for how, trouble in {"throttles": THROTTLED, "fails": BROKEN, "hangs": HANGS, "is down": CLOSED}.items()
    },
    "DynamoDB is slow": Fault({"dynamodb": Trouble(seconds=0.15)}, True, PERSONAL, set()),
    **{
        f"writing {how}": Fault({"dynamodb:UpdateItem": trouble}, True, PERSONAL, {"DecisionsNotStored"})
        for how, trouble in {"is throttled": THROTTLED, "fails": BROKEN, "hangs": HANGS, "is down": CLOSED}.items()
    },
    **{
        f"S3 {how} at the start": Fault(
            {"s3": trouble}, False, WITHOUT_PRODUCTS, {"CatalogUnreadable", "BlocksRefused"}
        )
        for how, trouble in {"fails": BROKEN, "hangs": HANGS, "is down": CLOSED}.items()
    },
    **{
        f"Secrets Manager {how} at the start": Fault({"secretsmanager": trouble}, False, STATIC, {"ContentFaults"})
        for how, trouble in {"throttles": THROTTLED, "fails": BROKEN, "hangs": HANGS, "is down": CLOSED}.items()
    },
    "everything hangs": Fault({"dynamodb": HANGS, "s3": HANGS}, True, STATIC, {"ContentFaults"}),
    "it cannot be read which segments rule": Fault(
        {"dynamodb:GetItem": BROKEN}, False, STATIC, {"ContentFaults", "DefinitionsUnreadable"}
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_no_more_than_what_it_hides(
    world: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    # given
    fault = FAULTS[name]
    world.start(monkeypatch, budget=800, patience=PATIENCE)
    if fault.warm:
        world.fetch(r=recipient())
    capsys.readouterr()
    world.server.trouble |= fault.trouble

    # when
    start = time.monotonic()
    answer = world.fetch(r=recipient(), m=MESSAGE)
    elapsed = time.monotonic() - start

    # then
    assert answer["statusCode"] == 200
    assert fault.shown in answer["body"]
    assert counted(capsys.readouterr().out) == fault.counted
    assert elapsed < BRAZE


@pytest.mark.parametrize(
    ("trouble", "metrics"),
    [({"s3": BROKEN}, {"CatalogUnreadable", "BlocksRefused"}), ({"secretsmanager": BROKEN}, {"SecretsUnreadable"})],
)
def test_what_was_read_before_serves_while_it_cannot_be_read_again(
    world: Engine, capsys: pytest.CaptureFixture[str], tmp_path: Path, trouble: dict[str, Trouble], metrics: set[str]
) -> None:
    # given a function whose copies are old
    world.server.trouble |= trouble
    (tmp_path / "offset").write_text(str(11 * MINUTE))

    # when
    answer = world.fetch(r=recipient())
    time.sleep(0.2)
    world.fetch(r=recipient())

    # then
    assert PERSONAL in answer["body"]
    assert counted(capsys.readouterr().out) == metrics


@pytest.mark.parametrize("content", [b"", b"{not json", b"[]", b"\xff\xfe"])
def test_a_corrupt_catalog_costs_the_products_at_the_start_and_nothing_later(
    world: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    content: bytes,
) -> None:
    # given
    world.put_catalog(content)
    (tmp_path / "offset").write_text(str(6 * MINUTE))

    # when
    later = world.fetch(r=recipient())["body"]
    world.start(monkeypatch)
    at_the_start = world.fetch(r=recipient())["body"]

    # then
    assert PERSONAL in later
    assert WITHOUT_PRODUCTS in at_the_start
    assert "Candle" not in at_the_start
    assert counted(capsys.readouterr().out) == {"CatalogUnreadable"}


def test_a_corrupt_manifest_leaves_the_blocks_as_deployed(
    world: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    world.s3.put_object(Bucket="catalog", Key=MANIFEST_KEY, Body=b"{not json")
    world.start(monkeypatch)

    # then
    assert PERSONAL in world.fetch(r=recipient())["body"]
    assert counted(capsys.readouterr().out) == {"BlocksRefused"}
    # then: nobody knows whether this one was published, so its mail does not fail
    assert world.fetch("/content/other", r=recipient())["statusCode"] == 200


def test_a_version_that_is_not_what_was_approved_is_not_shown(
    world: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given a version that somebody wrote over
    objects = BlockObjects(world.s3, "catalog")
    made = document(Block.model_validate(block("hero", "<p>Approved.</p>")))
    objects.add("hero", made)
    objects.change(lambda manifest: manifest.pushed("hero", made.sha256, 1).shown("hero"))
    key = next(one["Key"] for one in world.s3.list_objects_v2(Bucket="catalog", Prefix="blocks/versions/")["Contents"])
    approved = world.s3.get_object(Bucket="catalog", Key=key)["Body"].read()
    world.start(monkeypatch)
    assert "Approved." in world.fetch(r=recipient())["body"]

    # when
    world.s3.put_object(Bucket="catalog", Key=key, Body=approved.replace(b"Approved.", b"Forged.00"))
    world.start(monkeypatch)
    answer = world.fetch(r=recipient())["body"]

    # then
    assert PERSONAL in answer
    assert counted(capsys.readouterr().out) == {"BlocksRefused"}


def test_a_published_block_that_cannot_be_read_and_was_never_deployed_inserts_nothing(
    world: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    BlockObjects(world.s3, "catalog").change(lambda manifest: manifest.pushed("extra", "a" * 64, 1).shown("extra"))
    world.start(monkeypatch)

    # when
    answer = world.fetch("/content/extra", r=recipient())

    # then
    assert (answer["statusCode"], answer["body"]) == (200, "")
    assert counted(capsys.readouterr().out) == {"BlocksRefused", "ContentFaults"}


def test_a_corrupt_profile_gives_the_fallback(world: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    world.dynamodb.put_item(
        TableName="profiles", Item={"id": {"S": PROFILE}, "version": {"N": "9"}, "streams": {"B": b"\xff"}}
    )

    assert world.fetch(r=recipient())["body"] == STATIC
    assert counted(capsys.readouterr().out) == {"ContentFaults"}


def test_a_corrupt_decision_is_made_again(world: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    item = decision_table.key(MessageKey(PROFILE, "spring", "")) | {"hero@0": {"S": "{"}}
    world.dynamodb.put_item(TableName="decisions", Item=item)

    assert PERSONAL in world.fetch(r=recipient(), m=MESSAGE)["body"]
    assert "DecisionsUnreadable" in counted(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "shown"), [("faulty", "<p>Second best.</p>"), ("hopeless", "<p>hopeless as ever.</p>")]
)
def test_a_template_that_raises_gives_way_to_the_next_and_all_of_them_to_the_fallback(
    world: Engine, capsys: pytest.CaptureFixture[str], name: str, shown: str
) -> None:
    assert world.fetch(f"/content/{name}", r=recipient())["body"] == shown
    assert counted(capsys.readouterr().out) == {"VariantFaults"}


def test_one_block_that_fails_takes_no_other_with_it(world: Engine) -> None:
    answers = json.loads(world.fetch("/content/hero,hopeless,faulty.json", r=recipient())["body"])

    assert {name: one["variant"] for name, one in answers.items()} == {
        "hero": "products",
        "hopeless": "fallback",
        "faulty": "v1",
    }


def test_missing_settings_give_the_fallback(
    world: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PROFILES_TABLE")
    world.start(monkeypatch)

    assert world.fetch(r=recipient())["body"] == STATIC
    # then: a block that perhaps was published does not fail its mail
    assert world.fetch("/content/other", r=recipient())["statusCode"] == 200
    assert counted(capsys.readouterr().out) == {"ContentFaults"}


def test_a_layer_without_blocks_inserts_nothing_and_says_what_to_do(
    world: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # given
    world.forget()
    world.start(monkeypatch)
    monkeypatch.setattr(definitions, "PACKAGE", "not_deployed")

    # when
    answers = [world.fetch(path, r=recipient()) for path in ("/content/hero", "/content/hero.json")]

    # then
    assert [(answer["statusCode"], answer["body"]) for answer in answers] == [(200, ""), (200, "{}")]
    assert "Build and deploy the definitions layer again." in caplog.text
    assert counted(capsys.readouterr().out) == {"ContentFailed"}


def test_a_start_that_used_up_the_time_gives_the_fallback_once(
    world: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given a request that waited for 900 ms until the function had started
    world.start(monkeypatch, budget=800, patience=PATIENCE)
    monkeypatch.setattr(dynamic_content, "start_up", StartUp(lambda: 900))

    # when
    answers = [world.fetch(r=recipient(), received=-900)["body"] for _ in range(2)]

    # then
    assert answers[0] == STATIC
    assert PERSONAL in answers[1]
    assert counted(capsys.readouterr().out) == {"ContentFaults"}


@pytest.mark.parametrize("skew", [-HOUR, HOUR])
def test_an_api_whose_clock_is_wrong_costs_nobody_anything(
    world: Engine, monkeypatch: pytest.MonkeyPatch, skew: int
) -> None:
    world.start(monkeypatch)
    monkeypatch.setattr(dynamic_content, "start_up", StartUp(lambda: 300))

    assert PERSONAL in world.fetch(r=recipient(), received=skew)["body"]
    assert PERSONAL in world.fetch(r=recipient(), received=skew)["body"]


@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "InvalidSignatureException", "ExpiredTokenException"])
def test_a_function_whose_clock_is_wrong_gives_the_fallback(
    world: Engine, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    # given: AWS refuses what is signed minutes off its own time
    world.server.trouble["dynamodb"] = Trouble(status=400, code=code)

    assert world.fetch(r=recipient())["body"] == STATIC
    assert counted(capsys.readouterr().out) == {"ContentFaults"}


@pytest.mark.parametrize("years", [-30, 30])
def test_a_clock_that_is_years_off_changes_what_is_true_and_breaks_nothing(
    world: Engine, tmp_path: Path, years: int
) -> None:
    (tmp_path / "offset").write_text(str(years * 365 * 24 * HOUR))

    assert world.fetch(r=recipient(), m=MESSAGE)["statusCode"] == 200


HOSTILE: Final = ("'", '"><script>', "%00", "\x00", "\ud800", "a" * 9_000, "{{7*7}}", "../../etc/passwd", "\u202e")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("parameter", ["r", "m", "p", "season"])
def test_whatever_stands_in_a_query_is_answered_and_never_printed(world: Engine, parameter: str, text: str) -> None:
    # given
    query = {"r": recipient(), "m": MESSAGE} | {parameter: text}

    # when
    answer = world.fetch(query=query, headers={"Authorization": text, "If-None-Match": text})

    # then
    assert answer["statusCode"] == 200
    assert text == "'" or text not in answer["body"]


@pytest.mark.parametrize("broken", [{}, {"rawPath": "/content/hero", "body": "!", "isBase64Encoded": True}])
def test_an_event_of_another_form_is_answered(world: Engine, broken: dict[str, Any]) -> None:
    answers: Callable[..., dict[str, Any]] = dynamic_content.handler

    assert answers(broken, world.context)["statusCode"] in {200, 404}
