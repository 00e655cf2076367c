from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.awsrequest
import pytest
from botocore.compat import HTTPHeaders
from moto import mock_aws
from typer.testing import CliRunner, Result

from mailtailor.aws.clock import system_clock
from mailtailor.aws.definition_versions import DefinitionVersions
from mailtailor.aws.profile_table import MAX_KEYS, ProfileTable
from mailtailor.consent.policy import Consent
from mailtailor.consent.policy import Purpose as Use
from mailtailor.errors import MailtailorError
from mailtailor.instant import DAY, HOUR
from mailtailor.profiles.identity import IdentityKind, Pseudonymizer
from mailtailor.profiles.profile import Attribute, Profile
from mailtailor.profiles.store import Loaded
from mailtailor.segments.engine import Engine
from mailtailor.segments.files import load_segments
from mailtailor.segments.rollout import Rollout
from mailtailor.segments.versions import Version
from mailtailor.tracking.tokens import Keyring, Purpose, RecipientToken, read_recipient
from mailtailor_cli import token_export
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from tests.integration.dynamodb import create_tables
from tests.unit.profiles.world import segment

SECRET = {"active": "k1", "k1": "the first secret key of these tests"}
KEYRING = Keyring.from_secret(SECRET)
NAMES = Pseudonymizer(b"pepper")
ANNA = NAMES.pseudonym(IdentityKind.USER_ID, "anna")
BERT = NAMES.pseudonym(IdentityKind.USER_ID, "bert")
ANNAS_MAIL = NAMES.pseudonym(IdentityKind.EMAIL, "anna@shop.example")
COLUMNS = ["mailtailor_track", "mailtailor_content", "mailtailor_manage"]


class World:
    def __init__(self, table: ProfileTable, versions: DefinitionVersions) -> None:
        self.table = table
        self.versions = versions

    def put(self, profile: Profile) -> None:
        self.table.save(Loaded(profile, None), ())


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with mock_aws():
        secrets, dynamodb = boto3.client("secretsmanager"), boto3.client("dynamodb")
        secrets.create_secret(Name="tokens", SecretString=json.dumps(SECRET))
        secrets.create_secret(Name="identity", SecretString=json.dumps({"pepper": "pepper"}))
        create_tables(dynamodb, profiles="profiles", keyed=("definitions",))
        outputs = {"TokensSecretId": "tokens", "IdentitySecretId": "identity", "ProfilesTable": "profiles"}
        outputs["DefinitionsTable"] = "definitions"
        monkeypatch.setattr(token_export, "connect", lambda _where: Connection("the test system", outputs))
        versions = DefinitionVersions(client=dynamodb, table="definitions")
        yield World(ProfileTable(client=dynamodb, table="profiles"), versions)


def run(*options: str) -> Result:
    return CliRunner().invoke(app, ["tokens", "export", *options])


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def assert_tokens(cells: list[str], profile_id: str, epoch: int = 0) -> None:
    for cell, purpose in zip(cells, Purpose, strict=True):
        assert read_recipient(KEYRING, cell, purpose) == RecipientToken(profile_id, purpose, epoch)


def buyer(profile_id: str, at: int, *, consent: bool = True, **attributes: Any) -> Profile:
    """Return somebody who bought something."""
    profile = Profile(profile_id)
    profile.consent = {Use.PERSONALIZATION: Consent(consent, at)}
    profile.attributes = {name: Attribute(value, at) for name, value in attributes.items()}
    Engine(load_segments(token_export.SEGMENTS)).memory.record(
        profile.streams,
        event_id="1",
        event_type="order_completed",
        at=at,
        properties={"products": [{"product_id": "7", "quantity": 1}]},
    )
    return profile


def test_everybody_gets_a_row_with_a_token_for_each_purpose(world: World) -> None:
    # given
    world.put(Profile(ANNA, epoch=2))
    world.put(Profile(BERT))
    world.put(Profile(ANNAS_MAIL, merged_into=ANNA))
    # when
    result = run()
    # then
    header, *people = rows(result.stdout)
    assert header == ["profile_id", *COLUMNS]
    assert {row[0] for row in people} == {ANNA, BERT}
    for row in people:
        assert_tokens(row[1:], row[0], epoch=2 if row[0] == ANNA else 0)
    assert result.stderr == "2 people written, for the test system.\n"


def test_the_columns_are_the_attributes_of_the_esp(world: World) -> None:
    world.put(Profile(ANNA))
    assert rows(run("--esp", "mailchimp").stdout)[0] == ["profile_id", "MT_TRACK", "MT_CONTENT", "MT_MANAGE"]


