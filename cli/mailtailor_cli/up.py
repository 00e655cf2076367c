"""`mailtailor up`: the system on this machine."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mailtailor.errors import MailtailorError

if TYPE_CHECKING:
    from infra.local.system import System


def up(
    port: Annotated[int, typer.Option(help="The port on 127.0.0.1 that it answers on.", min=1, max=65535)] = 8080,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Import a shop's data and show it at work.")] = False,
) -> None:
    """Run the whole system on this machine until Ctrl-C."""
    # A shell starts background jobs with SIGINT ignored; Ctrl-C and kill are to work all the same. A closed terminal
    # stops it too, unless nohup asked for the contrary.
    for stopping in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if stopping is not signal.SIGHUP or signal.getsignal(stopping) is not signal.SIG_IGN:
            signal.signal(stopping, signal.default_int_handler)
    # Only this command needs a web server, boto3 and the rest of the repository.
    from infra.local import start  # noqa: PLC0415
    from infra.local.phases import Phases  # noqa: PLC0415

    console = Console()
    try:
        with start.running(port=port, demo=demo, phases=Phases(console)) as system:
            _introduce(console, system)
            with _importing(console, system):
                start.watch(system)
    except KeyboardInterrupt:
        console.print("Stopped.")


def _introduce(console: Console, system: System) -> None:
    console.print(
        f"\n[bold]Mailtailor is ready: {system.base_url}[/]\n"
        f"  write key       {system.write_key}\n"
        f"  browser key     {system.browser_key}\n"
        f"  Shopify secret  {system.shopify_secret}\n"
        "  admin token     .venv/bin/mailtailor admin token\n"
        f"  AWS endpoint    {system.endpoint_url}\n"
        f"  log             {system.state_dir / 'ministack.log'}\n"
        "Ctrl-C stops it.\n",
        highlight=False,
        soft_wrap=True,
    )


@contextlib.contextmanager
def _importing(console: Console, system: System) -> Iterator[None]:
    """Import the demonstration's data beside the context's body, with a progress bar on a terminal."""
    if not system.demo:
        yield
        return
    from infra.local.demo.seed import seed  # noqa: PLC0415 - see above

    stop = threading.Event()
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )

    def run() -> None:
        try:
            seed(system, progress, stop=stop)
        except MailtailorError as error:
            if not stop.is_set():
                console.print(f"The import stopped: {error}")
        else:
            if not stop.is_set():
                console.print("The demonstration's data is imported.")
        finally:
            progress.stop()

    with progress:
        importer = threading.Thread(target=run, name="import", daemon=True)
        importer.start()
        try:
            yield
        finally:
            stop.set()
            importer.join(5)
