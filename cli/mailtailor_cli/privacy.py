"""What people may ask of their data: `mailtailor privacy`."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mailtailor.errors import BadInput, MailtailorError
from mailtailor_cli.connection import Connection, Where, connect
from mailtailor_cli.keys import asking

app = typer.Typer(help="What people may ask of their data.", no_args_is_help=True)

On = Annotated[Where, typer.Option("--on", help="The system to work on.")]

LONGEST: Final = 900
"""Seconds that one invocation may take."""
NEXT: Final = ("profiles", "at", "after")
"""What an invocation's answer hands on to the next one."""


@app.callback()
def privacy() -> None:
    """Group the commands, of which there may be one."""


@app.command()
def erase(
    profile_ids: Annotated[list[str], typer.Argument(metavar="PROFILE_ID", help="Ids of profiles.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    on: On = Where.AUTO,
) -> None:
    """Erase people's events from the archive.

    All rows go, corrections included, also of profiles that became part of theirs.
    What still comes of events from before this moment, out of queues or from dead
    letters within 90 days, goes too. It cannot be undone; it can be interrupted,
    and given again at any time.

    The archive is all that this erases. The profile itself (attributes, consent,
    memberships), what leads to it, and the notes of what was delivered to an ESP
    stay, and so does what the ESP has.
    """
    system = connect(on)
    if not yes:
        typer.confirm(f"Erase {len(profile_ids)} profiles from the archive of {system.name} for good?", abort=True)
    console = Console(highlight=False)
    rows, unreadable = 0, list[str]()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Erasing from the archive", total=None)
        request: dict[str, Any] = {"profiles": profile_ids}
        while True:
            answer = ask(system, request)
            rows += answer["rows"]
            unreadable += answer["unreadable"]
            place = answer["after"].removesuffix("/") or "nothing yet"
            progress.update(task, description=f"Erased {rows:,} rows; looked at everything up to {place}")
            if answer["done"]:
                break
            request = {name: answer[name] for name in NEXT}
    ids = len(answer["profiles"])
    console.print(f"Erased {rows:,} rows of {ids:,} profiles from the archive of {system.name}.", soft_wrap=True)
    console.print("Their profile items and the notes of deliveries are still there.", soft_wrap=True)
    if unreadable:
        raise MailtailorError(
            f"{len(unreadable)} files cannot be read and were left as they are: {', '.join(unreadable[:5])}.",
            "Mend or delete them, and give this command again.",
        )


def ask(system: Connection, request: dict[str, Any]) -> dict[str, Any]:
    """Let the eraser work for a while and return its answer.

    Raises
    ------
    MailtailorError
        If it refuses, with its own sentence, or does not answer.
    """
    try:
        with asking(system):
            invoked = system.patient_client("lambda", LONGEST).invoke(
                FunctionName=system.outputs["ArchiveEraserFunction"], Payload=json.dumps(request)
            )
            answer: dict[str, Any] = json.loads(invoked["Payload"].read())
    except KeyError as error:
        raise MailtailorError(f"{system.subject} cannot erase.", "Deploy it again.") from error
    except ValueError as error:
        raise MailtailorError(f"{system.subject} does not answer: {error}") from error
    if "error" in answer:
        raise BadInput(answer["error"], "Profile ids have 22 characters: letters, digits, _ and -.")
    if "done" not in answer:
        raise MailtailorError(
            f"{system.subject} could not go on erasing.",
            "What is erased stays so; give the command again. The log of ArchiveEraser says why.",
        )
    return answer