def test_a_table_of_many_pages_is_read_to_its_end(world: World) -> None:
    # given items that fill more than one page of a scan, which is 1 MB
    for number in range(6):
        profile_id = NAMES.pseudonym(IdentityKind.USER_ID, str(number))
        world.put(Profile(profile_id, attributes={"note": Attribute("x" * 300_000, 0)}))
    # then
    assert len(rows(run().stdout)) == 7


def test_people_are_named_by_an_attribute_and_those_without_it_left_out(world: World) -> None:
    # given
    world.put(Profile(ANNA, attributes={"crm_id": Attribute(4711, 0)}))
    world.put(Profile(BERT))
    # when
    result = run("--key", "crm_id")
    # then
    header, anna = rows(result.stdout)
    assert (header[0], anna[0]) == ("crm_id", "4711")
    assert_tokens(anna[1:], ANNA)
    assert "1 people written; 1 left out, for they have no crm_id" in result.stderr


def test_what_a_spreadsheet_would_run_is_left_out(world: World) -> None:
    # given an attribute that its person, whoever that is, stated
    world.put(Profile(ANNA, attributes={"name": Attribute('=HYPERLINK("https://evil.example")', 0)}))
    # when
    result = run("--key", "name")
    # then
    assert "evil" not in result.stdout
    assert "1 left out, for a spreadsheet would take their name for a formula" in result.stderr


def test_a_segment_is_exact_at_this_instant_and_empty_without_consent(world: World) -> None:
    # given
    now = system_clock()
    world.put(buyer(ANNA, now - HOUR))
    world.put(buyer(BERT, now - 8 * DAY))
    world.put(buyer(ANNAS_MAIL, now - HOUR, consent=False))
    # when
    result = run("--segment", "recent_purchasers")
    # then
    assert [row[0] for row in rows(result.stdout)[1:]] == [ANNA]


def test_a_segment_is_what_the_version_says_that_rules(world: World) -> None:
    # given
    now = system_clock()
    world.put(buyer(ANNA, now - HOUR))
    world.put(buyer(BERT, now - 8 * DAY))
    longer = segment("recent_purchasers", {"event": "order_completed", "within": "9d"})
    world.versions.add(Version(1, (longer,), mark="1"))
    world.versions.save(Rollout(active=1))
    # when
    result = run("--segment", "recent_purchasers")
    # then
    assert sorted(row[0] for row in rows(result.stdout)[1:]) == sorted([ANNA, BERT])


def test_an_unknown_segment_is_refused_with_the_names_of_those_known() -> None:
    error = run("--segment", "nobody").exception
    assert isinstance(error, MailtailorError)
    assert "'nobody'" in str(error)
    assert "recent_purchasers" in str(error)


def contacts(tmp_path: Path, content: str) -> str:
    path = tmp_path / "contacts.csv"
    path.write_bytes(content.encode())
    return str(path)


def test_contacts_come_back_unchanged_with_the_tokens_of_the_profile_they_became(world: World, tmp_path: Path) -> None:
    # given a person known by mail who turned out to be a customer, and whose tokens were revoked once
    world.put(Profile(ANNA, epoch=1))
    world.put(Profile(ANNAS_MAIL, merged_into=ANNA))
    path = contacts(tmp_path, 'Name,EMAIL\r\n"Anna, née =1+1", Anna@Shop.example\r\n')
    # when
    result = run("--contacts", path, "--identity", "EMAIL=email", "--output", str(tmp_path / "out.csv"))
    # then
    header, anna = rows((tmp_path / "out.csv").read_bytes().decode())
    assert header == ["Name", "EMAIL", *COLUMNS]
    assert anna[:2] == ["Anna, née =1+1", " Anna@Shop.example"]
    assert_tokens(anna[2:], ANNA, epoch=1)
    assert result.stderr == "1 people written, for the test system.\n"


def test_who_is_not_known_yet_gets_the_tokens_of_the_profile_that_will_be(tmp_path: Path) -> None:
    # when
    result = run("--contacts", contacts(tmp_path, "id\r\nbert\r\n"), "--identity", "id=user_id")
    # then
    assert_tokens(rows(result.stdout)[1][1:], BERT)


