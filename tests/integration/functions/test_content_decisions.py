"""Repeated fetches for one message: what they agree on, what is stored, and what rules over it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.dynamic_content import handler as dynamic_content
from mailtailor.aws import decision_table
from mailtailor.aws.direct import Patience
from mailtailor.content.decision import Decision, MessageKey
from mailtailor.tracking.tokens import MailingToken, sign_mailing
from tests.integration.aws_over_http import Trouble
from tests.integration.functions.capture_engine import KEYRING, PROFILE
from tests.integration.functions.content_engine import Engine, block, engine, ordered, recipient, shared_block, viewed

MESSAGE = sign_mailing(KEYRING, MailingToken("spring", "send-7"))
SLOW = Patience(connect=5, read=5)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    faulty = block("faulty", "{{ nothing.here }}", "<p>Second best.</p>")
    with engine(monkeypatch, tmp_path, shared_block("notice", seconds=600), faulty) as running:
        yield running


def body(world: Engine, path: str = "/content/hero", **query: str) -> str:
    """Return what a fetch for the message shows."""
    answer = world.fetch(path, r=recipient(), m=query.get("m", MESSAGE))
    assert answer["statusCode"] == 200
    return str(answer["body"])


def variant(world: Engine, path: str = "/content/hero.json", **query: str) -> str:
    return str(json.loads(body(world, path, **query))["variant"])


def stored(world: Engine) -> dict[str, Decision]:
    """Return the decisions of the only message there is, by their blocks."""
    (item,) = world.decisions()
    return {name.partition("@")[0]: one for name, one in decision_table.decisions(item).items()}


def until(condition: Callable[[], Any]) -> None:
    """Wait until something holds that a thread brings about."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_each_fetch_for_a_message_is_the_same_to_the_byte_whatever_was_done_meanwhile(world: Engine) -> None:
    # given
    world.put_profile(viewed("2"))
    first = body(world)

    # when she bought what she was shown
    world.put_profile(viewed("2"), ordered("2"), ordered("1"))

    # then
    assert body(world) == first
    assert "Still thinking about the Candle?" in body(world, "/content/hero.txt")
    assert variant(world) == "products"
    # then: another message is decided anew
    assert variant(world, m=sign_mailing(KEYRING, MailingToken("spring", "send-8"))) == "offer"


def test_without_a_message_nothing_is_stored_and_each_fetch_shows_what_is_true_now(world: Engine) -> None:
    world.put_profile(viewed("2"))
    assert "Candle" in body(world, m="")

    world.put_profile(ordered("2"))

    assert variant(world, m="tampered") == "offer"
    assert world.decisions() == []


def test_a_decision_says_what_was_shown_and_why(world: Engine) -> None:
    world.put_profile(ordered("2"))

    body(world)

    decision = stored(world)["hero"]
    assert (decision.variant, decision.offer) == ("offer", "london_late_opening")
    assert [(one.variant, one.reason) for one in decision.skipped] == [("products", "audience")]
    assert {why for _, why in decision.products} == {"category"}
    assert decision_table.message(world.decisions()[0]) == MessageKey(PROFILE, "spring", "send-7")


def test_all_blocks_of_a_fetch_are_decided_by_one_write_and_what_is_the_same_for_all_is_not(world: Engine) -> None:
    world.put_profile(viewed("2"))

    body(world, "/content/hero,faulty,notice.json")

    assert world.reads.count("dynamodb:UpdateItem") == 1
    assert set(stored(world)) == {"hero", "faulty"}


def test_consent_withdrawn_between_two_fetches_rules_over_what_was_decided(world: Engine) -> None:
    # given
    world.put_profile(viewed("2"))
    assert variant(world) == "products"

    # when
    world.put_profile(viewed("2"), consent=False)

    # then
    assert variant(world) == "fallback"


@pytest.mark.parametrize("token", [recipient(epoch=7), "x", ""])
def test_of_whom_nothing_may_be_known_nothing_is_stored(world: Engine, token: str) -> None:
    world.put_profile(viewed("2"), consent=False)

    world.fetch(r=recipient(), m=MESSAGE)
    world.fetch(r=token, m=MESSAGE)

    assert world.decisions() == []


