"""Starts the system on this machine, phase by phase, and stops everything it started."""

from __future__ import annotations

import contextlib
import fcntl
import json
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlsplit

import httpx

from infra.local import assembly, clock, deployment, environments, front, watermark
from infra.local.ministack import MiniStack
from infra.local.system import CREDENTIALS, REGION, System, client_of
from mailtailor.errors import MailtailorError

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from infra.local.phases import Phases, Tell

APPLICATION: Final = "MailtailorApp"
PROCESSOR_CONCURRENCY: Final = 2
"""Each concurrent execution is a process here, and two cores are what a machine may have."""
WAKE_UPS_A_SECOND: Final = 80
"""A part of what they can evaluate here, for live events matter more; see `tests.bench.clock`."""

CHANGE_OF_DEFINITIONS: Final = {"DefinitionsRefreshSeconds": "2", "RolloutSettleSeconds": "8"}
"""Functions end within a second or two here, so whoever changes definitions need not wait for a minute."""

ADMINISTRATOR: Final = "admin@example.com"
FIRST_ANSWER_SECONDS: Final = 30


class SystemBroken(MailtailorError):
    """Everything was deployed, but the system does not answer."""


@contextlib.contextmanager
def running(*, port: int, demo: bool, phases: Phases, states: Path = environments.LOCAL / "state") -> Iterator[System]:
    """Run a system for as long as the context lasts.

    Parameters
    ----------
    port
        Of the stable address; 0 takes any that is free.
    demo
        Whether the demonstration is on: its pages are served, and membership changes are delivered to it.
    phases
        Told what is going on.
    states
        Holds one directory a system; what is in it is used again at the next start.

    Raises
    ------
    MailtailorError
        If a phase fails; nothing is left running.
    """
    with contextlib.ExitStack() as stack:
        listening = front.listen(port)
        port = listening.getsockname()[1]
        base_url = f"http://127.0.0.1:{port}"
        door = front.Front()
        stack.enter_context(front.serving(door, listening))
        ministack = MiniStack(states / (f"{port}-demo" if demo else f"{port}"))
        stack.callback(ministack.stop)
        if demo and _is_stale(ministack.state_dir):
            ministack.forget()
        with _alone():
            templates = _prepare(phases)
            parameters = {
                "PublicUrl": base_url,
                "EspWebhookUrl": f"{base_url}/demo/esp" if demo else "",
                "ProcessorConcurrency": str(PROCESSOR_CONCURRENCY),
                "WakeUpConcurrency": str(PROCESSOR_CONCURRENCY),
                "WakeUpsPerSecond": str(WAKE_UPS_A_SECOND),
                **CHANGE_OF_DEFINITIONS,
            }
            system = _deployed(ministack, templates, parameters, base_url, phases, demo=demo)
        with phases.phase("first call"):
            origin = _origin(system)
            _await_answer(origin)
        door.open(origin, _pages(system))
        stack.enter_context(watermark.moving(system))
        yield stack.enter_context(_announced(system))


def watch(system: System) -> NoReturn:
    """Wait until a signal comes.

    Raises
    ------
    SystemBroken
        If the stand-in dies before.
    """
    address = urlsplit(system.endpoint_url)
    while True:
        time.sleep(1)
        try:
            socket.create_connection((address.hostname, address.port), timeout=30).close()
        except OSError as error:
            log = system.state_dir / "ministack.log"
            raise SystemBroken("MiniStack has stopped by itself.", f"Its log is {log}.") from error


@contextlib.contextmanager
def _announced(system: System) -> Iterator[System]:
    """Leave a note where the command line finds the systems that run."""
    note = environments.LOCAL / "running" / f"{urlsplit(system.base_url).port}.json"
    note.parent.mkdir(exist_ok=True)
    note.write_text(
        json.dumps(
            {
                "base_url": system.base_url,
                "outputs": dict(system.outputs),
                "administrator": {"email": ADMINISTRATOR, "password": system.admin_password},
                "clock_file": str(system.clock_file),
                "client": {"endpoint_url": system.endpoint_url, "region_name": REGION, **CREDENTIALS},
            },
            indent=2,
        )
    )
    try:
        yield system
    finally:
        note.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep a second start on this machine from building the same things at the same time."""
    environments.LOCAL.mkdir(exist_ok=True)
    with (environments.LOCAL / "building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prepare(phases: Phases) -> Path:
    with phases.phase("environment") as tell:
        tell("MiniStack")
        environments.stand_in()
        tell("functions")
        environments.functions()
    with phases.phase("templates") as tell:
        tell("layers, functions and resources, written again when one of them changed")
        return assembly.synthesize(environments.LOCAL / "cdk.out")


def _deployed(
    ministack: MiniStack, templates: Path, parameters: Mapping[str, str], base_url: str, phases: Phases, *, demo: bool
) -> System:
    with phases.phase("MiniStack"):
        kept = ministack.start()
    with phases.phase("deploy") as tell:
        try:
            outputs = _deploy(ministack, templates, parameters, tell)
        except deployment.DeploymentFailed:
            if not kept:
                raise
            # MiniStack cannot update all that AWS can; whatever the old state held can be made again.
            tell("the kept state does not fit the new templates, starting afresh")
            ministack.forget()
            ministack.start()
            outputs = _deploy(ministack, templates, parameters, tell)
        system = System(
            base_url=base_url,
            endpoint_url=ministack.endpoint_url,
            outputs=outputs,
            write_key="",
            shopify_secret="",
            state_dir=ministack.state_dir,
            demo=demo,
        )
        return _with_administrator(_with_keys(system))


def _is_stale(state_dir: Path) -> bool:
    """Return whether the demonstration's last order, which is to be now, is long ago, or time was moved."""
    from infra.local.demo.seed import is_stale  # noqa: PLC0415 - only the demonstration pays for loading itself

    return is_stale(state_dir, clock.now(state_dir / "clock"))


