from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from functions.dynamic_content import handler as dynamic_content
from mailtailor.aws.block_objects import BlockObjects
from mailtailor.content.block import Block
from mailtailor.content.files import load_block
from mailtailor.content.links import first_position
from mailtailor.instant import MINUTE
from mailtailor.tracking.tokens import MailingToken, Purpose, read_link, read_recipient, sign_mailing
from tests.integration.aws_over_http import Trouble
from tests.integration.functions.capture_engine import FOREIGN, KEYRING, PROFILE, RETIRED
from tests.integration.functions.capture_engine import recipient as track_token
from tests.integration.functions.content_engine import (
    CREDENTIALS,
    DEFINITIONS,
    Engine,
    block,
    engine,
    ordered,
    recipient,
    shared_block,
    viewed,
)

FALLBACK = load_block(DEFINITIONS / "blocks" / "hero" / "block.yaml").fallback


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    with engine(monkeypatch, tmp_path, shared_block("notice", seconds=600)) as running:
        yield running


def assert_fallback(answer: dict[str, Any]) -> None:
    assert (answer["statusCode"], answer["body"]) == (200, FALLBACK)
    assert answer["headers"]["content-type"] == "text/html; charset=utf-8"
    assert not {"location", "set-cookie"} & set(answer["headers"])


