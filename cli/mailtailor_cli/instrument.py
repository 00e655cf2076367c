"""Put tracked links and the open pixel into a mail: `mailtailor instrument`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mailtailor.aws.clock import system_clock
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.tracking import instrument as tracking
from mailtailor_cli.connection import Where, connect
from mailtailor_cli.keys import keyring
from mailtailor_cli.tokens import On


def instrument(
    mail: Annotated[Path, typer.Argument(help="The mail, HTML in UTF-8.", metavar="MAIL.html")],
    campaign: Annotated[str, typer.Option(help="The mailing's id, as it will appear in events.")],
    output: Annotated[Path | None, typer.Option(help="Where to write it; standard output if not given.")] = None,
    recipient_tag: Annotated[
        str, typer.Option(help="The merge tag that your ESP replaces with the recipient token.")
    ] = tracking.RECIPIENT_TAG,
    *,
    report: Annotated[bool, typer.Option("--report", help="Say what was done with each link.")] = False,
    on: On = Where.AUTO,
) -> None:
    """Track the links of a mail, add campaign parameters and the open pixel; nothing else in it changes."""
    html = read_mail(mail)
    system = connect(on)
    mailing = tracking.Mailing(
        campaign=campaign,
        keyring=keyring(system),
        open_url=system.outputs["OpenUrl"],
        click_url=system.outputs["ClickUrl"],
        now=system_clock(),
        recipient_tag=recipient_tag,
    )
    result = tracking.instrument(html, mailing)
    if output is None:
        typer.echo(result.html.encode(), nl=False)
    else:
        write_mail(output, result.html)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if report:
        for link in result.links:
            console.print(described(link), markup=False)
    tracked = sum(link.tracked for link in result.links)
    pixel = "open pixel added" if result.pixel else "open pixel was there already"
    console.print(f"{tracked} of {len(result.links)} links tracked, {pixel}, for {system.name}.", markup=False)


def read_mail(path: Path) -> str:
    """Return a mail's text, line ends as they are.

    Raises
    ------
    NotFound
        If there is no such file.
    BadInput
        If it is empty, not UTF-8, or no file at all.
    """
    try:
        html = path.read_bytes().decode()
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not UTF-8 (byte {error.start:,}).", "Save it as UTF-8, and let its <meta charset> say so."
        ) from error
    if not html.strip():
        raise BadInput(f"{path} is empty.")
    return html


def write_mail(path: Path, html: str) -> None:
    """Write a mail, line ends as they are; raise `MailtailorError` if that is not possible."""
    try:
        path.write_bytes(html.encode())
    except OSError as error:
        raise MailtailorError(f"{path} cannot be written: {error.strerror}.") from error


def described(link: tracking.Link) -> str:
    """Return a line that says what was done with `link`; never cut, so that it can be searched for."""
    done = "tracked" if link.tracked else f"left as it is: {link.reason}"
    return f"{link.position:>3}  line {link.line:>4}  {link.destination or link.href}  {done}"