def test_a_contact_that_names_nobody_gets_no_tokens_and_loses_old_ones(tmp_path: Path) -> None:
    # given contacts as an ESP exports them after an earlier import
    path = contacts(tmp_path, "MT_TRACK;EMAIL\r\nold;\r\nold;no address\r\nold;bert@shop.example\r\n")
    # when
    result = run("--contacts", path, "--identity", "EMAIL=email", "--esp", "mailchimp")
    # then
    header, *people = list(csv.reader(io.StringIO(result.stdout, newline=""), delimiter=";"))
    assert header == ["MT_TRACK", "EMAIL", "MT_CONTENT", "MT_MANAGE"]
    assert people[:2] == [["", "", "", ""], ["", "no address", "", ""]]
    assert_tokens([people[2][0], *people[2][2:]], NAMES.pseudonym(IdentityKind.EMAIL, "bert@shop.example"))
    assert "3 people written; 2 without tokens, for EMAIL says no email" in result.stderr


def test_contacts_are_read_a_request_at_a_time_and_all_written(tmp_path: Path) -> None:
    # given
    count = 2 * MAX_KEYS + 1
    path = contacts(tmp_path, "\ufeffid\n" + "".join(f"{number}\n" for number in range(count)))
    # when
    text = run("--contacts", path, "--identity", "id=user_id").stdout
    # then
    assert text.startswith("\ufeffid,")
    assert [row[0] for row in rows(text)[1:]] == [str(number) for number in range(count)]


def test_of_contacts_too_only_those_in_the_segment_are_written(world: World, tmp_path: Path) -> None:
    # given
    world.put(buyer(ANNA, system_clock() - HOUR))
    path = contacts(tmp_path, "id\nanna\nbert\n\n")
    # when
    result = run("--contacts", path, "--identity", "id=user_id", "--segment", "recent_purchasers")
    # then
    assert [row[0] for row in rows(result.stdout)[1:]] == ["anna"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("id,id\n", "more than one column 'id'"),
        ("name\nanna\n", "The contacts have no column 'id'. They have: 'name'."),
        ("id,name\nanna\n", "has 1 cells and the first one 2"),
    ],
)
def test_contacts_that_cannot_be_used_are_refused_in_a_sentence_and_nothing_is_written(
    tmp_path: Path, content: str, sentence: str
) -> None:
    # when
    output = tmp_path / "out.csv"
    error = run(
        "--contacts", contacts(tmp_path, content), "--identity", "id=user_id", "--output", str(output)
    ).exception
    # then
    assert isinstance(error, MailtailorError)
    assert sentence in str(error)
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--contacts", "contacts.csv"], "do not go together"),
        (["--identity", "id=user_id"], "do not go together"),
        (["--contacts", "contacts.csv", "--identity", "id=user_id", "--key", "crm_id"], "do not go together"),
        (["--contacts", "contacts.csv", "--identity", "id=phone"], "Give one of id=user_id, id=email"),
        (["--contacts", "none.csv", "--identity", "id=user_id"], "There is no file"),
        (["--esp", "pigeon"], "is no ESP that Mailtailor knows"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_a_sentence(options: list[str], sentence: str) -> None:
    error = run(*options).exception
    assert isinstance(error, MailtailorError)
    assert sentence in str(error)


def test_a_missing_table_is_told_in_a_sentence() -> None:
    boto3.client("dynamodb").delete_table(TableName="profiles")
    error = run().exception
    assert isinstance(error, MailtailorError)
    assert str(error).startswith("The test system refused")


def test_a_table_with_too_much_to_do_is_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a table that refuses the first request for want of capacity
    world.put(Profile(ANNA))
    refused: Any = botocore.awsrequest.AWSResponse("", 400, HTTPHeaders(), io.BytesIO())
    refused._content = b'{"__type":"ProvisionedThroughputExceededException"}'
    answers = iter([refused])
    asked: list[str] = []

    def before_send(**_: object) -> Any:
        asked.append("scan")
        return next(answers, None)

    client = boto3.client("dynamodb")
    client.meta.events.register_first("before-send.dynamodb.Scan", before_send)
    monkeypatch.setattr(Connection, "client", lambda _self, name: client if name == "dynamodb" else boto3.client(name))
    # when
    result = run()
    # then
    assert asked == ["scan", "scan"]
    assert [row[0] for row in rows(result.stdout)[1:]] == [ANNA]


def test_of_a_profile_that_cannot_be_read_only_its_person_is_missing(world: World) -> None:
    # given
    world.put(Profile(ANNA))
    boto3.client("dynamodb").put_item(TableName="profiles", Item={"id": {"S": BERT}, "version": {"S": "x"}})
    # when
    result = run()
    # then
    assert [row[0] for row in rows(result.stdout)[1:]] == [ANNA]
    assert "1 left out, for their profiles cannot be read" in result.stderr