def _deploy(ministack: MiniStack, templates: Path, parameters: Mapping[str, str], tell: Tell) -> dict[str, str]:
    """Deploy unless exactly this is deployed already, and return the application's outputs."""
    record = ministack.state_dir / "deployed.json"
    wanted = {"templates": (templates / assembly.MADE_FROM).read_text(), "parameters": dict(parameters)}
    deployed = json.loads(record.read_text()) if record.exists() else {}
    if {name: deployed.get(name) for name in wanted} == wanted:
        outputs: dict[str, str] = deployed["outputs"]
        return outputs
    client = partial(client_of, ministack.endpoint_url)
    deployment.bootstrap(client("ssm"))
    outputs = {}
    for stack in deployment.stacks(templates):
        deployment.upload(client("s3"), stack, tell)
        of_stack = deployment.deploy(client("cloudformation"), stack, parameters, tell)
        if stack.name == APPLICATION:
            outputs = of_stack
    record.write_text(json.dumps(wanted | {"outputs": outputs}))
    return outputs


def _with_keys(system: System) -> System:
    """Return the system with its ingestion keys, which an operator would set once after deploying.

    Raises
    ------
    SystemBroken
        If the stacks name no secret for them.
    """
    if "IngestSecretId" not in system.outputs:
        raise SystemBroken(
            f"The stacks have no output IngestSecretId, so {APPLICATION} is not what this start expects."
        )
    manager = system.client("secretsmanager")
    secret = json.loads(manager.get_secret_value(SecretId=system.outputs["IngestSecretId"])["SecretString"])
    if "shopify" not in secret:
        # MiniStack generates with punctuation where the template excludes it, which no one can paste.
        secret = {name: secrets.token_urlsafe(24) for name in ("write_key", "shopify")}
    if "browser_key" not in secret:
        secret["browser_key"] = secrets.token_urlsafe(24)
        manager.put_secret_value(SecretId=system.outputs["IngestSecretId"], SecretString=json.dumps(secret))
    return replace(
        system,
        write_key=secret["write_key"],
        # The newest of several, which `mailtailor keys browser` puts first.
        browser_key=secret["browser_key"].split()[0],
        shopify_secret=secret["shopify"],
    )


def _with_administrator(system: System) -> System:
    """Return the system with an administrator, whose password is another at each start."""
    pool, client = system.outputs["UserPoolId"], system.client("cognito-idp")
    password = f"Aa1!{secrets.token_urlsafe(18)}"
    with contextlib.suppress(client.exceptions.UsernameExistsException):
        # Left to choose the first password, MiniStack takes one that is shorter than the policy asks.
        client.admin_create_user(
            UserPoolId=pool, Username=ADMINISTRATOR, TemporaryPassword=password, MessageAction="SUPPRESS"
        )
    client.admin_set_user_password(UserPoolId=pool, Username=ADMINISTRATOR, Password=password, Permanent=True)
    return replace(system, admin_password=password)


def _origin(system: System) -> front.Origin:
    """Return the HTTP API as the stand-in serves it: by its id in the host's name."""
    api = urlsplit(system.outputs["ApiUrl"]).netloc.partition(".")[0]
    stand_in = urlsplit(system.endpoint_url)
    return front.Origin(address=system.endpoint_url, host=f"{api}.execute-api.localhost:{stand_in.port}")


def _await_answer(origin: front.Origin) -> None:
    """Ask for a pixel until one comes, so that ready means that a whole request worked.

    Raises
    ------
    SystemBroken
        If none comes in time.
    """
    deadline = time.monotonic() + FIRST_ANSWER_SECONDS
    said = "nothing"
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.get(f"{origin.address}/o/ready/ready.gif", headers={"host": origin.host}, timeout=30)
            if answer.is_success:
                return
            said = f"{answer.status_code} {answer.text[:200]}"
        time.sleep(0.2)
    raise SystemBroken(f"The deployed pixel does not answer as it should: {said}.")


def _pages(system: System) -> list[BaseRoute]:
    if not system.demo:
        return []
    from infra.local.demo import app  # noqa: PLC0415 - only the demonstration pays for loading itself

    return list(app.routes(system))
