"""Which system a command works on: the one that runs on this machine, or the one deployed to AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws.clock import Clock, moved_clock, system_clock
from mailtailor.errors import MailtailorError, NotFound

APPLICATION: Final = "MailtailorApp"
RUNNING: Final = Path(__file__).resolve().parents[2] / ".local" / "running"
"""Each system that runs on this machine leaves a file here for as long as it runs, named by its port."""


class Where(StrEnum):
    """The choice that a command offers."""

    AUTO = "auto"
    LOCAL = "local"
    AWS = "aws"


@dataclass(frozen=True, slots=True)
class Connection:
    """A system to work on.

    Parameters
    ----------
    name
        What to call it when telling a person.
    outputs
        The outputs of its stack.
    administrator
        E-mail address and password of the administrator that a local system has.
    clock
        Tells the system's time; a local one's can be moved.
    """

    name: str
    outputs: Mapping[str, str]
    _client: Mapping[str, Any] = field(default_factory=dict, repr=False)
    administrator: Mapping[str, str] = field(default_factory=dict, repr=False)
    clock: Clock = system_clock

    @property
    def subject(self) -> str:
        """The name as a sentence begins with it."""
        return self.name[:1].upper() + self.name[1:]

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """Return a boto3 client for the account that the system is in."""
        return boto3.client(service, **self._client)  # type: ignore[call-overload]

    def patient_client(self, service: str, seconds: int) -> Any:  # noqa: ANN401 - as above
        """Return a client that waits so long for an answer, and does not ask again meanwhile."""
        patience = Config(read_timeout=seconds, retries={"total_max_attempts": 1})
        return boto3.client(service, config=patience, **self._client)  # type: ignore[call-overload]


def connect(where: Where = Where.AUTO, *, running: Path = RUNNING) -> Connection:
    """Return the system to work on: with `AUTO` the one on this machine if it runs, else the deployed one.

    Raises
    ------
    NotFound
        If there is no such system, or more than one.
    MailtailorError
        If AWS cannot be asked.
    """
    systems = [] if where is Where.AWS else list(_local(running))
    if len(systems) > 1:
        raise NotFound(f"{len(systems)} systems run on this machine.", "Stop all but one with Ctrl-C.")
    if systems:
        return systems[0]
    if where is Where.LOCAL:
        raise NotFound("No system runs on this machine.", "Start one with: make run")
    return _deployed()


def _local(running: Path) -> Iterator[Connection]:
    for file in sorted(running.glob("*.json")):
        described = json.loads(file.read_text())
        try:
            urlopen(f"{described['base_url']}/healthz", timeout=2).close()  # noqa: S310 - our own file says http
        except OSError:
            continue  # it was killed, and could not take its file away
        yield Connection(
            f"the local system {described['base_url']}",
            described["outputs"],
            described["client"],
            described.get("administrator", {}),
            moved_clock(Path(described["clock_file"])) if "clock_file" in described else system_clock,
        )


def _deployed() -> Connection:
    try:
        session = boto3.Session()
        stack = session.client("cloudformation").describe_stacks(StackName=APPLICATION)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            raise NotFound(
                f"There is no stack {APPLICATION} in region {session.region_name}.", "Deploy it: cdk deploy --all"
            ) from error
        raise MailtailorError(f"AWS refused: {error.response['Error']['Message']}") from error
    except BotoCoreError as error:
        raise MailtailorError(
            f"AWS cannot be asked: {error}", "Start a local system, or set AWS credentials and region."
        ) from error
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    return Connection(f"the system deployed in {session.region_name}", outputs)
