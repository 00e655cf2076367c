from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from mailtailor.aws.clock import system_clock
from mailtailor.errors import MailtailorError, NotFound
from mailtailor.instant import DAY, HOUR
from mailtailor_cli.connection import Where, connect

CLIENT = {
    "endpoint_url": "http://127.0.0.1:1",
    "region_name": "us-east-1",
    "aws_access_key_id": "test",
    "aws_secret_access_key": "test",
}


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def announce(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Announce a system under a name; it answers."""
    server = HTTPServer(("127.0.0.1", 0), _Healthy)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def announce(name: str) -> None:
        described = {"base_url": f"http://127.0.0.1:{server.server_port}", "outputs": {"A": name}, "client": CLIENT}
        (tmp_path / f"{name}.json").write_text(json.dumps(described))

    yield announce
    server.shutdown()
    server.server_close()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """An account; what CloudFormation says there is up to the test."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    client = boto3.client("cloudformation")
    monkeypatch.setattr(boto3.Session, "client", lambda *_: client)
    with Stubber(client) as stub:
        yield stub


def test_the_system_on_this_machine_is_taken_if_it_runs(tmp_path: Path, announce: Callable[[str], None]) -> None:
    # given
    announce("8080")
    # when
    found = connect(running=tmp_path)
    # then
    assert found.outputs == {"A": "8080"}
    assert found.client("sqs").meta.endpoint_url == CLIENT["endpoint_url"]


def test_the_time_is_that_of_a_local_system_whose_clock_was_moved(
    tmp_path: Path, announce: Callable[[str], None]
) -> None:
    # given
    announce("8080")
    note = tmp_path / "8080.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"clock_file": str(tmp_path / "clock")}))
    (tmp_path / "clock").write_text(str(2 * DAY))
    # then
    assert 0 <= connect(running=tmp_path).clock() - system_clock() - 2 * DAY + HOUR <= HOUR


def test_a_note_that_a_killed_system_left_is_ignored(tmp_path: Path) -> None:
    # given
    (tmp_path / "8080.json").write_text(json.dumps({"base_url": "http://127.0.0.1:1", "outputs": {}, "client": {}}))
    # when, then
    with pytest.raises(NotFound, match="No system runs on this machine"):
        connect(Where.LOCAL, running=tmp_path)


def test_two_systems_on_this_machine_are_one_too_many(tmp_path: Path, announce: Callable[[str], None]) -> None:
    # given
    announce("8080")
    announce("8090")
    # when, then
    with pytest.raises(NotFound, match="2 systems run"):
        connect(running=tmp_path)


def test_the_deployed_system_is_taken_when_asked_for(
    tmp_path: Path, announce: Callable[[str], None], aws: Stubber
) -> None:
    # given
    announce("8080")
    outputs = [{"OutputKey": "A", "OutputValue": "deployed"}]
    stack = {"StackName": "MailtailorApp", "StackStatus": "CREATE_COMPLETE", "CreationTime": "2026-11-24T00:00:00Z"}
    aws.add_response("describe_stacks", {"Stacks": [stack | {"Outputs": outputs}]}, {"StackName": "MailtailorApp"})
    # when
    found = connect(Where.AWS, running=tmp_path)
    # then
    assert (found.name, found.outputs) == ("the system deployed in eu-west-1", {"A": "deployed"})


def test_an_account_without_the_stack_is_told_how_to_get_it(tmp_path: Path, aws: Stubber) -> None:
    # given
    aws.add_client_error("describe_stacks", "ValidationError", "Stack with id MailtailorApp does not exist")
    # when, then
    with pytest.raises(NotFound, match=r"There is no stack MailtailorApp in region eu-west-1\. Deploy it: cdk deploy"):
        connect(running=tmp_path)


def test_what_aws_refuses_is_one_sentence(tmp_path: Path, aws: Stubber) -> None:
    # given
    aws.add_client_error("describe_stacks", "ExpiredToken", "The security token is expired")
    # when, then
    with pytest.raises(MailtailorError, match="AWS refused: The security token is expired"):
        connect(running=tmp_path)


def test_no_credentials_are_one_sentence_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    # when, then
    with pytest.raises(MailtailorError, match="Start a local system, or set AWS credentials and region"):
        connect(running=tmp_path)