def reasons(output: str) -> set[str]:
    """Return the reasons beside the metrics written."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {line["reason"] for line in lines if "_aws" in line and "reason" in line}


def without_links(body: str) -> str:
    """Return what is the same at each fetch; links tell when."""
    return re.sub(r'/c/[^"]+', "", body)


def links(body: str) -> list[str]:
    return list(dict.fromkeys(html.unescape(href) for href in re.findall(r'href="([^"]+)"', body)))


@pytest.mark.parametrize(
    ("events", "variant", "shown"),
    [
        ((viewed("2"),), "products", "Still thinking about the Candle?"),
        ((ordered("2"),), "offer", "Late opening in Covent Garden"),
        ((), "greeting", "Hello Anna"),
    ],
)
def test_what_a_recipient_did_decides_what_they_see(world: Engine, events: Any, variant: str, shown: str) -> None:
    # given
    world.put_profile(*events)

    # when
    answer = world.fetch("/content/hero.json", r=recipient())

    # then
    assert answer["statusCode"] == 200
    content = json.loads(answer["body"])
    assert (content["block"], content["variant"]) == ("hero", variant)
    assert shown in content["html"]


def test_html_json_and_text_are_of_one_block_and_private(world: Engine) -> None:
    # given
    world.put_profile(viewed("2"))

    # when
    answers = {
        suffix: world.fetch(f"/content/hero{suffix}", r=recipient()) for suffix in ("", ".html", ".json", ".txt")
    }

    # then
    types = {suffix: answer["headers"]["content-type"] for suffix, answer in answers.items()}
    assert types[""] == types[".html"] == "text/html; charset=utf-8"
    assert types[".json"] == "application/json; charset=utf-8"
    assert types[".txt"] == "text/plain; charset=utf-8"
    assert {answer["headers"]["cache-control"] for answer in answers.values()} == {"private, no-store"}
    assert answers[".txt"]["body"].startswith("Hello Anna,\nStill thinking about the Candle?")


def test_a_newsletter_holds_what_its_blocks_show_and_every_fetch_for_a_message_the_same(world: Engine) -> None:
    # given
    world.put_profile(viewed("2"))
    message = sign_mailing(KEYRING, MailingToken("spring", "send-7"))

    # when
    first = world.fetch("/content/newsletter.html", r=recipient(), m=message)
    world.put_profile(ordered("2"))
    again = world.fetch("/content/newsletter.html", r=recipient(), m=message)

    # then
    assert all(words in first["body"] for words in ("Hello Anna", "Candle", "Late opening in Covent Garden"))
    assert {urlsplit(link).netloc for link in links(first["body"])} >= {"mail.example"}
    assert again["body"] == first["body"]


def test_a_version_that_is_published_of_a_block_inside_another_is_shown_there(
    world: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    world.put_profile()
    text = Block.model_validate(block("text", "<p>A fresh story.</p>"))
    BlockObjects(world.s3, "catalog").push([text], at=1, publish=True)

    # when nobody asks for the inner block itself
    world.start(monkeypatch)

    # then
    assert "A fresh story." in world.fetch("/content/newsletter", r=recipient())["body"]


def test_the_image_of_a_countdown_is_on_the_host_of_the_content(world: Engine) -> None:
    # given
    world.put_profile()

    # when
    body = world.fetch("/content/newsletter", query={"r": recipient(), "reader": "a-token"})["body"]

    # then
    assert 'src="https://mail.example/image/winter_sale/a-token.gif"' in body


def test_links_in_a_block_go_through_the_redirect_and_say_what_they_show(world: Engine) -> None:
    # given
    world.put_profile(viewed("2"))
    message = sign_mailing(KEYRING, MailingToken("spring", "send-7"))

    # when
    first = links(world.fetch(r=recipient(), m=message)["body"])[0]

    # then
    prefix, link_token, recipient_token = first.rsplit("/", 2)
    link = read_link(KEYRING, link_token)
    assert prefix == "https://mail.example/c"
    assert (link.url, link.product_id, link.category) == ("https://shop.example/2", "2", "Lighting")
    assert (link.campaign, link.instance) == ("spring", "send-7")
    assert link.position == first_position("hero") + 1
    assert read_recipient(KEYRING, recipient_token, Purpose.TRACK).profile_id == PROFILE


def test_without_a_good_message_token_clicks_belong_to_the_block(world: Engine) -> None:
    world.put_profile(viewed("2"))

    first = links(world.fetch(r=recipient(), m="tampered")["body"])[0]

    assert read_link(KEYRING, first.rsplit("/", 2)[1]).campaign == "hero"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "anonymous"),
        ("x", "token_encoding"),
        (recipient()[:-4], "token_"),
        (track_token(), "token_signature"),
        (track_token(FOREIGN, Purpose.CONTENT), "token_signature"),
        ("\ufffd%%[", "token_encoding"),
        ("a" * 8_000, "token_length"),
    ],
)
def test_whoever_names_no_recipient_gets_the_fallback(
    world: Engine, capsys: pytest.CaptureFixture[str], token: str, reason: str
) -> None:
    world.put_profile(viewed("2"))

    assert_fallback(world.fetch(r=token))
    assert any(found.startswith(reason) for found in reasons(capsys.readouterr().out))


def test_a_token_of_a_retired_key_still_opens_the_profile(world: Engine) -> None:
    world.put_profile(viewed("2"))

    assert "Anna" in world.fetch(r=track_token(RETIRED, Purpose.CONTENT))["body"]


def test_a_revoked_token_gets_the_fallback(world: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    # given a profile whose tokens were revoked once
    world.put_profile(viewed("2"), epoch=1)

    # then
    assert_fallback(world.fetch(r=recipient(epoch=0)))
    assert reasons(capsys.readouterr().out) == {"revoked"}
    assert "Anna" in world.fetch(r=recipient(epoch=1))["body"]


def test_without_consent_nothing_personal_is_shown(world: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    world.put_profile(viewed("2"), consent=False)

    assert_fallback(world.fetch(r=recipient()))
    assert reasons(capsys.readouterr().out) == {"consent"}


def test_somebody_unknown_gets_the_fallback(world: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert_fallback(world.fetch(r=recipient()))
    assert reasons(capsys.readouterr().out) == {"unknown"}


@pytest.mark.parametrize(
    "path", ["/content/other", "/content/", "/content/a/b", "/content/hero.pdf", "/content/\ufffd"]
)
def test_an_unknown_block_is_404(world: Engine, path: str) -> None:
    assert world.fetch(path, r=recipient())["statusCode"] == 404


def test_a_probe_gets_the_headers_and_reads_no_profile(world: Engine) -> None:
    # given
    world.put_profile(viewed("2"))

    # when
    answer = world.fetch(method="HEAD", r=recipient())

    # then
    assert (answer["statusCode"], answer["body"], answer["headers"]["cache-control"]) == (200, "", "private, no-store")
    assert "dynamodb:GetItem" not in world.reads
    assert world.fetch("/content/other", method="HEAD")["statusCode"] == 404


def test_a_warm_function_reads_the_profile_once_and_nothing_else(world: Engine) -> None:
    # given
    world.put_profile(viewed("2"))
    world.fetch(r=recipient())
    # The profile, which definitions rule, the catalog, which blocks are published, and keys.
    assert world.reads == [
        *("dynamodb:GetItem", "dynamodb:GetItem", "s3:GetObject", "s3:GetObject", "secretsmanager:GetSecretValue")
    ]

    # when
    world.fetch(r=recipient())

    # then
    assert world.reads == ["dynamodb:GetItem"]


def test_the_first_fetch_for_a_message_reads_once_and_writes_once_and_all_others_read_once(world: Engine) -> None:
    # given
    world.put_profile(viewed("2"))
    world.fetch(r=recipient())
    message = sign_mailing(KEYRING, MailingToken("spring"))

    # when
    world.fetch(r=recipient(), m=message)
    assert world.reads == ["dynamodb:BatchGetItem", "dynamodb:UpdateItem"]

    # then
    for path in ("/content/hero.txt", "/content/hero.json", "/content/hero"):
        world.fetch(path, r=recipient(), m=message)
        assert world.reads == ["dynamodb:BatchGetItem"]


def test_a_new_catalog_is_seen_after_five_minutes_and_an_unchanged_one_not_read_again(
    world: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # given a clock that can be moved
    offset = tmp_path / "offset"
    monkeypatch.setenv("MAILTAILOR_CLOCK_FILE", str(offset))
    world.put_profile()
    assert "Lantern" in world.fetch(r=recipient())["body"]
    catalog = dynamic_content.dependencies().catalog
    before = catalog.value()

    # when it is old but unchanged
    offset.write_text(str(6 * MINUTE))

    # then S3 says so
    assert catalog.value() is before

    # when it was changed
    world.put_catalog(b'{"products": [{"id": "9", "name": "Teapot", "price": 1, "url": "https://shop.example/9"}]}')
    assert "Teapot" not in world.fetch(r=recipient())["body"]
    offset.write_text(str(12 * MINUTE))

    # then
    assert "Teapot" in world.fetch(r=recipient())["body"]


def test_no_catalog_at_all_is_an_empty_one(world: Engine) -> None:
    world.put_profile(viewed("2"))
    world.s3.delete_object(Bucket="catalog", Key="catalog.json")

    assert "It is good to have you with us." in world.fetch(r=recipient())["body"]


def test_nothing_personal_is_logged(
    world: Engine, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # given
    world.put_profile(viewed("2"))

    # when
    world.fetch(r=recipient())
    world.fetch(r=recipient()[:-2])
    world.server.trouble["dynamodb"] = Trouble(status=500, code="InternalServerError")
    world.fetch(r=recipient())

    # then
    output = capsys.readouterr().out + caplog.text
    assert "InternalServerError" in output
    assert "Anna" not in output
    assert recipient() not in output


def test_several_blocks_come_in_one_answer_by_one_read(world: Engine) -> None:
    # given
    world.put_profile(viewed("2"))
    alone = {name: world.fetch(f"/content/{name}", r=recipient())["body"] for name in ("hero", "notice")}

    # when
    in_html = world.fetch("/content/notice,hero", r=recipient())
    reads = world.reads
    in_json = world.fetch("/content/hero,notice.json", r=recipient())

    # then
    assert reads == ["dynamodb:GetItem"]
    without_links = [
        re.sub(r"/c/[^\"]+", "", text) for text in (in_html["body"], f"{alone['notice']}\n{alone['hero']}")
    ]
    assert without_links[0] == without_links[1]
    objects = json.loads(in_json["body"])
    assert {name: one["variant"] for name, one in objects.items()} == {"hero": "products", "notice": "plain"}
    assert in_html["headers"]["cache-control"] == in_json["headers"]["cache-control"] == "private, no-store"


def test_an_unknown_block_among_others_is_left_out_and_counted(
    world: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    world.put_profile(viewed("2"))

    # when
    answer = world.fetch("/content/hero,other.json", r=recipient())

    # then: the mail goes out with what there is
    assert answer["statusCode"] == 200
    assert list(json.loads(answer["body"])) == ["hero"]
    assert '"BlocksUnknown":[1.0]' in capsys.readouterr().out
    assert world.fetch("/content/other,another.json", r=recipient())["statusCode"] == 404


def test_who_asks_for_too_many_blocks_at_once_is_told_how_many_there_may_be(world: Engine) -> None:
    # when
    answer = world.fetch("/content/" + ",".join(["hero", *(f"b{number}" for number in range(10))]), r=recipient())
    # then
    assert answer["statusCode"] == 404
    assert json.loads(answer["body"])["message"] == "One fetch takes at most 10 blocks."


def test_of_an_address_that_names_no_block_nothing_is_logged(world: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    # when
    world.fetch("/content/anna@example.com", r=recipient())
    world.fetch("/content/others", r=recipient())
    # then
    written = capsys.readouterr().out
    assert '"reason":"not a name"' in written
    assert '"reason":"others"' in written
    assert "anna" not in written


def test_what_is_the_same_for_all_may_be_kept_and_need_not_be_sent_again(world: Engine) -> None:
    # given a shared block, and a personal one that nobody is named for
    for path, seconds in (("/content/notice", 600), ("/content/hero", 60), ("/content/hero,notice.json", 60)):
        # when
        first = world.fetch(path)
        etag = first["headers"]["etag"]
        again = world.fetch(path, headers={"If-None-Match": f'"x", W/{etag}'})

        # then
        assert first["headers"]["cache-control"] == f"public, max-age={seconds}"
        assert (again["statusCode"], again["body"], again["headers"]["etag"]) == (304, "", etag)
        assert world.fetch(path, headers={"If-None-Match": '"x"'})["statusCode"] == 200


def test_what_is_personal_has_no_tag_and_is_always_sent(world: Engine) -> None:
    world.put_profile(viewed("2"))

    answer = world.fetch(r=recipient(), headers={"If-None-Match": "*"})

    assert answer["statusCode"] == 200
    assert "etag" not in answer["headers"]


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_server_with_a_credential_may_name_the_recipient(world: Engine, name: str) -> None:
    # given
    world.put_profile(viewed("2"), epoch=3)

    # when
    answer = world.fetch(p=PROFILE, headers={"Authorization": f"Bearer {CREDENTIALS[name]}"})

    # then
    assert "Still thinking about the Candle?" in answer["body"]
    assert answer["headers"]["cache-control"] == "private, no-store"


@pytest.mark.parametrize(
    ("profile_id", "header"),
    [
        (PROFILE, ""),
        (PROFILE, "Bearer " + "x" * 40),
        (PROFILE, "Basic !"),
        ("anna@example.com", f"Bearer {CREDENTIALS['braze']}"),
        ("../" * 9, f"Bearer {CREDENTIALS['braze']}"),
    ],
)
def test_without_authority_over_a_pseudonym_nobody_is_named(
    world: Engine, capsys: pytest.CaptureFixture[str], profile_id: str, header: str
) -> None:
    world.put_profile(viewed("2"))

    assert_fallback(world.fetch(p=profile_id, headers={"Authorization": header}))
    assert reasons(capsys.readouterr().out) == {"credential"}


def test_a_token_needs_no_credential_and_no_credential_mends_a_token(world: Engine) -> None:
    world.put_profile(viewed("2"))

    assert "Candle" in world.fetch(r=recipient(), headers={"Authorization": "Bearer wrong"})["body"]
    assert_fallback(world.fetch(r="bad", p=PROFILE, headers={"Authorization": f"Bearer {CREDENTIALS['braze']}"}))


def test_consent_rules_over_credentials_too(world: Engine) -> None:
    world.put_profile(viewed("2"), consent=False)

    assert_fallback(world.fetch(p=PROFILE, headers={"Authorization": f"Bearer {CREDENTIALS['braze']}"}))


def test_the_limit_of_a_fetch_is_ten_blocks(world: Engine) -> None:
    names = ",".join(["hero", *(f"other{number}" for number in range(9))])

    assert world.fetch(f"/content/{names}")["statusCode"] == 200
    assert world.fetch(f"/content/{names},one_more")["statusCode"] == 404