def test_who_decides_at_the_same_moment_learns_what_the_other_one_decided(
    world: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: another function that decides after this one has read
    world.put_profile(viewed("2"))
    given = dynamic_content.dependencies()
    find = given.recipients.find

    def find_and_be_overtaken(asked: Any) -> Any:
        found = find(asked)
        world.put_profile(ordered("2"))
        monkeypatch.setattr(type(given.recipients), "find", lambda _, asked: find(asked))
        assert "Late opening" in body(world)
        return found

    monkeypatch.setattr(type(given.recipients), "find", lambda _, asked: find_and_be_overtaken(asked))

    # when
    overtaken = body(world)

    # then
    assert "Late opening" in overtaken
    assert overtaken == body(world)


def test_who_is_found_too_late_is_shown_the_fallback_now_and_later(
    world: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    world.put_profile(viewed("2"))
    world.start(monkeypatch, budget=1_500, patience=SLOW)
    body(world, m="")
    world.server.trouble["dynamodb:BatchGetItem"] = Trouble(seconds=2.5)

    # when
    assert variant(world) == "fallback"

    # then the profile arrives, and nobody sees anything else any more
    world.server.trouble.clear()
    until(world.decisions)
    assert stored(world)["hero"].skipped == (("", "late"),)
    assert variant(world) == "fallback"


def test_an_answer_does_not_wait_for_a_slow_write_when_the_definitions_were_late_and_not_the_recipient(
    world: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    world.put_profile(viewed("2"))
    body(world, m=sign_mailing(KEYRING, MailingToken("before")))
    before = len(world.decisions())
    world.start(monkeypatch, budget=1_500, patience=SLOW)
    world.server.trouble |= {"dynamodb:GetItem": Trouble(seconds=4), "dynamodb:UpdateItem": Trouble(seconds=4)}

    # when
    start = time.monotonic()
    assert variant(world) == "fallback"

    # then
    assert time.monotonic() - start < 4
    until(lambda: len(world.decisions()) > before)


def test_an_answer_does_not_wait_for_a_slow_write_and_the_write_still_counts(
    world: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    world.put_profile(viewed("2"))
    world.start(monkeypatch, budget=1_500, patience=SLOW)
    body(world, m="")
    world.server.trouble["dynamodb:UpdateItem"] = Trouble(seconds=2.5)

    # when
    first = body(world)

    # then
    assert "Candle" in first
    assert "DecisionsNotStored" in capsys.readouterr().out
    assert world.decisions() == []
    until(world.decisions)
    world.put_profile(ordered("2"))
    assert body(world) == first


def test_a_decision_that_cannot_be_read_is_made_again_beside_it(
    world: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    world.put_profile(viewed("2"))
    broken = decision_table.key(MessageKey(PROFILE, "spring", "send-7")) | {"hero@other": {"S": "{"}}
    world.dynamodb.put_item(TableName="decisions", Item=broken)

    # then
    assert "Candle" in body(world)
    assert '"DecisionsUnreadable":[1.0]' in capsys.readouterr().out


def test_another_version_of_a_block_decides_anew_beside_the_decision_before(
    world: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    world.put_profile(viewed("2"))
    assert variant(world) == "products"
    world.put_profile(ordered("2"))

    # when
    given = dynamic_content.dependencies()
    monkeypatch.setattr(given.blocks.find("hero").renderer, "version", "another")  # type: ignore[union-attr]

    # then
    assert variant(world) == "offer"
    assert len(decision_table.decisions(world.decisions()[0])) == 2


def test_a_tenth_of_the_messages_is_logged_and_every_fault(world: Engine) -> None:
    # given
    world.put_profile(viewed("2"))

    # when
    for number in range(60):
        body(world, m=sign_mailing(KEYRING, MailingToken("spring", f"send-{number}")))
    body(world, "/content/faulty", m=sign_mailing(KEYRING, MailingToken("faulty")))

    # then
    flags = {decision_table.message(item): ("logged" in item, "sampled" in item) for item in world.decisions()}
    faulty = flags.pop(MessageKey(PROFILE, "faulty", ""))
    assert faulty[0]
    assert {logged == sampled for logged, sampled in flags.values()} == {True}
    assert 1 <= sum(sampled for _, sampled in flags.values()) <= 15
